"""The taxonomy against a class graph of Wikidata: is every decision made, and does every row matter?

A snapshot holds the classes of some landmarks and what stands above them, never all of Wikidata. That a class is not
in it proves nothing, so rows without use are counted; only who knows the snapshot to be whole (`strict`) takes them
for mistakes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import networkx as nx

from hgld.hierarchy.taxonomy.class_graph import Edge, class_graph
from hgld.hierarchy.taxonomy.class_labels import Route, routes
from hgld.hierarchy.taxonomy.taxonomy import Anchor, Taxonomy, number


@dataclass(frozen=True)
class Snapshot:
    """The classes that items have, the subclass statements above them, and the English labels that are known."""

    used: frozenset[str]
    edges: frozenset[Edge]
    names: Mapping[str, str]

    @property
    def classes(self) -> set[str]:
        """Every class that the snapshot speaks of."""
        return {*self.used, *(qid for edge in self.edges for qid in edge)}


@dataclass(frozen=True)
class Row:
    """A row of a curated file and what the snapshot has for it: used, idle (known, but it decides nothing), absent."""

    file: str
    key: str
    state: str


@dataclass(frozen=True)
class Findings:
    """What is wrong whatever the snapshot, the state of every row, and what a person may want to look at."""

    problems: tuple[str, ...]
    rows: tuple[Row, ...]
    renamed: tuple[str, ...]
    labels_without_class: tuple[str, ...]

    def text(self, where: str) -> str:
        """The findings that are no problem, for the terminal; `where` names the snapshot."""
        counts = Counter((row.file, row.state) for row in self.rows)
        lines = [f"Against the class graph of {where}:"]
        for file in dict.fromkeys(row.file for row in self.rows):
            states = ", ".join(f"{counts[file, state]} {state}" for state in ("used", "idle", "absent"))
            lines.append(f"  {file}: {states}")
        if self.labels_without_class:
            lines.append(f"  labels that none of its classes lead to: {', '.join(self.labels_without_class)}")
        lines += [f"  {text}" for text in self.renamed]
        return "\n".join(lines)

    def dead(self) -> list[str]:
        """One message a row without use; mistakes when the snapshot is whole."""
        saying = {"idle": "never decides anything", "absent": "is not in the class graph"}
        return [
            f"{row.file}: {row.key} {saying[row.state]}; correct or remove the row"
            for row in self.rows
            if row.state != "used"
        ]


def examine(taxonomy: Taxonomy, snapshot: Snapshot) -> Findings:
    """Hold the curated files against a snapshot.

    A row is *used* when it changes something: an anchor or a closing class that some class leads to, an ignored class
    that an item has or an edge leads into, a cut edge that is stated. It is *absent* when its class (for a cut: one of
    its two) is not in the snapshot, and *idle* otherwise.
    """
    graph = class_graph(snapshot.edges, taxonomy)
    ways = routes(graph.dag, taxonomy, snapshot.used)
    ends = {ways[qid].path[-1] for qid in snapshot.used if qid in ways}
    return Findings(
        problems=tuple(_undecided(graph.dag, taxonomy)),
        rows=tuple(_rows(taxonomy, snapshot, ends)),
        renamed=tuple(_renamed(taxonomy, snapshot.names)),
        labels_without_class=tuple(_unreached(taxonomy, ways, snapshot.used)),
    )


def _undecided(dag: "nx.DiGraph[str]", taxonomy: Taxonomy) -> Iterator[str]:
    """Anchors below another label's anchor where the precedence does not say which comes first."""
    for qid in sorted(taxonomy.anchors.keys() & set(dag), key=number):
        low = taxonomy.anchors[qid]
        for high in _next_anchors(qid, dag, taxonomy):
            if high.hierarchical_label != low.hierarchical_label and high.precedence == low.precedence:
                yield (
                    f"taxonomy.csv: '{low.hierarchical_label}' {low.name} ({qid}) lies under "
                    f"'{high.hierarchical_label}' {high.name} ({high.qid}) and both have precedence "
                    f"{low.precedence}; say which comes first by different numbers"
                )


def _next_anchors(qid: str, dag: "nx.DiGraph[str]", taxonomy: Taxonomy) -> list[Anchor]:
    """The anchors above a class that no other anchor stands before, by QID number."""
    found, seen, ahead = set(), set(), list(dag[qid])
    while ahead:
        one = ahead.pop()
        if one in seen:
            continue
        seen.add(one)
        if one in taxonomy.anchors:
            found.add(one)
        elif not taxonomy.closes(one):
            ahead += dag[one]
    return [taxonomy.anchors[one] for one in sorted(found, key=number)]


def _rows(taxonomy: Taxonomy, snapshot: Snapshot, ends: set[str]) -> Iterator[Row]:
    known = snapshot.classes
    entered = {parent for _, parent in snapshot.edges} | snapshot.used

    def state(used: bool, *classes: str) -> str:
        return "used" if used else "idle" if all(qid in known for qid in classes) else "absent"

    for qid, anchor in taxonomy.anchors.items():
        yield Row("taxonomy.csv", f"{qid} {anchor.name}", state(qid in ends, qid))
    for qid, ignored in taxonomy.ignored.items():
        matters = qid in entered if ignored.reach == "class" else qid in ends
        yield Row("ignored_classes.csv", f"{qid} {ignored.name}", state(matters, qid))
    for child, parent in taxonomy.cuts:
        yield Row(
            "cut_edges.csv", f"{child} > {parent}", state((child, parent) in snapshot.edges, child, parent)
        )


def _renamed(taxonomy: Taxonomy, names: Mapping[str, str]) -> Iterator[str]:
    """Classes that Wikidata calls something else than the row does: renamed there, or a mistyped QID here."""
    ours = {qid: row.name for qid, row in taxonomy.anchors.items()}
    ours.update((qid, row.name) for qid, row in taxonomy.ignored.items())
    for qid, name in ours.items():
        if names.get(qid, name).casefold() != name.casefold():
            yield f"{qid} is '{names[qid]}' there and '{name}' here: renamed, or another class?"


def _unreached(taxonomy: Taxonomy, ways: Mapping[str, Route], used: Iterable[str]) -> list[str]:
    given = {route.anchor.hierarchical_label for qid in used if (route := ways.get(qid)) and route.anchor}
    return [label for label in taxonomy.natures if label not in given]
