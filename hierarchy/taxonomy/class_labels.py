"""From an item's classes to its label, with the path of classes that proves it; pure, and independent of any order.

1. A *class* belongs to the nearest anchor above it (fewest P279 edges; 0 for the class itself). An ignored class that
   blocks labels below it competes as an anchor without a label. At equal distance an anchor with a label wins, then
   the lower precedence, then the lower QID number.
2. For an *item*, its most specific classes count: a class above another of its classes with a different label is passed
   over (a historic house museum is not just a museum). Of the rest the one with the lowest precedence decides, then the
   shortest path, then the lowest QID number. That class, by its English label, is the item's supercategory.
3. For a *category* with several candidate items, the labelled candidates of the highest confidence decide if they
   agree; otherwise there is no label, and the note lists the labels in conflict.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import networkx as nx

from hgld.hierarchy.taxonomy.commons_category import CONFIDENCES
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import Anchor, Taxonomy

# The outcomes of a class of an item: values of build/considered.
DECIDES, OUTRANKED, TOO_GENERAL = "decides", "outranked", "above another"
NO_LABEL, IGNORED = "no label", "ignored"


@dataclass(frozen=True)
class AnchorPath:
    """The path from a class to its nearest anchor; `anchor` is None where an ignored class blocks the path.

    qids: the path, from the class to its end. used_ancestors: those of the items' classes (as passed to
    `anchor_paths`) that are above this one.
    """

    anchor: Anchor | None
    qids: tuple[str, ...]
    used_ancestors: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The anchor's hierarchical label; empty without an anchor."""
        return self.anchor.hierarchical_label if self.anchor else ""

    @property
    def length(self) -> int:
        """Number of P279 edges."""
        return len(self.qids) - 1

    @property
    def precedence(self) -> int:
        """The anchor's precedence; 0 without an anchor."""
        return self.anchor.precedence if self.anchor else 0


@dataclass(frozen=True)
class Decision:
    """The label of an item and its evidence; without a label all but `note`, the reason, are empty."""

    deciding_class: str = ""
    supercategory: str = ""
    hierarchical_label: str = ""
    natural_or_human_made: str = ""
    path: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ClassOutcome:
    """A class of an item, its path (None where it has none), and its outcome (one of the constants above)."""

    qid: str
    path: AnchorPath | None
    outcome: str


@dataclass(frozen=True)
class Candidate:
    """An item that a category may be about, the confidence of the match (one of CONFIDENCES), and the item's label."""

    qid: str
    method: str
    confidence: str
    decision: Decision


def anchor_paths(dag: "nx.DiGraph[str]", taxonomy: Taxonomy, used: Iterable[str] = ()) -> dict[str, AnchorPath]:
    """Rule 1: the anchor path of every class of `dag` and of `used` that has one.

    dag: acyclic, edges from child to parent; used: the classes that items have. Linear in the size of the graph, as a
    class extends the best path of its parents.
    """
    paths: dict[str, AnchorPath] = {}
    used = set(used)
    for qid in reversed(list(nx.topological_sort(dag))):
        if path := _path(qid, (paths[parent] for parent in dag[qid] if parent in paths), taxonomy):
            paths[qid] = path
    for qid in used - set(dag):
        if path := _path(qid, (), taxonomy):
            paths[qid] = path
    for qid in paths.keys() & used & set(dag):
        paths[qid] = replace(paths[qid], used_ancestors=frozenset(nx.descendants(dag, qid) & used))
    return paths


def _path(qid: str, of_parents: Iterable[AnchorPath], taxonomy: Taxonomy) -> AnchorPath | None:
    if taxonomy.excludes(qid):
        return None
    if qid in taxonomy.anchors or taxonomy.blocks(qid):
        return AnchorPath(taxonomy.anchors.get(qid), (qid,))
    best = min(of_parents, key=_path_order, default=None)
    return AnchorPath(best.anchor, (qid, *best.qids)) if best else None


def _path_order(path: AnchorPath) -> tuple[int, bool, int, list[int]]:
    """Rule 1's order; QIDs compare from the anchor's end, so that the anchor's number comes first."""
    return path.length, path.anchor is None, path.precedence, [qid_number(qid) for qid in reversed(path.qids)]


def label_item(
    classes: Iterable[str], paths: Mapping[str, AnchorPath], taxonomy: Taxonomy, names: Mapping[str, str]
) -> Decision:
    """Rule 2: the label of an item with these P31 classes.

    paths: from `anchor_paths`; names: the English label of each class, from `unify_case`. A class without an English
    label is named by its QID.
    """
    outcomes = class_outcomes(classes, paths, taxonomy)
    deciding = next((row for row in outcomes if row.outcome == DECIDES), None)
    if deciding is None:
        return Decision(note=_why_unlabelled(outcomes, names))
    qid, path = deciding.qid, deciding.path
    assert path is not None and path.anchor is not None
    return Decision(qid, names.get(qid, qid), path.label, path.anchor.natural_or_human_made, path.qids)


def class_outcomes(
    classes: Iterable[str], paths: Mapping[str, AnchorPath], taxonomy: Taxonomy
) -> tuple[ClassOutcome, ...]:
    """Every class of an item with its path and outcome, by QID number; at most one decides."""
    sorted_classes = sorted(set(classes), key=qid_number)
    labelled = {
        qid: paths[qid] for qid in sorted_classes if not taxonomy.excludes(qid) and qid in paths and paths[qid].anchor
    }
    too_general = {
        ancestor
        for path in labelled.values()
        for ancestor in path.used_ancestors
        if ancestor in labelled and labelled[ancestor].label != path.label
    }
    best = min(
        labelled.keys() - too_general,
        key=lambda qid: (labelled[qid].precedence, labelled[qid].length, qid_number(qid)),
        default=None,
    )

    def outcome(qid: str) -> str:
        if taxonomy.excludes(qid):
            return IGNORED
        if qid not in labelled:
            return NO_LABEL
        if qid in too_general:
            return TOO_GENERAL
        return DECIDES if qid == best else OUTRANKED

    return tuple(ClassOutcome(qid, paths.get(qid), outcome(qid)) for qid in sorted_classes)


def _why_unlabelled(outcomes: tuple[ClassOutcome, ...], names: Mapping[str, str]) -> str:
    """The note of an item without a label; a value of build/labels."""
    if not outcomes:
        return "the item has no class"

    def listed(classes: Iterable[ClassOutcome]) -> str:
        return ", ".join(f"{names.get(row.qid, '?')} ({row.qid})" for row in classes)

    if not_ignored := [row for row in outcomes if row.outcome != IGNORED]:
        return f"no class leads to a label: {listed(not_ignored)}"
    return f"only ignored classes: {listed(outcomes)}"


def choose_candidate(candidates: Iterable[Candidate]) -> tuple[Candidate | None, str]:
    """Rule 3: the item of a category, or None; and a note where there were several candidates.

    Unlabelled candidates are passed over when another has a label. Of the rest, those of the highest confidence
    decide: if they agree on the label, the one with the lowest QID number is chosen.
    """
    ranked = sorted(candidates, key=lambda item: (CONFIDENCES.index(item.confidence), qid_number(item.qid)))
    labelled = [item for item in ranked if item.decision.hierarchical_label]
    if not labelled:
        return (ranked[0], ranked[0].decision.note) if ranked else (None, "no item found")
    trusted = [item for item in labelled if item.confidence == labelled[0].confidence]
    if len({item.decision.hierarchical_label for item in trusted}) > 1:
        claims = ", ".join(f"{item.qid} {item.decision.hierarchical_label.strip()}" for item in trusted)
        return None, f"ambiguous: {claims}"
    if len(ranked) == 1:
        return trusted[0], ""
    note = f"{len(ranked)} candidates; {len(trusted)} of confidence '{trusted[0].confidence}' agree"
    return trusted[0], note


def unify_case(labels: Mapping[str, str]) -> dict[str, str]:
    """Class → English label, where labels that differ only in case get the spelling of the lowest QID number.

    >>> unify_case({"Q7": "Catholic cathedral", "Q12": "catholic cathedral"})["Q12"]
    'Catholic cathedral'
    """
    spelling: dict[str, str] = {}
    for qid in sorted(labels, key=qid_number):
        spelling.setdefault(labels[qid].casefold(), labels[qid])
    return {qid: spelling[label.casefold()] for qid, label in labels.items()}
