"""The two measures of Google Landmarks v2 (Weyand et al., CVPR 2020), Public and Private apart.

Retrieval, a mean over the queries, k = 100, with R relevant index images:

    mAP@k = mean of AP@k,    AP@k = 1 / min(R, k) sum_{n <= k} P(n) b_n

Recognition, one ranking of the predictions for all queries by descending confidence:

    GAP = 1/M sum_i P(i) rel(i),    M the number of queries that show any landmark

P(n) is the precision at n. A prediction is a hit when it is one of the query's landmarks; a prediction for a query
that shows none is a miss. Ignored test images are not scored, whatever is predicted for them.

Ties: a retrieval list is ordered and has none. Predictions of equal confidence are ordered by query id, ascending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from hgld.benchmarks.protocols.submissions import USAGES, Prediction, Solution, check_complete
from hgld.foundation.errors import HgldError

Summary = dict[str, dict[str, float]]
"""Measures and counts by name, for each usage or difficulty."""


def retrieval(predictions: Mapping[str, Sequence[str]], truth: Solution, k: int = 100) -> pd.DataFrame:
    """Score ranked lists of index image ids; ids after the first k are ignored.

    -> DataFrame, one row per Public or Private query, by id: id, usage, relevant (count), mAP@k (float64 in [0, 1],
    NaN where nothing is relevant). A list may be shorter than k, or empty.
    Raises HgldError for unknown and missing queries, an id listed twice, and one in another form than the truth's.

    >>> truth = Solution({"q": frozenset({"a", "b"})}, {"q": "Public"})
    >>> float(retrieval({"q": ["a", "c", "b"]}, truth)["mAP@100"].iloc[0].round(4))
    0.8333
    """
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise HgldError(f"k must be a whole number from 1 up, not {k!r}")
    _check_queries(predictions, truth)
    rows = [
        (query, truth.usage[query], len(truth.correct[query]), _ap(query, predictions[query], truth, k))
        for query in truth.scored_queries()
    ]
    return pd.DataFrame(rows, columns=["id", "usage", "relevant", f"mAP@{k}"])


def retrieval_summary(frame: pd.DataFrame) -> Summary:
    """From `retrieval`, by usage: the mean, the number of queries it is over, and the number of undefined ones."""
    _check_frame(frame, "retrieval")
    measure = frame.columns[-1]
    return {
        usage: {
            measure: float(values.mean()),
            "queries": int(values.notna().sum()),
            "undefined": int(values.isna().sum()),
        }
        for usage in USAGES
        for values in [frame.loc[frame["usage"] == usage, measure]]
    }


def recognition(predictions: Mapping[str, Prediction | None], truth: Solution) -> pd.DataFrame:
    """Rank the predictions of each usage and mark the hits; None is no prediction.

    -> DataFrame, one row per Public or Private query, in rank order, queries without a prediction last: id, usage,
    landmarks (count of correct ones), landmark, confidence, rank (from 1 within the usage, 0 without a prediction),
    hit (bool), part (P(i) rel(i); GAP is their sum over M), ties (1 where predictions of equal confidence differ in
    `hit`). Raises HgldError for unknown and missing queries, a landmark in another form than the truth's, and a
    confidence that is not finite.
    """
    _check_queries(predictions, truth)
    rows = []
    for query in truth.scored_queries():
        prediction, correct = predictions[query], truth.correct[query]
        if prediction is not None and not (isinstance(prediction, Prediction) and isinstance(prediction.landmark, str)):
            raise HgldError(f"query {query}: expected None or a Prediction with a text as landmark; got {prediction!r}")
        name, confidence = ("", np.nan) if prediction is None else (prediction.landmark, prediction.confidence)
        for problem in truth.form_problems([] if prediction is None else [name]):
            raise HgldError(f"query {query}: {problem}")
        if prediction is not None and not (isinstance(confidence, Real) and np.isfinite(confidence)):
            raise HgldError(f"query {query}: the confidence {confidence!r} is not a finite number")
        rows.append(
            (
                query,
                truth.usage[query],
                len(correct),
                name,
                confidence,
                prediction is not None,
                name in correct,
            )
        )
    columns = ["id", "usage", "landmarks", "landmark", "confidence", "predicted", "hit"]
    frame = pd.DataFrame(rows, columns=columns).astype({"predicted": "bool", "hit": "bool"})
    # ids are in ascending order, and a stable sort keeps it within equal confidences
    frame = frame.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)
    frame = pd.concat([frame[frame["usage"] == usage] for usage in USAGES], ignore_index=True)
    groups = frame.groupby("usage", sort=False)
    frame["rank"] = groups["predicted"].cumsum() * frame["predicted"]
    frame["part"] = (groups["hit"].cumsum() / frame["rank"].clip(lower=1)).where(frame["hit"], 0.0)
    frame["ties"] = frame.groupby(["usage", "confidence"])["hit"].transform("nunique").gt(1).astype("float64")
    return frame[[*columns[:5], "rank", "hit", "part", "ties"]]


def recognition_summary(frame: pd.DataFrame) -> Summary:
    """From `recognition`, by usage: GAP (NaN where no query shows a landmark), M, predictions, and those in a tie."""
    _check_frame(frame, "recognition")
    summary: Summary = {}
    for usage in USAGES:
        rows = frame[frame["usage"] == usage]
        queries = int((rows["landmarks"] > 0).sum())
        summary[usage] = {
            "GAP": float(rows["part"].sum() / queries) if queries else np.nan,
            "queries": queries,
            "guesses": int((rows["rank"] > 0).sum()),
            "tied": int(rows["ties"].sum()),
        }
    return summary


def _check_frame(frame: Any, source: str) -> None:
    if not isinstance(frame, pd.DataFrame) or "usage" not in frame:
        raise HgldError(f"expected the table that `{source}` returns; got {type(frame).__name__}")


def _ap(query: str, ranked: Sequence[str], truth: Solution, k: int) -> float:
    """AP@k of one list; NaN where nothing is relevant."""
    relevant = truth.correct[query]
    ranked = ranked.tolist() if hasattr(ranked, "tolist") else ranked
    if not isinstance(ranked, Sequence) or isinstance(ranked, str) or not all(isinstance(name, str) for name in ranked):
        raise HgldError(f"query {query}: expected a list of ids, each a text, best first; got {str(ranked)[:60]!r}")
    if len(set(ranked)) < len(ranked):
        raise HgldError(f"query {query}: an index image is listed twice; list each once, best first")
    for problem in truth.form_problems(ranked):
        raise HgldError(f"query {query}: {problem}")
    if not relevant:
        return float("nan")
    hits = np.array([name in relevant for name in ranked[:k]], dtype=np.float64)
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / min(len(relevant), k))


def _check_queries(predictions: Mapping[str, object], truth: Solution) -> None:
    if not isinstance(predictions, Mapping) or not isinstance(truth, Solution):
        got = f"{type(predictions).__name__} and {type(truth).__name__}"
        raise HgldError(f"expected predictions by query id, as a dict, and a Solution; got {got}")
    unknown = next((query for query in predictions if query not in truth.usage), None)
    if unknown is not None:
        raise HgldError(f"unknown query {unknown!r}: the solution has no such test image")
    check_complete(predictions, truth, "predictions")
