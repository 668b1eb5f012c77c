"""Rules from the English name of a class to a hierarchical label: the whole name, then its head, then any word in it.

An "Anglican or Episcopal cathedral" is a cathedral, a "museum of lighthouses" a museum, a "church ruin" a ruin: the
head of an English name ends before the first preposition. All rules are exact matches against the lexicon
(class_names), the taxonomy and a Wikidata snapshot, so that each has evidence to show. Names that no rule matches are
left to name_classifier.

The rules, in order (the keys of SCORES; `NameRules.predict` applies them):

1. the whole name: `anchor` (of the taxonomy), `open` (an ignored class or kind: no label), `class` (of the snapshot),
   `name` or `general` (of the lexicon);
2. `head`: a kind at the end of the text before a preposition, or a general word there and a kind before it;
3. `compound`: a kind at the end of the last word of such a text (Hügelburghotel);
4. `word`: a kind anywhere;
5. `general`: a general word at the head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hgld.hierarchy.names.class_names import ClassName, Tokens, tokenize
from hgld.hierarchy.names.known_classes import KnownClasses
from hgld.hierarchy.names.name_words import split_parentheses
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import NATURES, IgnoredClass, Taxonomy

# The precision of each rule, which is the score of its labels: measured on the English names of the classes of a
# Wikidata snapshot whose label is known from their path (tests/hierarchy/names/test_name_rules.py).
SCORES = {
    "anchor": 0.99,
    "class": 0.98,
    "name": 0.97,
    "head": 0.93,
    "compound": 0.8,
    "word": 0.6,
    "general": 0.5,
}

# The words that end the head of a name.
_BREAKS = frozenset([
    "of", "in", "for", "on", "at", "with", "near", "from", "by", "to", "under", "over", "without", "between",
    "located", "incorporated", "converted", "used", "built", "dedicated", "belonging", "associated", "designed",
    "made", "listed", "based", "and", "or", "as", "that", "which", "the", "a", "an",
    "de", "du", "des", "da", "do", "di", "del", "della", "la", "le",
])  # fmt: skip

# The shortest kind that may end another word: "Bergkirche" and "boathouse", but not "car" in "scar".
_MIN_ENDING = 5
# The fewest letters before it: no "ranch" in "branch".
_MIN_BEFORE_ENDING = 3
# Endings of other English and Latin words: "borrowing", "collaboratory", "Ludovicus".
_NO_ENDING = frozenset({"rowing", "laboratory", "vicus"})


@dataclass(frozen=True)
class Prediction:
    """A label predicted from a text, its score, and the evidence.

    hierarchical_label: empty without a label. score, margin: in [0, 1]. rule: the rule or model that decided, "" where
    no rule matches. evidence: the rule and what it matched.
    """

    hierarchical_label: str = ""
    score: float = 0.0
    margin: float = 0.0
    evidence: str = ""
    rule: str = ""


class AnchorName(NamedTuple):
    """A name of the taxonomy: of an anchor class, or of a label itself (qid is empty)."""

    qid: str
    name: str
    hierarchical_label: str


@dataclass(frozen=True)
class NameRules:
    """The rules over the names of the lexicon, of the taxonomy's anchors and ignored classes, and of a snapshot."""

    names: Mapping[Tokens, ClassName]
    anchors: Mapping[Tokens, AnchorName]
    ignored: Mapping[Tokens, IgnoredClass]
    known_classes: KnownClasses | None = None

    def predict(self, text: str) -> Prediction:
        """The prediction of the first rule that matches; with rule "" if none does.

        Text in parentheses is left out, except where it is part of a whole name or nothing else matches.
        """
        outside = split_parentheses(text)[0]
        if not tokenize(outside):
            outside = text
        for variant in dict.fromkeys((text, outside)):
            if prediction := self.match_whole_name(variant):
                return prediction
        for variant in dict.fromkeys((outside, text)):
            if prediction := self._match_parts(tokenize(variant)):
                return prediction
        return Prediction()

    def predict_below_area(self, text: str, taxonomy: Taxonomy, area: IgnoredClass) -> Prediction | None:
        """The prediction for a class below an area of land (reach `area`), if its own name is clear.

        Clear is the name of a kind in the lexicon, or a head before the first preposition with a label of what can be
        such an area: a "parish of Andorra" is no church, a "commune of Ivory Coast" no beach. Where the published rows
        of the area are empty (provinces), what a country calls its divisions says little: of "K of COUNTRY" only a
        natural K counts, or one that ends with its label. A "special city of South Korea" is a city, but a "quarter of
        Saint Lucia" or a "municipality of East Timor" is a province.
        """
        labels = taxonomy.labels_of_areas
        prediction = self.predict(text)
        if prediction.rule == "name":
            return prediction
        if prediction.rule not in ("anchor", "class", "head") or prediction.hierarchical_label not in labels:
            return None
        head, *rest = _segments(tokenize(text)) or [()]
        label = prediction.hierarchical_label
        if self.predict(" ".join(head)).hierarchical_label != label:
            return None
        if area.published and rest and taxonomy.natures[label] != NATURES[0] and head[-1:] != tokenize(label):
            return None
        return prediction

    def match_whole_name(self, text: str) -> Prediction | None:
        """Rule 1: the text is the name of a class."""
        tokens = tokenize(text)
        if anchor := self.anchors.get(tokens):
            evidence = f"class {anchor.qid}: {anchor.name}" if anchor.qid else f"label: {anchor.name}"
            return _labelled(anchor.hierarchical_label, "anchor", evidence)
        if ignored := self.ignored.get(tokens):
            return _open(f"{ignored.name} ({ignored.qid}): {ignored.reason}")
        if self.known_classes and (known := self.known_classes.by_name.get(tokens)):
            return _labelled(known.hierarchical_label, "class", self.known_classes.evidence(known))
        if entry := self.names.get(tokens):
            if entry.role == "open":
                return _open_kind(entry)
            if entry.hierarchical_label:
                rule = "name" if entry.role == "kind" else "general"
                return _labelled(entry.hierarchical_label, rule, f"{rule}: {entry.name}")
        return None

    def _match_parts(self, tokens: Tokens) -> Prediction | None:
        """Rules 2 to 5."""
        if phrase := self._phrase_at_head(tokens):
            return _labelled(phrase.hierarchical_label, "head", f"head: {phrase.name}")
        segments = _segments(tokens)
        general: ClassName | None = None
        for index, segment in enumerate(segments):
            head = self._longest_ending(segment)
            if head is None:
                continue
            entry, before = head
            if entry.role == "open":
                if index == 0:
                    return _open_kind(entry)
                continue
            if entry.role == "kind":
                return _labelled(entry.hierarchical_label, "head", f"head: {entry.name}")
            general = general or (entry if entry.hierarchical_label else None)
            if kind := self._last_kind(before):
                return _labelled(kind.hierarchical_label, "head", f"head: {kind.name} ({entry.name})")
        for segment in segments:
            if kind := self._kind_ending_word(segment[-1]):
                return _labelled(kind.hierarchical_label, "compound", f"compound: {kind.name}")
        for segment in segments:
            if kind := self._last_kind(segment):
                return _labelled(kind.hierarchical_label, "word", f"word: {kind.name}")
        if general:
            return _labelled(general.hierarchical_label, "general", f"general: {general.name}")
        return None

    def _phrase_at_head(self, tokens: Tokens) -> ClassName | None:
        """A kind whose own name contains a preposition (house of prayer), as the head of the text."""
        for end in range(len(tokens), 1, -1):
            for start in range(end - 1):
                entry = self.names.get(tokens[start:end])
                if (
                    entry
                    and entry.role == "kind"
                    and not _BREAKS.isdisjoint(tokens[start : end - 1])
                    and _BREAKS.isdisjoint(tokens[:start])
                ):
                    return entry
        return None

    def _longest_ending(self, tokens: Tokens) -> tuple[ClassName, Tokens] | None:
        """The longest known name that `tokens` end with, and the tokens before it."""
        for start in range(len(tokens)):
            if entry := self._entry(tokens[start:]):
                return entry, tokens[:start]
        return None

    def _last_kind(self, tokens: Tokens) -> ClassName | None:
        """The last kind in `tokens`, the longest name first."""
        for end in range(len(tokens), 0, -1):
            ending = self._longest_ending(tokens[:end])
            if ending and ending[0].role == "kind":
                return ending[0]
        return None

    def _kind_ending_word(self, word: str) -> ClassName | None:
        """The longest single-word kind that `word` ends with."""
        for start in range(_MIN_BEFORE_ENDING, len(word) - _MIN_ENDING + 1):
            if word[start:] in _NO_ENDING:
                return None
            entry = self._entry((word[start:],))
            if entry and entry.role == "kind":
                return entry
        return None

    def _entry(self, tokens: Tokens) -> ClassName | None:
        """The name with these tokens, of an anchor or of the lexicon."""
        entry = self.names.get(tokens)
        if anchor := self.anchors.get(tokens):
            same_label = entry is not None and entry.hierarchical_label == anchor.hierarchical_label
            role = entry.role if entry and same_label else "kind"
            return ClassName(anchor.name, anchor.hierarchical_label, role)
        return entry


def build_name_rules(
    names: Mapping[Tokens, ClassName], taxonomy: Taxonomy, known_classes: KnownClasses | None = None
) -> NameRules:
    """The rules over the lexicon, the taxonomy and, optionally, the classes of a Wikidata snapshot.

    Of two anchors with the same name the one with the lower precedence is kept, then the one with the lower QID number.
    """
    anchors: dict[Tokens, AnchorName] = {}
    for anchor in sorted(taxonomy.anchors.values(), key=lambda row: (row.precedence, qid_number(row.qid))):
        anchors.setdefault(tokenize(anchor.name), AnchorName(anchor.qid, anchor.name, anchor.hierarchical_label))
    for label in taxonomy.natures:
        anchors.setdefault(tokenize(label), AnchorName("", label.strip(), label))
    ignored: dict[Tokens, IgnoredClass] = {}
    for row in sorted(taxonomy.ignored.values(), key=lambda row: qid_number(row.qid)):
        ignored.setdefault(tokenize(row.name), row)
    ignored = {tokens: row for tokens, row in ignored.items() if tokens not in anchors}
    return NameRules(names, anchors, ignored, known_classes)


def _labelled(label: str, rule: str, evidence: str) -> Prediction:
    return Prediction(label, SCORES[rule], SCORES[rule], evidence, rule)


def _open_kind(entry: ClassName) -> Prediction:
    return _open(f"landmarks of the kind '{entry.name}' have no label")


def _open(reason: str) -> Prediction:
    return Prediction("", 0.0, 0.0, f"open: {reason}", "open")


def _segments(tokens: Tokens) -> list[Tokens]:
    """The runs of tokens between breaks, in their order."""
    segments: list[list[str]] = [[]]
    for token in tokens:
        if token in _BREAKS:
            segments.append([])
        else:
            segments[-1].append(token)
    return [tuple(segment) for segment in segments if segment]
