"""The causes of a change between two releases, and the edits that they consist of."""

from dataclasses import dataclass

VERDICT, CLASS_VERDICT, TAXONOMY = "verdict", "class-verdict", "taxonomy"
ITEM, ITEM_CLASS, CLASS_EDGE, CLASS_NAME = "item", "item-class", "class-edge", "class-name"
PROPOSAL, THRESHOLD, PLACE, GLDV2 = "proposal", "threshold", "place", "gldv2"
RULES, SEVERAL, UNEXPLAINED = "rules", "several", "unexplained"

# In the order of reports: what people decided, then Wikidata, then what is computed, then the rest.
CAUSES = {
    VERDICT: "verdict on the landmark",
    CLASS_VERDICT: "verdict on its class",
    TAXONOMY: "taxonomy",
    ITEM: "matched to another item",
    ITEM_CLASS: "Wikidata: class of the item (P31)",
    CLASS_EDGE: "Wikidata: subclass of (P279)",
    CLASS_NAME: "Wikidata: name of the class",
    PLACE: "place of the item",
    PROPOSAL: "automatic proposal",
    THRESHOLD: "thresholds of proposals",
    GLDV2: "GLDv2's own metadata",
    RULES: "rules of another version of hgld",
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
