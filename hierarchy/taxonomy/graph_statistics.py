"""How deep and how wide a class hierarchy is, in figures."""

from statistics import mean, median

import networkx as nx


def shape(dag: "nx.DiGraph[str]") -> dict[str, float | int]:
    """Figures of an acyclic graph with edges from child to parent; all 0 when it has no edge.

    Depth is the number of edges of the longest way from a class up to a root; branching the number of classes
    directly below one that has any. Classes without any edge do not count.

    >>> shape(nx.DiGraph([("cathedral", "church"), ("chapel", "church"), ("church", "building")]))["depth_max"]
    2
    """
    classes = [qid for qid in nx.topological_sort(dag) if dag.degree(qid)]
    if not classes:
        return dict.fromkeys(_FIGURES, 0)
    depth: dict[str, int] = {}
    for qid in reversed(classes):
        depth[qid] = max((depth[parent] + 1 for parent in dag[qid]), default=0)
    below = [int(dag.in_degree(qid)) for qid in classes if dag.in_degree(qid)]
    parents = [int(dag.out_degree(qid)) for qid in classes if dag.out_degree(qid)]
    return dict(
        zip(
            _FIGURES,
            (
                len(classes) - len(parents),
                len(classes) - len(below),
                max(depth.values()),
                round(mean(depth.values()), 4),
                max(below),
                round(mean(below), 4),
                median(below),
                round(sum(count > 1 for count in parents) / len(parents), 4),
            ),
            strict=True,
        )
    )


_FIGURES = (
    "roots",
    "leaves",
    "depth_max",
    "depth_mean",
    "branching_max",
    "branching_mean",
    "branching_median",
    "share_with_several_parents",
)
