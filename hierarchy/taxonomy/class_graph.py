"""The class graph without cycles: what P279 says, less the curated cuts, less one edge of every cycle.

Wikidata's subclass statements hold loops, edges into notions too general to mean anything, and senses that no
landmark is meant in. Every edge that goes is a row with its reason. The result depends on the set of edges alone,
never on their order or on a hash.

Labels are found on this acyclic graph, as a shortcut is a statement too. The hierarchy that is published and drawn is
its transitive reduction (`reduced`): the same order of classes, without edges that a longer way implies.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx

from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, number

Edge = tuple[str, str]

SELF = "cycle: a class below itself"
SHORTCUT = "shortcut: a longer way says the same"


@dataclass(frozen=True)
class Removed:
    """A subclass edge that is not in the hierarchy, and why."""

    child: str
    parent: str
    reason: str


@dataclass(frozen=True)
class ClassGraph:
    """An acyclic graph of classes, edges from child to parent; and the edges that it lost, sorted."""

    dag: "nx.DiGraph[str]"
    removed: tuple[Removed, ...]


def class_graph(edges: Iterable[Edge], taxonomy: Taxonomy) -> ClassGraph:
    """Cut `edges` (child, parent) into a directed acyclic graph.

    First the curated rules: edges of cut_edges.csv, and edges into a class that is ignored as a class. Then cycles:
    see `break_cycles`. Duplicate edges count once.
    """
    removed: list[Removed] = []
    kept: list[Edge] = []
    for child, parent in sorted(set(edges), key=_order):
        reason = _curated(child, parent, taxonomy)
        if reason:
            removed.append(Removed(child, parent, reason))
        else:
            kept.append((child, parent))
    dag, cyclic = break_cycles(kept)
    removed += cyclic
    return ClassGraph(dag, tuple(sorted(removed, key=lambda one: _order((one.child, one.parent)))))


def _order(edge: Edge) -> tuple[int, int]:
    return number(edge[0]), number(edge[1])


def _curated(child: str, parent: str, taxonomy: Taxonomy) -> str:
    if (child, parent) in taxonomy.cuts:
        return f"curated: {taxonomy.cuts[child, parent].reason}"
    if taxonomy.skips(parent):
        return f"ignored class: {taxonomy.ignored[parent].reason}"
    return SELF if child == parent else ""


def reduced(dag: "nx.DiGraph[str]") -> tuple["nx.DiGraph[str]", list[Removed]]:
    """The transitive reduction of an acyclic graph, and the shortcuts that it lost, sorted.

    Nodes and the edges that stay keep their attributes. What is above what stays as it was; the reduction is unique.
    """
    above: dict[str, int] = {}  # as bits, one a class: sets would take a hundred times the memory
    place = {qid: index for index, qid in enumerate(reversed(list(nx.topological_sort(dag))))}
    shortcuts = []
    for qid in place:
        further = 0
        for parent in dag[qid]:
            further |= above[parent]
        shortcuts += [(qid, parent) for parent in dag[qid] if further >> place[parent] & 1]
        above[qid] = further | sum(1 << place[parent] for parent in dag[qid])
    graph = dag.copy()
    graph.remove_edges_from(shortcuts)
    return graph, [Removed(child, parent, SHORTCUT) for child, parent in sorted(shortcuts, key=_order)]


def break_cycles(edges: Iterable[Edge]) -> tuple["nx.DiGraph[str]", list[Removed]]:
    """An acyclic graph of `edges`, and the edges that had to go.

    The rule, for each strongly connected component: its edges are taken in the order of how near the parent is to a
    way out of the component upwards (number of edges to a class with a parent outside), then of the parent's QID
    number, then of the child's; an edge that would close a cycle with those taken before it goes. So the edges that
    lead out of the loop stay, and the one that leads back into it goes. No edge goes that could stay.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    ordered: list[Edge] = sorted(edges, key=_order)
    graph.add_edges_from(ordered)
    removed: list[Removed] = []
    for component in nx.strongly_connected_components(graph):
        if len(component) > 1:
            removed += _break(graph, component)
    graph.remove_edges_from([(one.child, one.parent) for one in removed])
    return graph, sorted(removed, key=lambda one: _order((one.child, one.parent)))


def _break(graph: "nx.DiGraph[str]", component: set[str]) -> list[Removed]:
    """The edges of one component that close a cycle, in the order described in `break_cycles`."""
    away = _distance_to_exit(graph, component)
    inside = [(child, parent) for child in component for parent in graph[child] if parent in component]
    inside.sort(key=lambda edge: (away.get(edge[1], len(component)), number(edge[1]), number(edge[0])))
    taken: nx.DiGraph[str] = nx.DiGraph()
    taken.add_nodes_from(component)
    removed = []
    for child, parent in inside:
        if nx.has_path(taken, parent, child):
            removed.append(Removed(child, parent, f"cycle: of {len(component)} classes"))
        else:
            taken.add_edge(child, parent)
    return removed


def _distance_to_exit(graph: "nx.DiGraph[str]", component: set[str]) -> dict[str, int]:
    """Number of edges from each class of the component up to the nearest one that has a parent outside."""
    near = {one for one in component if any(parent not in component for parent in graph[one])}
    away = dict.fromkeys(near, 0)
    steps = 0
    while near:
        steps += 1
        near = {
            below for one in near for below in graph.predecessors(one) if below in component
        } - away.keys()
        away.update(dict.fromkeys(near, steps))
    return away
