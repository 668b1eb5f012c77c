"""Depth and branching of a class hierarchy."""

from statistics import mean, median

import networkx as nx


def hierarchy_shape(dag: "nx.DiGraph[str]") -> dict[str, float | int]:
    """Depth and branching of an acyclic graph with edges from child to parent; all 0 without an edge.

    The depth of a class is the number of edges on its longest path up to a root; the branching of a class with
    children is their number. Isolated classes do not count.

    >>> graph = nx.DiGraph([("cathedral", "church"), ("chapel", "church"), ("church", "building")])
    >>> hierarchy_shape(graph)["depth_max"]
    2
    """
    classes = [qid for qid in nx.topological_sort(dag) if dag.degree(qid)]
    if not classes:
        return dict.fromkeys(_STATISTICS, 0)
    depth: dict[str, int] = {}
    for qid in reversed(classes):
        depth[qid] = max((depth[parent] + 1 for parent in dag[qid]), default=0)
    children = [int(dag.in_degree(qid)) for qid in classes if dag.in_degree(qid)]
    parents = [int(dag.out_degree(qid)) for qid in classes if dag.out_degree(qid)]
    values = (
        len(classes) - len(parents),
        len(classes) - len(children),
        max(depth.values()),
        round(mean(depth.values()), 4),
        max(children),
        round(mean(children), 4),
        median(children),
        round(sum(count > 1 for count in parents) / len(parents), 4),
    )
    return dict(zip(_STATISTICS, values, strict=True))


_STATISTICS = (
    "roots",
    "leaves",
    "depth_max",
    "depth_mean",
    "branching_max",
    "branching_mean",
    "branching_median",
    "share_with_several_parents",
)
