"""The class graph: no cycle stays, no edge goes without need or reason, and order changes nothing."""

import os
import subprocess
import sys

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgld.hierarchy.taxonomy.class_graph import SELF, SHORTCUT, break_cycles, class_graph, reduced
from hgld.hierarchy.taxonomy.taxonomy import Cut, Ignored, Taxonomy

NOTHING = Taxonomy({}, {}, {})

qids = st.integers(1, 12).map(lambda number: f"Q{number}")
edge_lists = st.lists(st.tuples(qids, qids), max_size=40)


def edges_of(dag: "nx.DiGraph[str]") -> set[tuple[str, str]]:
    return set(dag.edges)


def test_the_edge_that_leads_back_into_the_loop_goes() -> None:
    # Q1 > Q2 > Q3 > Q1, and Q3 alone has a parent outside
    graph = class_graph([("Q1", "Q2"), ("Q2", "Q3"), ("Q3", "Q1"), ("Q3", "Q9")], NOTHING)
    assert [(one.child, one.parent) for one in graph.removed] == [("Q3", "Q1")]
    assert graph.removed[0].reason == "cycle: of 3 classes"


def test_a_loop_without_a_way_out_loses_one_edge_by_number() -> None:
    graph = class_graph([("Q7", "Q5"), ("Q5", "Q7")], NOTHING)
    assert edges_of(graph.dag) == {("Q7", "Q5")}


def test_curated_rules_come_first_and_give_their_reasons() -> None:
    taxonomy = Taxonomy(
        anchors={},
        ignored={
            "Q9": Ignored("Q9", "organization", "class", "a body"),
            "Q8": Ignored("Q8", "x", "below", "y"),
        },
        cuts={("Q1", "Q2"): Cut("Q1", "Q2", "another sense")},
    )
    graph = class_graph([("Q1", "Q2"), ("Q1", "Q9"), ("Q1", "Q8"), ("Q3", "Q3"), ("Q1", "Q8")], taxonomy)
    assert edges_of(graph.dag) == {("Q1", "Q8")}
    assert {(one.child, one.parent): one.reason for one in graph.removed} == {
        ("Q1", "Q2"): "curated: another sense",
        ("Q1", "Q9"): "ignored class: a body",
        ("Q3", "Q3"): SELF,
    }


@given(edge_lists)
def test_what_stays_is_acyclic_and_what_goes_would_close_a_cycle(edges: list[tuple[str, str]]) -> None:
    graph = class_graph(edges, NOTHING)
    assert nx.is_directed_acyclic_graph(graph.dag)
    gone = {(one.child, one.parent) for one in graph.removed}
    assert edges_of(graph.dag) | gone == set(edges)
    assert not edges_of(graph.dag) & gone
    for child, parent in gone:
        assert child == parent or nx.has_path(graph.dag, parent, child)


@given(edge_lists.flatmap(lambda edges: st.tuples(st.just(edges), st.permutations(edges))))
def test_order_changes_nothing(two: tuple[list[tuple[str, str]], list[tuple[str, str]]]) -> None:
    first, second = (class_graph(edges, NOTHING) for edges in two)
    assert first.removed == second.removed
    assert edges_of(first.dag) == edges_of(second.dag)


SCRIPT = """
from hgld.hierarchy.taxonomy.class_graph import break_cycles
edges = [(f"Q{a}", f"Q{(a * 7 + b * 3) % 41 + 1}") for a in range(1, 42) for b in range(4)]
dag, removed = break_cycles({edge for edge in edges if edge[0] != edge[1]})
print([(one.child, one.parent) for one in removed], sorted(dag.edges))
"""


def test_the_hash_seed_changes_nothing() -> None:
    def output(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert output("0") == output("1") != ""


def test_the_script_above_removes_something() -> None:
    _, removed = break_cycles([("Q1", "Q2"), ("Q2", "Q1")])
    assert len(removed) == 1


@pytest.mark.parametrize("size", [300])
def test_a_large_loop_is_cut_once(size: int) -> None:
    edges = [(f"Q{n}", f"Q{n % size + 1}") for n in range(1, size + 1)]
    assert len(class_graph(edges, NOTHING).removed) == 1


def test_the_reduction_drops_shortcuts_and_keeps_attributes() -> None:
    dag: nx.DiGraph[str] = nx.DiGraph()
    dag.add_node("Q1", label="cathedral", categories=3)
    dag.add_edge("Q1", "Q2", since=2012)
    dag.add_edge("Q2", "Q10", since=2013)
    dag.add_edge("Q1", "Q10", since=2014)
    graph, shortcuts = reduced(dag)
    assert [(one.child, one.parent, one.reason) for one in shortcuts] == [("Q1", "Q10", SHORTCUT)]
    assert graph.nodes["Q1"] == {"label": "cathedral", "categories": 3}
    assert graph.edges["Q1", "Q2"] == {"since": 2012}
    assert dag.number_of_edges() == 3


@given(edge_lists)
def test_the_reduction_is_that_of_networkx(edges: list[tuple[str, str]]) -> None:
    dag = class_graph(edges, NOTHING).dag
    graph, shortcuts = reduced(dag)
    assert edges_of(graph) == edges_of(nx.transitive_reduction(dag))
    assert edges_of(graph) | {(one.child, one.parent) for one in shortcuts} == edges_of(dag)
    assert set(graph) == set(dag)
