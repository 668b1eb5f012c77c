"""Google Landmarks v2's own two measures (Weyand et al., CVPR 2020), Public and Private apart.

Retrieval, a mean over the queries, k = 100, R relevant index images:

    mAP@k = mean of AP@k,    AP@k = 1 / min(R, k) sum_{n <= k} P(n) b_n

Recognition, one ranking of the guesses for all queries together, most confident first:

    GAP = 1/M sum_i P(i) rel(i),    M the queries that show a landmark at all

P is the share of hits up to that place. A guess is a hit when it is any of the query's landmarks; one for a query that
shows none is a miss. Ignored test images take no part, whatever is predicted for them.

Ties: a retrieval list is an order and has none. Guesses of equal confidence are ordered by query id ascending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hgld.benchmarks.protocols.submissions import USAGES, Guess, Solution, check_complete
from hgld.foundation.errors import HgldError


def retrieval(predictions: Mapping[str, Sequence[str]], truth: Solution, k: int = 100) -> pd.DataFrame:
    """Score ranked lists of index image ids; what stands below place k is not looked at.

    -> DataFrame, one row a Public or Private query by id: id, usage, relevant (how many), mAP@k (float64, NaN where
    nothing is relevant). A list shorter than k, or empty, just finds less.
    Raises HgldError for an unknown query, a missing one, and an id that comes twice in a list.

    >>> truth = Solution({"q": frozenset({"a", "b"})}, {"q": "Public"})
    >>> float(retrieval({"q": ["a", "c", "b"]}, truth)["mAP@100"].iloc[0].round(4))
    0.8333
    """
    if k < 1:
        raise HgldError(f"k must be at least 1, not {k}")
    _check_queries(predictions, truth)
    check_complete(predictions, truth, "predictions")
    rows = [
        (query, truth.usage[query], len(truth.true[query]), _ap(query, predictions[query], truth, k))
        for query in truth.counted()
    ]
    return pd.DataFrame(rows, columns=["id", "usage", "relevant", f"mAP@{k}"])


def retrieval_summary(frame: pd.DataFrame) -> dict[str, float]:
    """From `retrieval`: the mean of each part, its number of queries, and how many of those are undefined."""
    measure = frame.columns[-1]
    found: dict[str, float] = {}
    for usage in USAGES:
        values = frame.loc[frame["usage"] == usage, measure]
        found[f"{measure} {usage}"] = float(values.mean())
        found[f"queries {usage}"] = int(values.notna().sum())
        found[f"undefined {usage}"] = int(values.isna().sum())
    return found


def recognition(guesses: Mapping[str, Guess | None], truth: Solution) -> pd.DataFrame:
    """Rank the guesses of each part and mark the hits; None is no guess.

    -> DataFrame, one row a Public or Private query, in rank order, those without a guess last: id, usage, landmarks
    (how many are true), landmark, confidence, rank (1 .. within the usage, 0 without a guess), hit (bool), part
    (P(i) rel(i); GAP is their sum over M), ties (1 where a guess of equal confidence differs in `hit`).
    Raises HgldError for an unknown query, a missing one, and a confidence that is not finite.
    """
    _check_queries(guesses, truth)
    check_complete(guesses, truth, "guesses")
    rows = []
    for query in truth.counted():
        guess, true = guesses[query], truth.true[query]
        name, confidence = ("", np.nan) if guess is None else (guess.landmark, guess.confidence)
        if guess is not None and not np.isfinite(confidence):
            raise HgldError(f"query {query}: the confidence {confidence} is not a finite number")
        rows.append((query, truth.usage[query], len(true), name, confidence, guess is not None, name in true))
    columns = ["id", "usage", "landmarks", "landmark", "confidence", "guessed", "hit"]
    frame = pd.DataFrame(rows, columns=columns).astype({"guessed": "bool", "hit": "bool"})
    # ids ascend already, and a stable sort keeps them so within equal confidences
    frame = frame.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)
    frame = pd.concat([frame[frame["usage"] == usage] for usage in USAGES], ignore_index=True)
    groups = frame.groupby("usage", sort=False)
    frame["rank"] = groups["guessed"].cumsum() * frame["guessed"]
    frame["part"] = (groups["hit"].cumsum() / frame["rank"].clip(lower=1)).where(frame["hit"], 0.0)
    frame["ties"] = frame.groupby(["usage", "confidence"])["hit"].transform("nunique").gt(1).astype("float64")
    return frame[[*columns[:5], "rank", "hit", "part", "ties"]]


def recognition_summary(frame: pd.DataFrame) -> dict[str, float]:
    """From `recognition`: GAP of each part (NaN where no query shows a landmark), M, the guesses, those in a tie."""
    found: dict[str, float] = {}
    for usage in USAGES:
        rows = frame[frame["usage"] == usage]
        shown = int((rows["landmarks"] > 0).sum())
        found[f"GAP {usage}"] = float(rows["part"].sum() / shown) if shown else np.nan
        found[f"queries {usage}"] = shown
        found[f"guesses {usage}"] = int((rows["rank"] > 0).sum())
        found[f"tied {usage}"] = int(rows["ties"].sum())
    return found


def _ap(query: str, listed: Sequence[str], truth: Solution, k: int) -> float:
    """AP@k of one list; NaN where nothing is relevant."""
    true = truth.true[query]
    if len(set(listed)) < len(listed):
        raise HgldError(f"query {query}: an index image is listed twice; list each once, best first")
    if not true:
        return float("nan")
    hits = np.array([name in true for name in listed[:k]], dtype=np.float64)
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / min(len(true), k))


def _check_queries(answers: Mapping[str, object], truth: Solution) -> None:
    stranger = next((query for query in answers if query not in truth.usage), None)
    if stranger is not None:
        raise HgldError(f"unknown query {stranger!r}: the solution has no such test image")
