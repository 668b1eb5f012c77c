"""The release decision: the order of trust, the columns beside the label, and independence of the order of claims."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.hierarchy.fusion.class_verdicts import COLUMNS as CLASS_CLAIMS
from hgld.hierarchy.fusion.evidence_kinds import proposal_sources, trust_order
from hgld.hierarchy.fusion.release_decision import (
    CLAIMS,
    DECISIONS,
    Thresholds,
    claims,
    decide,
)

KINDS = {"church": "human-made", "lake": "natural"}
THRESHOLDS = Thresholds(0.6, 0.3)


def _claim(source: str, label: str, **more: object) -> dict[str, object]:
    empty = dict.fromkeys(CLAIMS, "") | {"score": float("nan"), "margin": float("nan")}
    return {**empty, "category": "X", "source": source, "hierarchical_label": label, **more}


WIKIDATA = _claim("wikidata", "church", qid="Q1", method="sitelink", supercategory="abbey church", path="Q2>Q3",
                  **{"class": "Q2"})  # fmt: skip
UNLABELLED = _claim("wikidata", "", qid="Q1", method="p373", note="the item has no class")
CLIP = _claim("clip", "lake", score=0.6, margin=0.3)


def _decision(*rows: dict[str, object]) -> dict[str, object]:
    return decide(pd.DataFrame(rows, columns=CLAIMS), THRESHOLDS, KINDS).iloc[0].to_dict()


def test_wikidata_is_trusted_more_than_clip() -> None:
    decision = _decision(CLIP, WIKIDATA)
    assert (decision["hierarchical_label"], decision["source"], decision["natural_or_human_made"]) == (
        "church",
        "wikidata",
        "human-made",
    )
    assert (decision["supercategory"], decision["class"], decision["path"]) == ("abbey church", "Q2", "Q2>Q3")


def test_clip_decides_where_wikidata_has_no_label() -> None:
    decision = _decision(UNLABELLED, CLIP)
    assert (decision["hierarchical_label"], decision["source"], decision["supercategory"]) == (
        "lake",
        "clip",
        "",
    )
    assert (decision["qid"], decision["method"], decision["note"]) == ("Q1", "p373", "the item has no class")
    assert (decision["score"], decision["margin"]) == (0.6, 0.3)


@pytest.mark.parametrize(("score", "margin"), [(0.59, 0.5), (0.9, 0.29)])
def test_a_proposal_below_a_threshold_leaves_the_label_empty(score: float, margin: float) -> None:
    decision = _decision(UNLABELLED, _claim("clip", "lake", score=score, margin=margin))
    assert (decision["hierarchical_label"], decision["source"], decision["score"]) == ("", "", score)


def test_a_verdict_is_trusted_most() -> None:
    decision = _decision(
        WIKIDATA, CLIP, _claim("review", "lake", annotator="ana", decided_on="2026-01-03", note="seen")
    )
    assert (decision["hierarchical_label"], decision["source"]) == ("lake", "review")
    assert (decision["annotator"], decision["decided_on"], decision["note"]) == ("ana", "2026-01-03", "seen")
    assert (decision["supercategory"], decision["class"], decision["path"]) == ("", "", "")


def test_a_verdict_that_agrees_with_wikidata_keeps_its_class() -> None:
    decision = _decision(WIKIDATA, _claim("review", "church", annotator="ana"))
    assert (decision["source"], decision["supercategory"], decision["path"]) == (
        "review",
        "abbey church",
        "Q2>Q3",
    )


def test_an_empty_verdict_removes_the_label() -> None:
    decision = _decision(WIKIDATA, _claim("review", "", annotator="ana"))
    assert (decision["hierarchical_label"], decision["natural_or_human_made"], decision["source"]) == (
        "",
        "",
        "review",
    )
    assert (decision["supercategory"], decision["path"]) == ("", "")


def test_a_verdict_on_a_class_is_trusted_less_than_wikidata_and_more_than_a_proposal() -> None:
    by_class = _claim("class-review", "lake", supercategory="pond", path="Q9", annotator="ana", decided_on="2026-01-03",
                      **{"class": "Q9"})  # fmt: skip
    chosen = ["hierarchical_label", "source", "class", "supercategory", "path", "annotator"]
    decision = _decision(_claim("clip", "church", score=0.9, margin=0.9), by_class, UNLABELLED)
    assert [decision[name] for name in chosen] == ["lake", "class-review", "Q9", "pond", "Q9", "ana"]
    decision = _decision(by_class, WIKIDATA)
    assert [decision[name] for name in chosen[:3]] == ["church", "wikidata", "Q2"]
    decision = _decision(by_class, _claim("review", "church", annotator="bob"))
    assert [decision[name] for name in chosen] == ["church", "review", "", "", "", "bob"]


def test_a_class_that_a_verdict_names_gives_the_landmark_its_path() -> None:
    verdict = _claim("review", "lake", supercategory="reservoir", path="Q131681>Q23397", **{"class": "Q131681"})
    decision = _decision(WIKIDATA, verdict)
    assert [decision[name] for name in ("class", "supercategory", "path", "qid")] == [
        "Q131681", "reservoir", "Q131681>Q23397", "Q1",
    ]  # fmt: skip


def test_a_rejected_item_says_nothing_about_the_landmark() -> None:
    decision = _decision(WIKIDATA, _claim("review", "church", qid="Q1"))
    assert [decision[name] for name in ("hierarchical_label", "qid", "method", "class", "supercategory", "path")] == [
        "church", "", "", "", "", "",
    ]  # fmt: skip
    other = _decision(WIKIDATA, _claim("review", "church", qid="Q77"))
    assert [other[name] for name in ("qid", "class", "path")] == ["Q1", "Q2", "Q2>Q3"]


def test_a_label_that_a_verdict_took_back_from_a_class_is_not_read_from_its_name() -> None:
    by_name_of_class, by_name = (_claim(source, "lake", score=0.9, margin=0.9) for source in ("class", "name"))

    def label(row: dict[str, object], refuted: set[tuple[str, str]]) -> object:
        return decide(pd.DataFrame([row], columns=CLAIMS), THRESHOLDS, KINDS, refuted)["hierarchical_label"][0]

    assert label(by_name_of_class, {("X", "lake")}) == ""
    assert label(by_name_of_class, {("X", "church"), ("Y", "lake")}) == "lake"
    assert label(by_name, {("X", "lake")}) == "lake"


def test_claims_about_categories_of_other_profiles_are_dropped() -> None:
    labels = pd.DataFrame([WIKIDATA])[["category", "hierarchical_label", "qid"]]
    verdicts = pd.DataFrame([{"category": "Y", "hierarchical_label": "lake", "comment": "no"}])
    proposals = pd.DataFrame(columns=["category", "hierarchical_label", "score", "margin", "evidence", "source"])
    by_class = pd.DataFrame(columns=CLASS_CLAIMS)
    assert list(claims(labels, proposals, by_class, verdicts)["category"]) == ["X"]


_LABEL = st.sampled_from(["", "church", "lake"])
_ROWS = st.dictionaries(
    st.tuples(st.sampled_from("XYZ"), st.sampled_from(trust_order())),
    st.tuples(_LABEL, st.floats(0, 1)),
    min_size=1,
)


@settings(deadline=None, max_examples=40)
@given(_ROWS, st.randoms(use_true_random=False))
def test_the_decision_does_not_depend_on_the_order_of_claims(claimed, random) -> None:
    rows = []
    for (category, source), (label, score) in claimed.items():
        numbers = {"score": score, "margin": score} if source in proposal_sources() else {}
        rows.append(_claim(source, label, category=category, **numbers))
    expected = decide(pd.DataFrame(rows, columns=CLAIMS), THRESHOLDS, KINDS)
    random.shuffle(rows)
    decisions = decide(pd.DataFrame(rows, columns=CLAIMS), THRESHOLDS, KINDS)
    assert decisions.equals(expected)
    assert list(decisions.columns) == DECISIONS
    assert sorted(decisions["category"]) == sorted({category for category, _ in claimed})
    empty = decisions["hierarchical_label"] == ""
    assert (decisions.loc[empty, "supercategory"] == "").all()
    assert (decisions.loc[~empty, "source"] != "").all()
