"""Depth and branching, counted by hand."""

import networkx as nx

from hgld.hierarchy.taxonomy.graph_statistics import hierarchy_shape


def test_isolated_classes_do_not_count() -> None:
    dag: nx.DiGraph[str] = nx.DiGraph([("d", "b"), ("d", "c"), ("b", "a"), ("c", "a"), ("e", "d")])
    dag.add_node("isolated")
    assert hierarchy_shape(dag) == {
        "roots": 1,
        "leaves": 1,
        "depth_max": 3,
        "depth_mean": 1.4,
        "branching_max": 2,
        "branching_mean": 1.25,
        "branching_median": 1,
        "share_with_several_parents": 0.25,
    }


def test_a_graph_without_edges_has_zeros() -> None:
    assert set(hierarchy_shape(nx.DiGraph()).values()) == {0}
