"""The curated taxonomy against a class graph of Wikidata: undecided overlaps, and rows without effect.

A snapshot has the classes of some landmarks and their ancestors, not all of Wikidata. That a class is missing proves
nothing, so rows without effect are only counted; they are mistakes when the snapshot is known to be complete
(`hgld check --strict`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import networkx as nx

from hgld.foundation.display.visible import visible
from hgld.hierarchy.taxonomy.class_graph import Edge, class_graph
from hgld.hierarchy.taxonomy.class_labels import AnchorPath, anchor_paths
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import Anchor, Taxonomy


@dataclass(frozen=True)
class ClassSnapshot:
    """The classes of items, the subclass statements above them, and the known English labels."""

    used: frozenset[str]
    edges: frozenset[Edge]
    names: Mapping[str, str]

    @property
    def classes(self) -> set[str]:
        """Every class in the snapshot."""
        return {*self.used, *(qid for edge in self.edges for qid in edge)}


@dataclass(frozen=True)
class CuratedRow:
    """A row of a curated file and its state in the snapshot: used, idle (known, but without effect) or absent."""

    file: str
    key: str
    state: str


@dataclass(frozen=True)
class Findings:
    """The problems, the state of every row, and what a person may want to look at."""

    problems: tuple[str, ...]
    rows: tuple[CuratedRow, ...]
    renamed: tuple[str, ...]
    labels_without_class: tuple[str, ...]

    def text(self, source: str) -> str:
        """All but the problems, for the terminal; source: where the snapshot comes from."""
        counts = Counter((row.file, row.state) for row in self.rows)
        lines = [f"Against the class graph of {source}:"]
        for file in dict.fromkeys(row.file for row in self.rows):
            states = ", ".join(f"{counts[file, state]} {state}" for state in ("used", "idle", "absent"))
            lines.append(f"  {file}: {states}")
        if self.labels_without_class:
            lines.append(f"  labels to which no class leads: {', '.join(self.labels_without_class)}")
        lines += [f"  {text}" for text in self.renamed]
        return "\n".join(map(visible, lines))

    def rows_without_effect(self) -> list[str]:
        """One message per row that is idle or absent; these are mistakes when the snapshot is complete."""
        reasons = {"idle": "has no effect", "absent": "is not in the class graph"}
        return [
            f"{row.file}: {row.key} {reasons[row.state]}; correct or remove the row"
            for row in self.rows
            if row.state != "used"
        ]


def check_taxonomy(taxonomy: Taxonomy, snapshot: ClassSnapshot) -> Findings:
    """Check the curated files against a snapshot.

    A row is *used* when it has an effect: an anchor or a blocking class that ends the path of some item's class, an
    ignored class that an item has or an edge leads to, a cut edge that is stated. It is *absent* when its class (for a
    cut edge: one of the two) is not in the snapshot, and *idle* otherwise.
    """
    graph = class_graph(snapshot.edges, taxonomy)
    paths = anchor_paths(graph.dag, taxonomy, snapshot.used)
    ends = {paths[qid].qids[-1] for qid in snapshot.used if qid in paths}
    return Findings(
        problems=tuple(_undecided(graph.dag, taxonomy)),
        rows=tuple(_rows(taxonomy, snapshot, ends)),
        renamed=tuple(_renamed(taxonomy, snapshot.names)),
        labels_without_class=tuple(_unreached(taxonomy, paths, snapshot.used)),
    )


def _undecided(dag: "nx.DiGraph[str]", taxonomy: Taxonomy) -> Iterator[str]:
    """Anchors below another label's anchor of the same precedence."""
    for qid in sorted(taxonomy.anchors.keys() & set(dag), key=qid_number):
        low = taxonomy.anchors[qid]
        for high in _next_anchors(qid, dag, taxonomy):
            if high.hierarchical_label != low.hierarchical_label and high.precedence == low.precedence:
                yield (
                    f"taxonomy.csv: '{low.hierarchical_label}' {low.name} ({qid}) is below "
                    f"'{high.hierarchical_label}' {high.name} ({high.qid}) and both have precedence "
                    f"{low.precedence}; give the label that should win the lower one"
                )


def _next_anchors(qid: str, dag: "nx.DiGraph[str]", taxonomy: Taxonomy) -> list[Anchor]:
    """The anchors above a class with no other anchor in between, by QID number."""
    anchors, visited, stack = set(), set(), list(dag[qid])
    while stack:
        ancestor = stack.pop()
        if ancestor in visited:
            continue
        visited.add(ancestor)
        if ancestor in taxonomy.anchors:
            anchors.add(ancestor)
        elif not taxonomy.blocks(ancestor):
            stack += dag[ancestor]
    return [taxonomy.anchors[anchor] for anchor in sorted(anchors, key=qid_number)]


def _rows(taxonomy: Taxonomy, snapshot: ClassSnapshot, ends: set[str]) -> Iterator[CuratedRow]:
    known = snapshot.classes
    reached = {parent for _, parent in snapshot.edges} | snapshot.used

    def state(used: bool, *classes: str) -> str:
        return "used" if used else "idle" if all(qid in known for qid in classes) else "absent"

    for qid, anchor in taxonomy.anchors.items():
        yield CuratedRow("taxonomy.csv", f"{qid} {anchor.name}", state(qid in ends, qid))
    for qid, ignored in taxonomy.ignored.items():
        used = qid in reached if ignored.reach == "class" else qid in ends
        yield CuratedRow("ignored_classes.csv", f"{qid} {ignored.name}", state(used, qid))
    for child, parent in taxonomy.cuts:
        used = (child, parent) in snapshot.edges
        yield CuratedRow("cut_edges.csv", f"{child} > {parent}", state(used, child, parent))


def _renamed(taxonomy: Taxonomy, names: Mapping[str, str]) -> Iterator[str]:
    """Classes whose label on Wikidata differs from the name in the row: renamed there, or a mistyped QID here."""
    ours = {qid: anchor.name for qid, anchor in taxonomy.anchors.items()}
    ours.update((qid, ignored.name) for qid, ignored in taxonomy.ignored.items())
    for qid, name in ours.items():
        if names.get(qid, name).casefold() != name.casefold():
            yield f"{qid} is '{names[qid]}' on Wikidata and '{name}' here: renamed, or a mistyped QID?"


def _unreached(taxonomy: Taxonomy, paths: Mapping[str, AnchorPath], used: Iterable[str]) -> list[str]:
    """The labels of the taxonomy that no class of an item gets."""
    reached = {paths[qid].label for qid in used if qid in paths}
    return [label for label in taxonomy.natures if label not in reached]
