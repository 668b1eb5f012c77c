"""The acyclic class graph: Wikidata's P279 statements without the curated cuts and one edge of every cycle.

Wikidata's subclass statements contain cycles, edges into notions too general to mean anything, and edges that hold only
for a sense in which no landmark is meant. Every removed edge is a row with its reason. The result depends on the set of
edges alone, never on their order or on a hash.

Labels follow from this graph. The hierarchy that is published and drawn is its transitive reduction.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx

from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy

Edge = tuple[str, str]

# The reasons are values of build/removed_edges.
SELF = "cycle: a class below itself"
SHORTCUT = "shortcut: a longer way says the same"


@dataclass(frozen=True)
class RemovedEdge:
    """A subclass edge that is not in the hierarchy, and why."""

    child: str
    parent: str
    reason: str


@dataclass(frozen=True)
class ClassGraph:
    """An acyclic graph of classes, edges from child to parent; and its removed edges, sorted."""

    dag: "nx.DiGraph[str]"
    removed: tuple[RemovedEdge, ...]


def class_graph(edges: Iterable[Edge], taxonomy: Taxonomy) -> ClassGraph:
    """The directed acyclic graph of `edges` (child, parent); duplicates count once.

    First the curated rules remove the edges of cut_edges.csv and those into a class that is ignored by itself, then
    `break_cycles` removes the cycles.
    """
    removed: list[RemovedEdge] = []
    remaining: list[Edge] = []
    for child, parent in sorted(set(edges), key=edge_order):
        if reason := _curated_reason(child, parent, taxonomy):
            removed.append(RemovedEdge(child, parent, reason))
        else:
            remaining.append((child, parent))
    dag, cyclic = break_cycles(remaining)
    return ClassGraph(dag, tuple(sorted([*removed, *cyclic], key=_removed_order)))


def edge_order(edge: tuple[str, ...]) -> tuple[int, ...]:
    """The sort key of an edge (child, parent): their QID numbers."""
    return tuple(map(qid_number, edge))


def _removed_order(edge: RemovedEdge) -> tuple[int, ...]:
    return edge_order((edge.child, edge.parent))


def _curated_reason(child: str, parent: str, taxonomy: Taxonomy) -> str:
    if (child, parent) in taxonomy.cuts:
        return f"curated: {taxonomy.cuts[child, parent].reason}"
    if taxonomy.excludes(parent):
        return f"ignored class: {taxonomy.ignored[parent].reason}"
    return SELF if child == parent else ""


def break_cycles(edges: Iterable[Edge]) -> tuple["nx.DiGraph[str]", list[RemovedEdge]]:
    """An acyclic graph of `edges`, and the removed edges, sorted; a maximal one: no removed edge could be added back.

    In each strongly connected component the edges are added one by one, and an edge that would close a cycle is
    removed. The order is by the parent's distance to an exit of the component (number of edges up to a class with a
    parent outside), then by the QID numbers of parent and child: edges towards an exit stay, and the edge back into
    the cycle is removed.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    ordered: list[Edge] = sorted(edges, key=edge_order)
    graph.add_edges_from(ordered)
    removed: list[RemovedEdge] = []
    for component in nx.strongly_connected_components(graph):
        if len(component) > 1:
            removed += _break_component(graph, component)
    graph.remove_edges_from([(edge.child, edge.parent) for edge in removed])
    return graph, sorted(removed, key=_removed_order)


def _break_component(graph: "nx.DiGraph[str]", component: set[str]) -> list[RemovedEdge]:
    """The edges of one component that close a cycle, in the order described in `break_cycles`."""
    distance = _distance_to_exit(graph, component)
    inside = [(child, parent) for child in component for parent in graph[child] if parent in component]
    inside.sort(key=lambda edge: (distance.get(edge[1], len(component)), qid_number(edge[1]), qid_number(edge[0])))
    acyclic: nx.DiGraph[str] = nx.DiGraph()
    acyclic.add_nodes_from(component)
    removed = []
    for child, parent in inside:
        if nx.has_path(acyclic, parent, child):
            removed.append(RemovedEdge(child, parent, f"cycle: of {len(component)} classes"))
        else:
            acyclic.add_edge(child, parent)
    return removed


def _distance_to_exit(graph: "nx.DiGraph[str]", component: set[str]) -> dict[str, int]:
    """Number of edges from each class of the component up to the nearest class with a parent outside."""
    frontier = {qid for qid in component if any(parent not in component for parent in graph[qid])}
    distance = dict.fromkeys(frontier, 0)
    steps = 0
    while frontier:
        steps += 1
        frontier = {
            child for qid in frontier for child in graph.predecessors(qid) if child in component
        } - distance.keys()
        distance.update(dict.fromkeys(frontier, steps))
    return distance


def transitive_reduction(dag: "nx.DiGraph[str]") -> tuple["nx.DiGraph[str]", list[RemovedEdge]]:
    """The unique transitive reduction of an acyclic graph, and its removed shortcuts, sorted.

    Nodes and remaining edges keep their attributes, which networkx.transitive_reduction drops.
    """
    ancestors: dict[str, int] = {}  # bit sets, one bit per class: sets would take a hundred times the memory
    bit = {qid: index for index, qid in enumerate(reversed(list(nx.topological_sort(dag))))}
    shortcuts = []
    for qid in bit:
        indirect = 0
        for parent in dag[qid]:
            indirect |= ancestors[parent]
        shortcuts += [(qid, parent) for parent in dag[qid] if indirect >> bit[parent] & 1]
        ancestors[qid] = indirect | sum(1 << bit[parent] for parent in dag[qid])
    graph = dag.copy()
    graph.remove_edges_from(shortcuts)
    return graph, [RemovedEdge(child, parent, SHORTCUT) for child, parent in sorted(shortcuts, key=edge_order)]
