"""The taxonomy against a class graph: undecided pairs are problems, rows without use are counted."""

from hgld.hierarchy.curation.taxonomy_checks import Snapshot, examine
from hgld.hierarchy.taxonomy.taxonomy import Anchor, Cut, Ignored, Taxonomy


def anchor(qid: str, label: str, precedence: int) -> Anchor:
    return Anchor(qid, f"the {label}", label, "human-made", precedence)


def taxonomy(*anchors: Anchor) -> Taxonomy:
    return Taxonomy(
        {one.qid: one for one in anchors},
        {
            "Q50": Ignored("Q50", "tourist attraction", "class", "says nothing"),
            "Q51": Ignored("Q51", "landmark", "class", "says nothing"),
            "Q60": Ignored("Q60", "province", "below", "an area"),
        },
        {("Q1", "Q50"): Cut("Q1", "Q50", "why"), ("Q1", "Q2"): Cut("Q1", "Q2", "why")},
    )


ROWS = taxonomy(
    anchor("Q10", "church", 20), anchor("Q20", "museum", 40), anchor("Q30", "lake", 30), anchor("Q40", "house", 53)
)  # fmt: skip
GRAPH = Snapshot(
    used=frozenset({"Q1", "Q40"}),
    edges=frozenset({("Q1", "Q10"), ("Q10", "Q20"), ("Q1", "Q50"), ("Q40", "Q2")}),
    names={"Q10": "the Church", "Q40": "the home", "Q1": "chapel"},
)


def states() -> dict[str, str]:
    return {row.key: row.state for row in examine(ROWS, GRAPH).rows}


def test_a_row_is_used_idle_or_absent() -> None:
    assert states() == {
        "Q10 the church": "used",
        "Q20 the museum": "idle",
        "Q30 the lake": "absent",
        "Q40 the house": "used",
        "Q50 tourist attraction": "used",
        "Q51 landmark": "absent",
        "Q60 province": "absent",
        "Q1 > Q50": "used",
        "Q1 > Q2": "idle",
    }


def test_rows_without_use_are_told_apart_and_only_as_counts_unless_asked() -> None:
    findings = examine(ROWS, GRAPH)
    assert findings.problems == ()
    assert "taxonomy.csv: 2 used, 1 idle, 1 absent" in findings.text("here")
    assert "cut_edges.csv: 1 used, 1 idle, 0 absent" in findings.text("here")
    assert "lead to: lake, museum" in findings.text("here")
    assert (
        "taxonomy.csv: Q30 the lake is not in the class graph; correct or remove the row" in findings.dead()
    )
    assert "cut_edges.csv: Q1 > Q2 never decides anything; correct or remove the row" in findings.dead()
    assert len(findings.dead()) == 5


def test_a_class_of_another_name_is_pointed_out() -> None:
    assert examine(ROWS, GRAPH).renamed == (
        "Q40 is 'the home' there and 'the house' here: renamed, or another class?",
    )


def test_nested_labels_of_one_precedence_are_undecided() -> None:
    undecided = taxonomy(anchor("Q10", "church", 40), anchor("Q20", "museum", 40))
    assert examine(undecided, GRAPH).problems == (
        "taxonomy.csv: 'church' the church (Q10) lies under 'museum' the museum (Q20) and both have precedence 40; "
        "say which comes first by different numbers",
    )
    same = taxonomy(anchor("Q10", "church", 40), anchor("Q20", "church", 40))
    assert examine(same, GRAPH).problems == ()


def test_an_anchor_between_two_others_settles_it() -> None:
    rows = taxonomy(anchor("Q1", "tower", 40), anchor("Q10", "church", 20), anchor("Q20", "museum", 40))
    assert examine(rows, GRAPH).problems == ()
