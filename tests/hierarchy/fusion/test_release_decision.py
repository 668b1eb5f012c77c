"""The release decision: the order of trust, the columns beside the label, and independence of the order of claims."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_claims_about_categories_of_other_profiles_are_dropped() -> None:
    labels = pd.DataFrame([WIKIDATA])[["category", "hierarchical_label", "qid"]]
    verdicts = pd.DataFrame([{"category": "Y", "hierarchical_label": "lake", "comment": "no"}])
    proposals = pd.DataFrame(columns=["category", "hierarchical_label", "score", "margin", "evidence", "source"])
    assert list(claims(labels, proposals, verdicts)["category"]) == ["X"]


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
