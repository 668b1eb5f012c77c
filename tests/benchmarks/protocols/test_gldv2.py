"""GLDv2's measures: hand-computed and against slow loops; and the errors for bad submissions."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.benchmarks.protocols.gldv2 import recognition, recognition_summary, retrieval, retrieval_summary
from hgld.benchmarks.protocols.submissions import (
    Prediction,
    Solution,
    read_solution,
    recognition_submission,
    retrieval_submission,
    solution,
)
from hgld.foundation.errors import HgldError

USAGES = ("Public", "Private", "Ignored")


def slow_ap(ranked: list[str], relevant: set[str], k: int) -> float:
    """1/min(R, k) sum_{n <= k} P(n) b_n."""
    total = 0.0
    for n in range(1, min(len(ranked), k) + 1):
        if ranked[n - 1] in relevant:
            total += sum(name in relevant for name in ranked[:n]) / n
    return total / min(len(relevant), k) if relevant else math.nan


def slow_gap(predictions: dict[str, Prediction | None], correct: dict[str, set[str]]) -> float:
    """1/M sum_i P(i) rel(i) over the predictions for these queries."""
    ranked = sorted((-p.confidence, query, p.landmark) for query, p in predictions.items() if p)
    rel = [landmark in correct[query] for _, query, landmark in ranked]
    queries = sum(bool(landmarks) for landmarks in correct.values())
    area = sum(sum(rel[: i + 1]) / (i + 1) for i in range(len(rel)) if rel[i])
    return area / queries if queries else math.nan


def truth_of(rows: dict[str, tuple[str, str]]) -> Solution:
    return solution(pd.DataFrame([(name, *row) for name, row in rows.items()], columns=["id", "true", "usage"]))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "file.csv"
    path.write_text(text, encoding="utf-8")
    return path


TRUTH = {
    "q1": ("a b", "Public"),
    "q2": ("c", "Private"),
    "q3": ("None", "Ignored"),
    "q4": ("d e f", "Public"),
}


def test_retrieval_by_hand(tmp_path: Path) -> None:
    """q1: hits at 1 and 3: (1 + 2/3)/2. q4: hit at 2 of three: (1/2)/3. q2: an empty list."""
    truth = truth_of(TRUTH)
    path = write(tmp_path, "id,images\nq1,a x b\nq2,\n\nq3,a b c\nq4,x d y\n")
    frame = retrieval(retrieval_submission(path, truth), truth)
    assert frame["id"].tolist() == ["q1", "q2", "q4"]
    assert frame["mAP@100"].tolist() == pytest.approx([5 / 6, 0, 1 / 6])
    assert retrieval_summary(frame) == {
        "Public": {"mAP@100": pytest.approx(1 / 2), "queries": 2, "undefined": 0},
        "Private": {"mAP@100": 0.0, "queries": 1, "undefined": 0},
    }


def test_lists_are_truncated_at_k_and_more_than_k_relevant_count_as_k() -> None:
    names = [f"{n:03}" for n in range(150)]
    truth = truth_of({"q": (" ".join(names), "Public")})
    assert retrieval({"q": names}, truth)["mAP@100"].tolist() == [1.0]
    wrong = [f"x{n}" for n in range(100)]
    assert retrieval({"q": wrong + names}, truth)["mAP@100"].tolist() == [0.0]
    assert retrieval({"q": ["x", "000", "001"]}, truth, k=2)["mAP@2"].tolist() == [1 / 4]


def test_a_public_query_with_nothing_relevant_is_undefined_and_counted() -> None:
    frame = retrieval({"q": ["a"], "r": ["a"]}, truth_of({"q": ("None", "Public"), "r": ("a", "Public")}))
    summary = retrieval_summary(frame)
    assert summary["Public"] == {"mAP@100": 1.0, "queries": 1, "undefined": 1}
    assert math.isnan(summary["Private"]["mAP@100"])


letters = st.sampled_from("abcdefgh")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(letters, unique=True), st.lists(letters, unique=True), st.sampled_from(USAGES)),
        max_size=6,
    ),
    st.integers(1, 10),
)
def test_retrieval_equals_a_slow_loop(rows: list[tuple[list[str], list[str], str]], k: int) -> None:
    names = [f"q{n}" for n in range(len(rows))]
    truth = truth_of(
        {name: (" ".join(relevant), usage) for name, (relevant, _, usage) in zip(names, rows, strict=True)}
    )
    frame = retrieval({name: row[1] for name, row in zip(names, rows, strict=True)}, truth, k)
    scores = dict(zip(frame["id"], frame[f"mAP@{k}"], strict=True))
    assert sorted(scores) == [name for name, row in zip(names, rows, strict=True) if row[2] != "Ignored"]
    for name, (relevant, ranked, _) in zip(names, rows, strict=True):
        if name in scores:
            assert scores[name] == pytest.approx(slow_ap(ranked, set(relevant), k), abs=1e-12, nan_ok=True)


RECOGNITION = {
    "q1": ("7", "Public"),
    "q2": ("8 9", "Public"),
    "q3": ("", "Public"),
    "q4": ("7", "Public"),
    "q5": ("5", "Private"),
    "q6": ("6", "Ignored"),
}


def test_gap_by_hand(tmp_path: Path) -> None:
    """Public by confidence: q3 (shows nothing) miss, q2 hit P = 1/2, q1 hit P = 2/3, q4 none; M = 3."""
    truth = truth_of(RECOGNITION)
    path = write(tmp_path, "id,landmarks\nq1,7 0.2\nq2,9 0.5\nq3,7 9e-1\nq4,\nq5,4 -3\nq6,6 100\n")
    frame = recognition(recognition_submission(path, truth), truth)
    assert recognition_summary(frame) == {
        "Public": {"GAP": pytest.approx((1 / 2 + 2 / 3) / 3), "queries": 3, "guesses": 3, "tied": 0},
        "Private": {"GAP": 0.0, "queries": 1, "guesses": 1, "tied": 0},
    }
    assert frame["id"].tolist() == ["q3", "q2", "q1", "q4", "q5"]
    assert frame["rank"].tolist() == [1, 2, 3, 0, 1]


def test_equal_confidences_are_ordered_by_query_id_and_reported() -> None:
    truth = truth_of({"b": ("1", "Public"), "a": ("2", "Public"), "c": ("1", "Private")})
    predictions = {"c": Prediction("1", 0.5), "b": Prediction("1", 0.5), "a": Prediction("1", 0.5)}
    frame = recognition(predictions, truth)
    assert frame["id"].tolist() == ["a", "b", "c"]
    assert frame["ties"].tolist() == [1, 1, 0]
    assert recognition_summary(frame)["Public"]["GAP"] == pytest.approx(1 / 2 / 2)


def test_gap_without_landmarks_is_undefined_and_without_predictions_zero() -> None:
    def gap(predictions: dict[str, Prediction | None], truth: Solution) -> float:
        return recognition_summary(recognition(predictions, truth))["Public"]["GAP"]

    assert math.isnan(gap({"q": None}, truth_of({"q": ("", "Public")})))
    assert math.isnan(gap({}, Solution({}, {})))
    assert gap({"q": None}, truth_of({"q": ("1", "Public")})) == 0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(letters, max_size=3),
            st.none() | st.builds(Prediction, letters, st.integers(-2, 2).map(lambda n: n / 2)),
            st.sampled_from(USAGES),
        ),
        max_size=20,
    ),
    st.randoms(),
)
def test_gap_equals_a_slow_loop(rows: list[tuple[list[str], Prediction | None, str]], random: Random) -> None:
    names = [f"q{n:02}" for n in range(len(rows))]
    order = list(zip(names, rows, strict=True))
    random.shuffle(order)
    truth = truth_of({name: (" ".join(correct), usage) for name, (correct, _, usage) in order})
    summary = recognition_summary(recognition({name: prediction for name, (_, prediction, _) in order}, truth))
    for usage in ("Public", "Private"):
        part = {name: row for name, row in order if row[2] == usage}
        expected = slow_gap(
            {name: row[1] for name, row in part.items()}, {name: set(row[0]) for name, row in part.items()}
        )
        assert summary[usage]["GAP"] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,image\nq1,a\n", r"file\.csv:1: expected the header id,images"),
        ("", r"file\.csv:1: expected the header"),
        ("id,images\nq1,a,b\n", r"file\.csv:2: 3 values for 2 columns: q1,a,b"),
        ("id,images\n,a\n", r"file\.csv:2: the id is empty"),
        ("id,images\nq1,a\n\nq1,b\n", r"file\.csv:4: duplicate query q1"),
        ("id,images\nq1,a b a\n", r"file\.csv:2: query q1 lists index image a twice"),
        ("id,images\nq9,a\n", r"file\.csv:2: unknown query q9"),
        ("id,images\nq1,a zz\n", r"file\.csv:2: query q1 lists zz, which is not an index image"),
        ("id,images\nq1,a\nq2,\n", "1 of 3 queries are missing, such as q4"),
        ('id,images\n"q1,a\n', r"file\.csv:2: not a CSV row"),
    ],
)
def test_a_bad_retrieval_submission_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        retrieval_submission(write(tmp_path, text), truth_of(TRUTH), index_ids=set("abcdef"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("q1,7", "expected one 'landmark confidence' or nothing; found '7'"),
        ("q1,7 0.5 8 0.4", "expected one 'landmark confidence'"),
        ("q1,7 sure", "expected one"),
        ("q1,7 nan", "expected one"),
        ("q1,7 inf", "expected one"),
        ("q1,7 1_0", "expected one"),
        ("q1,4 1", r"file\.csv:2: 4 is not a landmark"),
        ("q9,7 1", r"file\.csv:2: unknown query q9"),
    ],
)
def test_a_bad_recognition_submission_is_an_error(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        recognition_submission(write(tmp_path, f"id,landmarks\n{row}\n"), truth_of(RECOGNITION), landmark_ids={"7"})


def test_the_first_twenty_problems_are_listed(tmp_path: Path) -> None:
    rows = "".join(f"x{n},a\n" for n in range(25))
    with pytest.raises(HgldError, match=r"(?s)25 problem.*:21: unknown query x19.*and 5 more"):
        retrieval_submission(write(tmp_path, "id,images\n" + rows), truth_of(TRUTH))


def test_unreadable_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="no file"):
        retrieval_submission(tmp_path / "none.csv", truth_of(TRUTH))
    (tmp_path / "latin.csv").write_bytes(b"id,images\n\xe9,a\n")
    with pytest.raises(HgldError, match="not UTF-8"):
        retrieval_submission(tmp_path / "latin.csv", truth_of(TRUTH))


def test_solutions_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,Usage\nq1,a b,Public\nq2,None,Ignored\n")
    truth = read_solution(path, "images")
    assert truth == Solution({"q1": frozenset("ab"), "q2": frozenset()}, {"q1": "Public", "q2": "Ignored"})
    bad = write(tmp_path, "id,landmarks,Usage\nq1,1,public\nq1,2,Private\n")
    with pytest.raises(
        HgldError, match=r"(?s):2: unknown usage 'public'; did you mean 'Public'.*:3: duplicate query q1"
    ):
        read_solution(bad, "landmarks")
    with pytest.raises(HgldError, match="row 1: duplicate query q"):
        solution(pd.DataFrame([("q", "a", "Public"), ("q", "a", "Public")]))


def test_predictions_without_a_file_are_checked() -> None:
    truth = truth_of(RECOGNITION)
    with pytest.raises(HgldError, match="5 of 5 queries are missing, such as q1"):
        recognition({}, truth)
    with pytest.raises(HgldError, match="unknown query 'q9'"):
        retrieval({"q9": []}, truth)
    with pytest.raises(HgldError, match="listed twice"):
        retrieval(dict.fromkeys(RECOGNITION, ("a", "a")), truth)
    with pytest.raises(HgldError, match="not a finite number"):
        recognition(dict.fromkeys(RECOGNITION, Prediction("7", math.nan)), truth)
    for k in (0, 2.5, "5", None, True):
        with pytest.raises(HgldError, match="a whole number from 1 up"):
            retrieval({}, truth, k=k)  # type: ignore[arg-type]
    ids: Any
    for ids in ("a b", {"a", "b"}, [5], None):
        with pytest.raises(HgldError, match="expected a list of ids, each a text, best first"):
            retrieval(dict.fromkeys(RECOGNITION, ids), truth)
    for guess in ("7", ("7", 0.5), Prediction(7, 0.5)):  # type: ignore[arg-type]
        with pytest.raises(HgldError, match="expected None or a Prediction with a text as landmark"):
            recognition(dict.fromkeys(RECOGNITION, guess), truth)  # type: ignore[arg-type]
    with pytest.raises(HgldError, match="expected predictions by query id, as a dict, and a Solution"):
        retrieval([], truth)  # type: ignore[arg-type]
    with pytest.raises(HgldError, match="expected the table that `retrieval` returns"):
        retrieval_summary(pd.DataFrame())


@pytest.mark.parametrize("row", [("q", 5.0, "Public"), ("q", None, "Public"), (3, "5", "Public")])
def test_a_solution_that_is_not_text_is_an_error(row: tuple[Any, ...]) -> None:
    """A column of numbers with a missing one is 5.0 where the submission says 5."""
    with pytest.raises(HgldError, match=r"row 0: .* is not all text"):
        solution(pd.DataFrame([row], columns=["id", "landmarks", "Usage"]).astype(object))


def test_a_test_image_among_the_answers_is_an_error(tmp_path: Path) -> None:
    """Features of index and queries in one file: every query finds itself first."""
    own = "".join(f"{query},{query} a\n" for query in TRUTH)
    with pytest.raises(HgldError, match="query q1 lists q1, a test image; expected index images"):
        retrieval_submission(write(tmp_path, "id,images\n" + own), truth_of(TRUTH))
    leave_one_out = truth_of({"a": ("b", "Public"), "b": ("a", "Public")})
    assert retrieval_submission(write(tmp_path, "id,images\na,b\nb,a\n"), leave_one_out) == {"a": ("b",), "b": ("a",)}
