"""The decision: the order of trust, what is kept beside it, and that the order of the evidence does not matter."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.hierarchy.fusion.release_decision import (
    CLAIMS,
    DECISIONS,
    PROPOSED,
    TRUST,
    Thresholds,
    claims,
    decide,
)

KINDS = {"church": "human-made", "lake": "natural"}
SURE = Thresholds(0.6, 0.3)


def _claim(source: str, label: str, **more: object) -> dict[str, object]:
    empty = dict.fromkeys(CLAIMS, "") | {"score": float("nan"), "margin": float("nan")}
    return {**empty, "category": "X", "source": source, "hierarchical_label": label, **more}


WIKIDATA = _claim("wikidata", "church", qid="Q1", method="sitelink", supercategory="abbey church", path="Q2>Q3",
                  **{"class": "Q2"})  # fmt: skip
OPEN = _claim("wikidata", "", qid="Q1", method="p373", note="the item has no class")
SURE_CLIP = _claim("clip", "lake", score=0.6, margin=0.3)


def _decide(*rows: dict[str, object]) -> dict[str, object]:
    return decide(pd.DataFrame(rows, columns=CLAIMS), SURE, KINDS).iloc[0].to_dict()


def test_wikidata_goes_before_clip() -> None:
    found = _decide(SURE_CLIP, WIKIDATA)
    assert (found["hierarchical_label"], found["source"], found["natural_or_human_made"]) == (
        "church",
        "wikidata",
        "human-made",
    )
    assert (found["supercategory"], found["class"], found["path"]) == ("abbey church", "Q2", "Q2>Q3")


def test_clip_speaks_where_wikidata_is_silent() -> None:
    found = _decide(OPEN, SURE_CLIP)
    assert (found["hierarchical_label"], found["source"], found["supercategory"]) == ("lake", "clip", "")
    assert (found["qid"], found["method"], found["note"]) == ("Q1", "p373", "the item has no class")
    assert (found["score"], found["margin"]) == (0.6, 0.3)


@pytest.mark.parametrize(("score", "margin"), [(0.59, 0.5), (0.9, 0.29)])
def test_a_proposal_below_a_threshold_decides_nothing(score: float, margin: float) -> None:
    found = _decide(OPEN, _claim("clip", "lake", score=score, margin=margin))
    assert (found["hierarchical_label"], found["source"], found["score"]) == ("", "", score)


def test_a_verdict_goes_before_everything() -> None:
    found = _decide(
        WIKIDATA, SURE_CLIP, _claim("review", "lake", annotator="ana", decided_on="2026-01-03", note="seen")
    )
    assert (found["hierarchical_label"], found["source"]) == ("lake", "review")
    assert (found["annotator"], found["decided_on"], found["note"]) == ("ana", "2026-01-03", "seen")
    assert (found["supercategory"], found["class"], found["path"]) == ("", "", "")


def test_a_verdict_that_agrees_with_wikidata_keeps_its_class() -> None:
    found = _decide(WIKIDATA, _claim("review", "church", annotator="ana"))
    assert (found["source"], found["supercategory"], found["path"]) == ("review", "abbey church", "Q2>Q3")


def test_a_verdict_may_leave_it_empty() -> None:
    found = _decide(WIKIDATA, _claim("review", "", annotator="ana"))
    assert (found["hierarchical_label"], found["natural_or_human_made"], found["source"]) == (
        "",
        "",
        "review",
    )
    assert (found["supercategory"], found["path"]) == ("", "")


def test_claims_of_other_profiles_are_left_out() -> None:
    labels = pd.DataFrame([WIKIDATA])[["category", "hierarchical_label", "qid"]]
    verdicts = pd.DataFrame([{"category": "Y", "hierarchical_label": "lake", "comment": "no"}])
    proposals = pd.DataFrame(
        columns=["category", "hierarchical_label", "score", "margin", "evidence", "source"]
    )
    assert list(claims(labels, proposals, verdicts)["category"]) == ["X"]


_LABEL = st.sampled_from(["", "church", "lake"])
_ROWS = st.dictionaries(
    st.tuples(st.sampled_from("XYZ"), st.sampled_from(TRUST)), st.tuples(_LABEL, st.floats(0, 1)), min_size=1
)


@settings(deadline=None, max_examples=40)
@given(_ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_does_not_matter(said, random) -> None:
    rows = []
    for (category, source), (label, score) in said.items():
        numbers = {"score": score, "margin": score} if source in PROPOSED else {}
        rows.append(_claim(source, label, category=category, **numbers))
    expected = decide(pd.DataFrame(rows, columns=CLAIMS), SURE, KINDS)
    random.shuffle(rows)
    found = decide(pd.DataFrame(rows, columns=CLAIMS), SURE, KINDS)
    assert found.equals(expected)
    assert list(found.columns) == DECISIONS
    assert sorted(found["category"]) == sorted({category for category, _ in said})
    empty = found["hierarchical_label"] == ""
    assert (found.loc[empty, "supercategory"] == "").all()
    assert (found.loc[~empty, "source"] != "").all()
