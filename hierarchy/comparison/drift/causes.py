"""The causes of a change between two releases, and the edits that they consist of."""

from dataclasses import dataclass

VERDICT, CLASS_VERDICT, TAXONOMY = "verdict", "class-verdict", "taxonomy"
ITEM, ITEM_CLASS, CLASS_EDGE, CLASS_NAME = "item", "item-class", "class-edge", "class-name"
PROPOSAL, THRESHOLD, PLACE, GLDV2 = "proposal", "threshold", "place", "gldv2"
RULES, SEVERAL, UNEXPLAINED = "rules", "several", "unexplained"

# In the order of reports: what people decided, then Wikidata, then what is computed, then the rest.
CAUSES = {
    VERDICT: "a person's verdict on the landmark",
    CLASS_VERDICT: "a person's verdict on its class",
    TAXONOMY: "an edit of the taxonomy",
    ITEM: "another item on Wikidata",
    ITEM_CLASS: "the classes of its item on Wikidata (P31)",
    CLASS_EDGE: "a subclass statement on Wikidata (P279)",
    CLASS_NAME: "the name of a class on Wikidata",
    PLACE: "what is known of its place",
    PROPOSAL: "the automatic proposal",
    THRESHOLD: "the thresholds of proposals",
    GLDV2: "GLDv2's own metadata",
    RULES: "the rules of another version of hgld",
    SEVERAL: "several causes together",
    UNEXPLAINED: "not explained",
}


@dataclass(frozen=True, order=True)
class Edit:
    """One difference of what two releases rest on.

    cause: a key of CAUSES; key: what it is about, unique within the cause; text: in words; by: who made it, "" if that
    is not known.
    """

    cause: str
    key: tuple[str, ...]
    text: str = ""
    by: str = ""


@dataclass(frozen=True)
class Explanation:
    """The cause of a change, a key of CAUSES, with the edits that together make it; note: why there is none.

    either: each of the edits would have been enough alone.
    """

    cause: str
    edits: tuple[Edit, ...] = ()
    note: str = ""
    either: bool = False

    @property
    def text(self) -> str:
        """The edits in words, in one line.

        >>> Explanation(ITEM, (Edit(ITEM, ("a",), "Q1 → Q2"),)).text
        'Q1 → Q2'
        """
        joint = "; or, which alone would do: " if self.either else "; "
        return joint.join(edit.text for edit in self.edits) or self.note

    @property
    def by(self) -> str:
        """Who made the edits, separated by commas; "" if nobody is named."""
        return ", ".join(dict.fromkeys(edit.by for edit in self.edits if edit.by))
