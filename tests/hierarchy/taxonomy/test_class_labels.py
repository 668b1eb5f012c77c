"""The labelling rules, one test per rule of the module's docstring; and independence of order and hash seed."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgld.hierarchy.taxonomy.class_graph import class_graph
from hgld.hierarchy.taxonomy.class_labels import (
    Candidate,
    Decision,
    anchor_paths,
    choose_candidate,
    label_item,
    unify_case,
)
from hgld.hierarchy.taxonomy.taxonomy import Anchor, IgnoredClass, Taxonomy


def anchor(qid: str, label: str, precedence: int) -> Anchor:
    return Anchor(qid, label, label, "natural" if label == "lake" else "human-made", precedence)


TAXONOMY = Taxonomy(
    anchors={
        row.qid: row
        for row in (anchor("Q10", "church", 20), anchor("Q20", "museum", 40), anchor("Q30", "lake", 30),
                    anchor("Q40", "settlement", 70))
    },
    ignored={
        "Q50": IgnoredClass("Q50", "tourist attraction", "class", "says nothing"),
        "Q60": IgnoredClass("Q60", "province", "below", "an area"),
    },
    cuts={},
)  # fmt: skip
EDGES = [
    ("Q11", "Q10"), ("Q12", "Q11"), ("Q12", "Q20"), ("Q13", "Q10"), ("Q13", "Q20"), ("Q20", "Q50"), ("Q50", "Q10"),
    ("Q61", "Q60"), ("Q60", "Q40"), ("Q62", "Q60"), ("Q62", "Q40"), ("Q63", "Q61"), ("Q63", "Q64"), ("Q64", "Q65"),
    ("Q65", "Q40"), ("Q14", "Q15"), ("Q14", "Q16"), ("Q15", "Q10"), ("Q16", "Q10"),
]  # fmt: skip
NAMES = {
    "Q10": "church building",
    "Q12": "art church",
    "Q20": "museum",
    "Q50": "tourist attraction",
    "Q60": "province",
}


def label(*classes: str) -> Decision:
    dag = class_graph(EDGES, TAXONOMY).dag
    return label_item(classes, anchor_paths(dag, TAXONOMY, classes), TAXONOMY, NAMES)


def test_a_class_is_its_own_nearest_anchor() -> None:
    assert label("Q10") == Decision("Q10", "church building", "church", "human-made", ("Q10",), "")


def test_the_nearest_anchor_wins_over_a_lower_precedence() -> None:
    assert label("Q12").path == ("Q12", "Q20")
    assert label("Q12").supercategory == "art church"


def test_at_the_same_distance_the_lower_precedence_wins() -> None:
    assert label("Q13").hierarchical_label == "church"


def test_equally_long_paths_are_ordered_by_qid_number() -> None:
    assert label("Q14").path == ("Q14", "Q15", "Q10")


def test_no_path_leads_through_an_ignored_class() -> None:
    assert label("Q50").hierarchical_label == ""
    assert label("Q50").note == "only ignored classes: tourist attraction (Q50)"


def test_a_blocking_class_leaves_classes_below_unlabelled_unless_an_anchor_is_as_near() -> None:
    assert label("Q60").note == "no class leads to a label: province (Q60)"
    assert label("Q61").hierarchical_label == ""
    assert label("Q63").hierarchical_label == ""
    assert label("Q62").hierarchical_label == "settlement"


def test_the_class_of_an_item_with_the_lowest_precedence_decides() -> None:
    assert label("Q50", "Q20", "Q11").deciding_class == "Q11"
    assert label("Q61", "Q30").natural_or_human_made == "natural"


def test_a_class_above_another_class_of_the_item_is_passed_over() -> None:
    # church has the lower precedence, but is above the art church
    assert label("Q10", "Q12", "Q20").hierarchical_label == "museum"
    assert label("Q10", "Q20").hierarchical_label == "church"
    assert label("Q10", "Q12", "Q30").deciding_class == "Q30"
    assert label("Q40", "Q61").deciding_class == "Q40"  # a class without a label removes none


def test_items_without_a_label_have_a_note() -> None:
    assert label("Q99").note == "no class leads to a label: ? (Q99)"
    assert label().note == "the item has no class"


def test_an_anchor_outside_the_graph_has_its_label() -> None:
    assert label("Q30").hierarchical_label == "lake"


def test_a_class_without_an_english_label_is_named_by_its_number() -> None:
    assert label("Q11").supercategory == "Q11"


classes = st.lists(st.sampled_from([f"Q{n}" for n in (10, 11, 12, 13, 14, 20, 30, 50, 60, 61, 62, 63, 99)]), max_size=8)


@given(classes.flatmap(lambda qids: st.tuples(st.just(qids), st.permutations(qids))), st.permutations(EDGES))
def test_the_order_of_classes_and_edges_does_not_matter(
    orders: tuple[list[str], list[str]], edges: list[tuple[str, str]]
) -> None:
    sorted_classes, shuffled = orders
    paths = anchor_paths(class_graph(edges, TAXONOMY).dag, TAXONOMY, shuffled)
    assert label_item(shuffled, paths, TAXONOMY, NAMES) == label(*sorted_classes)


SCRIPT = """
from hgld.hierarchy.taxonomy.class_labels import anchor_paths, label_item
from hgld.hierarchy.taxonomy.class_graph import class_graph
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
taxonomy = load_taxonomy()
anchors = sorted(taxonomy.anchors)
edges = {(f"Q{10**9 + a}", anchors[(a * 13 + b * 5) % len(anchors)]) for a in range(200) for b in range(3)}
dag = class_graph(edges, taxonomy).dag
paths = anchor_paths(dag, taxonomy)
print([label_item({f"Q{10**9 + a}", f"Q{10**9 + a + 1}"}, paths, taxonomy, {}) for a in range(199)])
"""


def test_the_hash_seed_does_not_matter() -> None:
    def output(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert output("0") == output("1") != ""


def candidate(qid: str, label: str, confidence: str = "low") -> Candidate:
    return Candidate(qid, "p373", confidence, Decision(hierarchical_label=label, note="" if label else "why"))


def test_candidates_that_agree_decide_and_the_note_counts_them() -> None:
    chosen, note = choose_candidate([candidate("Q10", "lake"), candidate("Q9", "lake"), candidate("Q8", "")])
    assert chosen is not None
    assert chosen.qid == "Q9"
    assert note == "3 candidates; 2 of confidence 'low' agree"


def test_candidates_that_disagree_give_no_label() -> None:
    chosen, note = choose_candidate([candidate("Q9", "lake"), candidate("Q10", "church")])
    assert chosen is None
    assert note == "ambiguous: Q9 lake, Q10 church"


def test_the_candidate_of_higher_confidence_decides() -> None:
    chosen, _ = choose_candidate([candidate("Q9", "lake"), candidate("Q10", "church", "medium")])
    assert chosen is not None
    assert chosen.qid == "Q10"


def test_a_single_candidate_keeps_its_note() -> None:
    assert choose_candidate([]) == (None, "no item found")
    assert choose_candidate([candidate("Q9", "")]) == (candidate("Q9", ""), "why")
    assert choose_candidate([candidate("Q9", "lake")]) == (candidate("Q9", "lake"), "")


@given(st.permutations([candidate("Q9", "lake"), candidate("Q10", "lake"), candidate("Q2", "", "high")]))
def test_the_order_of_candidates_does_not_matter(candidates: list[Candidate]) -> None:
    assert choose_candidate(candidates)[0] == candidate("Q9", "lake")


@pytest.mark.parametrize("order", [1, -1])
def test_labels_that_differ_in_case_get_one_spelling(order: int) -> None:
    labels = dict([("Q2", "Catholic cathedral"), ("Q10", "catholic cathedral"), ("Q3", "mosque")][::order])
    assert unify_case(labels) == {"Q2": "Catholic cathedral", "Q10": "Catholic cathedral", "Q3": "mosque"}
