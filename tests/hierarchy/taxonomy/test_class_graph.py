"""The class graph is acyclic, every removed edge has a reason, and the order of edges does not matter."""

import os
import subprocess
import sys

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from hgld.hierarchy.taxonomy.class_graph import (
    SELF,
    SHORTCUT,
    break_cycles,
    class_graph,
    transitive_reduction,
)
from hgld.hierarchy.taxonomy.taxonomy import CutEdge, IgnoredClass, Taxonomy

EMPTY = Taxonomy({}, {}, {})

qids = st.integers(1, 12).map(lambda number: f"Q{number}")
edge_lists = st.lists(st.tuples(qids, qids), max_size=40)


def edges_of(dag: "nx.DiGraph[str]") -> set[tuple[str, str]]:
    return set(dag.edges)


def test_the_edge_from_the_exit_back_into_the_cycle_is_removed() -> None:
    # Q1 > Q2 > Q3 > Q1, where only Q3 has a parent outside
    graph = class_graph([("Q1", "Q2"), ("Q2", "Q3"), ("Q3", "Q1"), ("Q3", "Q9")], EMPTY)
    assert [(edge.child, edge.parent) for edge in graph.removed] == [("Q3", "Q1")]
    assert graph.removed[0].reason == "cycle: of 3 classes"


def test_a_cycle_without_exit_loses_one_edge_by_qid_number() -> None:
    graph = class_graph([("Q7", "Q5"), ("Q5", "Q7")], EMPTY)
    assert edges_of(graph.dag) == {("Q7", "Q5")}


def test_curated_rules_apply_first_and_give_the_reasons() -> None:
    taxonomy = Taxonomy(
        anchors={},
        ignored={
            "Q9": IgnoredClass("Q9", "organization", "class", "a body"),
            "Q8": IgnoredClass("Q8", "x", "below", "y"),
        },
        cuts={("Q1", "Q2"): CutEdge("Q1", "Q2", "another sense")},
    )
    graph = class_graph([("Q1", "Q2"), ("Q1", "Q9"), ("Q1", "Q8"), ("Q3", "Q3"), ("Q1", "Q8")], taxonomy)
    assert edges_of(graph.dag) == {("Q1", "Q8")}
    assert {(edge.child, edge.parent): edge.reason for edge in graph.removed} == {
        ("Q1", "Q2"): "curated: another sense",
        ("Q1", "Q9"): "ignored class: a body",
        ("Q3", "Q3"): SELF,
    }


@given(edge_lists)
def test_the_graph_is_acyclic_and_each_removed_edge_would_close_a_cycle(edges: list[tuple[str, str]]) -> None:
    graph = class_graph(edges, EMPTY)
    assert nx.is_directed_acyclic_graph(graph.dag)
    removed = {(edge.child, edge.parent) for edge in graph.removed}
    assert edges_of(graph.dag) | removed == set(edges)
    assert not edges_of(graph.dag) & removed
    for child, parent in removed:
        assert child == parent or nx.has_path(graph.dag, parent, child)


@given(edge_lists.flatmap(lambda edges: st.tuples(st.just(edges), st.permutations(edges))))
def test_the_order_of_edges_does_not_matter(
    orders: tuple[list[tuple[str, str]], list[tuple[str, str]]],
) -> None:
    first, second = (class_graph(edges, EMPTY) for edges in orders)
    assert first.removed == second.removed
    assert edges_of(first.dag) == edges_of(second.dag)


SCRIPT = """
from hgld.hierarchy.taxonomy.class_graph import break_cycles
edges = [(f"Q{a}", f"Q{(a * 7 + b * 3) % 41 + 1}") for a in range(1, 42) for b in range(4)]
dag, removed = break_cycles({edge for edge in edges if edge[0] != edge[1]})
print([(edge.child, edge.parent) for edge in removed], sorted(dag.edges))
"""


def test_the_hash_seed_does_not_matter() -> None:
    def output(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert output("0") == output("1") != ""


def test_a_cycle_of_two_loses_one_edge() -> None:
    _, removed = break_cycles([("Q1", "Q2"), ("Q2", "Q1")])
    assert len(removed) == 1


def test_a_large_cycle_loses_one_edge() -> None:
    size = 300
    edges = [(f"Q{n}", f"Q{n % size + 1}") for n in range(1, size + 1)]
    assert len(class_graph(edges, EMPTY).removed) == 1


def test_the_reduction_removes_shortcuts_and_keeps_attributes() -> None:
    dag: nx.DiGraph[str] = nx.DiGraph()
    dag.add_node("Q1", label="cathedral", categories=3)
    dag.add_edge("Q1", "Q2", since=2012)
    dag.add_edge("Q2", "Q10", since=2013)
    dag.add_edge("Q1", "Q10", since=2014)
    graph, shortcuts = transitive_reduction(dag)
    assert [(edge.child, edge.parent, edge.reason) for edge in shortcuts] == [("Q1", "Q10", SHORTCUT)]
    assert graph.nodes["Q1"] == {"label": "cathedral", "categories": 3}
    assert graph.edges["Q1", "Q2"] == {"since": 2012}
    assert dag.number_of_edges() == 3


@given(edge_lists)
def test_the_reduction_equals_that_of_networkx(edges: list[tuple[str, str]]) -> None:
    dag = class_graph(edges, EMPTY).dag
    graph, shortcuts = transitive_reduction(dag)
    assert edges_of(graph) == edges_of(nx.transitive_reduction(dag))
    assert edges_of(graph) | {(edge.child, edge.parent) for edge in shortcuts} == edges_of(dag)
    assert set(graph) == set(dag)
