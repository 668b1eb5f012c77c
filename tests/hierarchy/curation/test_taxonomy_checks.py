"""The taxonomy against a class graph: undecided overlaps are problems, rows without effect are counted."""

from hgld.hierarchy.curation.taxonomy_checks import ClassSnapshot, check_taxonomy
from hgld.hierarchy.taxonomy.taxonomy import Anchor, CutEdge, IgnoredClass, Taxonomy


def anchor(qid: str, label: str, precedence: int) -> Anchor:
    return Anchor(qid, f"the {label}", label, "human-made", precedence)


def taxonomy(*anchors: Anchor) -> Taxonomy:
    return Taxonomy(
        {row.qid: row for row in anchors},
        {
            "Q50": IgnoredClass("Q50", "tourist attraction", "class", "too general"),
            "Q51": IgnoredClass("Q51", "landmark", "class", "too general"),
            "Q60": IgnoredClass("Q60", "province", "below", "an area"),
        },
        {("Q1", "Q50"): CutEdge("Q1", "Q50", "why"), ("Q1", "Q2"): CutEdge("Q1", "Q2", "why")},
    )


ROWS = taxonomy(
    anchor("Q10", "church", 20), anchor("Q20", "museum", 40), anchor("Q30", "lake", 30), anchor("Q40", "house", 53)
)  # fmt: skip
GRAPH = ClassSnapshot(
    used=frozenset({"Q1", "Q40"}),
    edges=frozenset({("Q1", "Q10"), ("Q10", "Q20"), ("Q1", "Q50"), ("Q40", "Q2")}),
    names={"Q10": "the Church", "Q40": "the home", "Q1": "chapel"},
)


def states() -> dict[str, str]:
    return {row.key: row.state for row in check_taxonomy(ROWS, GRAPH).rows}


def test_each_row_is_used_idle_or_absent() -> None:
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


def test_rows_without_effect_are_counted_and_listed_on_request() -> None:
    findings = check_taxonomy(ROWS, GRAPH)
    assert findings.problems == ()
    assert "taxonomy.csv: 2 used, 1 idle, 1 absent" in findings.text("here")
    assert "cut_edges.csv: 1 used, 1 idle, 0 absent" in findings.text("here")
    assert "labels to which no class leads: lake, museum" in findings.text("here")
    assert (
        "taxonomy.csv: Q30 the lake is not in the class graph; correct or remove the row"
        in findings.rows_without_effect()
    )
    assert "cut_edges.csv: Q1 > Q2 has no effect; correct or remove the row" in findings.rows_without_effect()
    assert len(findings.rows_without_effect()) == 5


def test_class_with_another_label_on_wikidata_is_reported() -> None:
    assert check_taxonomy(ROWS, GRAPH).renamed == (
        "Q40 is 'the home' on Wikidata and 'the house' here: renamed, or a mistyped QID?",
    )


def test_nested_labels_of_equal_precedence_are_undecided() -> None:
    undecided = taxonomy(anchor("Q10", "church", 40), anchor("Q20", "museum", 40))
    assert check_taxonomy(undecided, GRAPH).problems == (
        "taxonomy.csv: 'church' the church (Q10) is below 'museum' the museum (Q20) and both have precedence 40; "
        "give the label that should win the lower one",
    )
    same = taxonomy(anchor("Q10", "church", 40), anchor("Q20", "church", 40))
    assert check_taxonomy(same, GRAPH).problems == ()


def test_only_neighbouring_anchors_are_compared() -> None:
    rows = taxonomy(anchor("Q1", "tower", 40), anchor("Q10", "church", 20), anchor("Q20", "museum", 40))
    assert check_taxonomy(rows, GRAPH).problems == ()
