"""From the name of a class to a hierarchical label: the same name, then its head, then the words in it.

"Anglican or Episcopal cathedral" is a cathedral, a "museum of lighthouses" a museum, a "church ruin" a ruin: in
English the head of a name is the end of what stands before the first preposition. All steps are exact rules over the
lexicon (`class_names`), so that the evidence can be shown; what they do not know goes to a model (`text_model`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hgld.hierarchy.names.class_names import ClassName, key
from hgld.hierarchy.names.known_classes import Snapshot
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy

Words = tuple[str, ...]

# what ends the head of a name
_BREAKS = frozenset(
    [
        *(
            "of",
            "in",
            "for",
            "on",
            "at",
            "with",
            "near",
            "from",
            "by",
            "to",
            "under",
            "over",
            "without",
            "between",
        ),
        *(
            "located",
            "incorporated",
            "converted",
            "used",
            "built",
            "dedicated",
            "belonging",
            "associated",
            "designed",
        ),
        *("made", "listed", "based", "and", "or", "as", "that", "which", "the", "a", "an"),
        *("de", "du", "des", "da", "do", "di", "del", "della", "la", "le"),
    ]
)

# the shortest word that may be found at the end of another: "Bergkirche" and "boathouse", but not "car" in "scar"
_COMPOUND = 5
# and the least that must stand before it: no "ranch" in "branch"
_BEFORE = 3
# what other English and Latin words end with: "borrowing", "collaboratory", "Ludovicus"
_NO_ENDING = frozenset({"rowing", "laboratory", "vicus"})

# How often each rule is right, on the English labels of the classes of a Wikidata snapshot that lead to a label there
# (tests/hierarchy/names/test_name_rules.py measures it); the score of what it says.
SCORES = {
    "anchor": 0.99,
    "class": 0.98,
    "name": 0.97,
    "head": 0.93,
    "compound": 0.8,
    "word": 0.6,
    "general": 0.5,
}


@dataclass(frozen=True)
class Reading:
    """What a text says: a label (empty: stays open), how sure, how far ahead of the next, and why.

    rule: one of SCORES, or `open`; "" for a text that no rule reads. evidence: the rule and what it matched.
    """

    hierarchical_label: str = ""
    score: float = 0.0
    margin: float = 0.0
    evidence: str = ""
    rule: str = ""


@dataclass(frozen=True)
class ClassReader:
    """The lexicon and the taxonomy's own names, ready to read class names.

    anchors: key → (QID, name, label); closed: key → (QID, name, reason) of the ignored classes.
    """

    names: Mapping[Words, ClassName]
    anchors: Mapping[Words, tuple[str, str, str]]
    closed: Mapping[Words, tuple[str, str, str]]
    snapshot: Snapshot | None = None

    def name_of_class(self, text: str) -> Reading | None:
        """The reading of a text that is the name of a class as it stands, or None."""
        return self._whole(key(text))

    def read(self, text: str) -> Reading:
        """The reading of one name; no rule depends on any other text."""
        outer = _without_parentheses(text)
        for one in dict.fromkeys((text, outer)):
            if found := self._whole(key(one)):
                return found
        for one in dict.fromkeys((outer, text)):
            if found := self._parts(key(one)):
                return found
        return Reading()

    def _whole(self, words: Words) -> Reading | None:
        """The text is the name of a class."""
        if words in self.anchors:
            qid, name, label = self.anchors[words]
            return _sure(label, "anchor", f"class {qid}: {name}" if qid else f"label: {name}")
        if words in self.closed:
            qid, name, reason = self.closed[words]
            return _open(f"{name} ({qid}): {reason}")
        if self.snapshot and (known := self.snapshot.classes.get(words)):
            return _sure(known.hierarchical_label, "class", known.evidence(self.snapshot.names))
        if one := self.names.get(words):
            if one.role == "open":
                return _open(f"landmarks of the kind '{one.name}' have no label")
            if one.hierarchical_label:
                rule = "name" if one.role == "kind" else "general"
                return _sure(one.hierarchical_label, rule, f"{rule}: {one.name}")
        return None

    def _parts(self, words: Words) -> Reading | None:
        """The kind that the head names; else a kind that is named anywhere; else what a general word stands for."""
        pieces = _pieces(words)
        if phrase := self._phrase(words):
            return _sure(phrase.hierarchical_label, "head", f"head: {phrase.name}")
        weak: ClassName | None = None
        for place, piece in enumerate(pieces):
            head = self._ending(piece)
            if head is None:
                continue
            one, rest = head
            if one.role == "open":
                if place == 0:
                    return _open(f"landmarks of the kind '{one.name}' have no label")
                continue
            if one.role == "kind":
                return _sure(one.hierarchical_label, "head", f"head: {one.name}")
            weak = weak or (one if one.hierarchical_label else None)
            if found := self._anywhere(rest):
                return _sure(found.hierarchical_label, "head", f"head: {found.name} ({one.name})")
        for piece in pieces:
            if piece and (inside := self._compound(piece[-1])):
                return _sure(inside.hierarchical_label, "compound", f"compound: {inside.name}")
        for piece in pieces:
            if found := self._anywhere(piece):
                return _sure(found.hierarchical_label, "word", f"word: {found.name}")
        return _sure(weak.hierarchical_label, "general", f"general: {weak.name}") if weak else None

    def _phrase(self, words: Words) -> ClassName | None:
        """A kind whose own name holds a preposition (house of prayer), where it is the head of the text."""
        for end in range(len(words), 1, -1):
            for start in range(end - 1):
                one = self.names.get(words[start:end])
                if (
                    one
                    and one.role == "kind"
                    and _broken(words[start : end - 1])
                    and not _broken(words[:start])
                ):
                    return one
        return None

    def _ending(self, words: Words) -> tuple[ClassName, Words] | None:
        """The longest name that `words` end with, and the words before it."""
        for start in range(len(words)):
            if one := self._known(words[start:]):
                return one, words[:start]
        return None

    def _anywhere(self, words: Words) -> ClassName | None:
        """The last kind that is named in `words`, the longest name first."""
        for end in range(len(words), 0, -1):
            found = self._ending(words[:end])
            if found and found[0].role == "kind":
                return found[0]
        return None

    def _known(self, words: Words) -> ClassName | None:
        if words in self.anchors:
            _, name, label = self.anchors[words]
            own = self.names.get(words)
            return ClassName(name, label, own.role if own and own.hierarchical_label == label else "kind")
        return self.names.get(words)

    def _compound(self, word: str) -> ClassName | None:
        """The longest single word of the lexicon that `word` ends with."""
        for start in range(_BEFORE, len(word) - _COMPOUND + 1):
            if word[start:] in _NO_ENDING:
                return None
            one = self._known((word[start:],))
            if one and one.role == "kind":
                return one
        return None


def class_reader(
    names: Mapping[Words, ClassName], taxonomy: Taxonomy, snapshot: Snapshot | None = None
) -> ClassReader:
    """A reader over the lexicon, the taxonomy and, where one is at hand, a snapshot of Wikidata's classes.

    Of two anchors with one name the lower precedence, then QID, counts.
    """
    anchors: dict[Words, tuple[str, str, str]] = {}
    for anchor in sorted(taxonomy.anchors.values(), key=lambda one: (one.precedence, int(one.qid[1:]))):
        anchors.setdefault(key(anchor.name), (anchor.qid, anchor.name, anchor.hierarchical_label))
    closed: dict[Words, tuple[str, str, str]] = {}
    for one in sorted(taxonomy.ignored.values(), key=lambda one: int(one.qid[1:])):
        closed.setdefault(key(one.name), (one.qid, one.name, one.reason))
    for label in taxonomy.natures:
        anchors.setdefault(key(label), ("", label.strip(), label))
    return ClassReader(
        names, anchors, {words: one for words, one in closed.items() if words not in anchors}, snapshot
    )


def _sure(label: str, rule: str, evidence: str) -> Reading:
    return Reading(label, SCORES[rule], SCORES[rule], evidence, rule)


def _open(why: str) -> Reading:
    return Reading("", 0.0, 0.0, f"open: {why}", "open")


def _broken(words: Words) -> bool:
    return not _BREAKS.isdisjoint(words)


def _without_parentheses(text: str) -> str:
    """The text without what stands in parentheses; the text itself when nothing else does.

    >>> _without_parentheses("minor basilica (1905)")
    'minor basilica'
    """
    outer = " ".join(re.sub(r"\([^()]*\)?", " ", text).split())
    return outer if key(outer) else text


def _pieces(words: Words) -> list[Words]:
    """The words between the breaks, in their order."""
    pieces: list[list[str]] = [[]]
    for word in words:
        if word in _BREAKS:
            pieces.append([])
        else:
            pieces[-1].append(word)
    return [tuple(piece) for piece in pieces if piece]
