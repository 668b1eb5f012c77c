"""Evaluation of embeddings: one row a query, one column a metric, by names that parse.

    H-AP  NDCG  NDCG@10  ASI  AP_l0  mAP@R_l0  mAP@100_l0  P@1_l0  R@1_l0  recall@10_l0  AP#1  ties

`_l0` names the level whose agreement (and that of every coarser one) makes a positive, 0 the finest; `#1` the exact
agreement; `@10` the cut. `R@k` is 1 where any positive stands in the first k, `recall@k` counts hits over min(R, k).
`ties` is 1 for a query that has a tie at a level boundary, where the order by index decides.
Definitions stand in hgld.benchmarks.measures; a value is NaN where it is undefined.

Order: score descending, then gallery index ascending. The query itself is removed by id and by nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from hgld.benchmarks import measures
from hgld.benchmarks.levels import agreement, check_labels, reaches
from hgld.benchmarks.rank_losses import similarity
from hgld.hierarchy.errors import HgldError, suggest

METRICS = (
    *("H-AP", "NDCG", "NDCG@10", "ASI", "AP_l0", "mAP@R_l0", "mAP@100_l0", "P@1_l0", "R@1_l0"),
    *("recall@10_l0", "AP#1"),
)
# Scores held at once: 2^22 float32 are 16 MiB; a measure makes about six float64 temporaries of that many items.
BLOCK = 1 << 22

Measure = Callable[[Tensor, Tensor], Tensor]  # (ranked agreements, ranked scores) -> (Q,)

AT_K: dict[str, Callable[[Tensor, int], Tensor]] = {
    "mAP": measures.average_precision_at,
    "P": measures.precision_at,
    "R": measures.any_at,
    "recall": measures.recall_at,
}
FORMS = {
    "whole": re.compile(r"(H-AP|NDCG|ASI|ties)"),
    "ndcg": re.compile(r"NDCG@([1-9]\d*)"),
    "level": re.compile(r"(AP|mAP@R)_l(\d+)"),
    "cut": re.compile(r"(mAP|P|R|recall)@([1-9]\d*)_l(\d+)"),
    "exact": re.compile(r"AP#([1-9]\d*)"),
}


def evaluate(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    query_ids: Sequence[Any] | None = None,
    gallery_ids: Sequence[Any] | None = None,
    metrics: Sequence[str] = METRICS,
    alpha: float = 1.0,
) -> pd.DataFrame:
    """Score every query against a gallery.

    query (Q, d) and gallery (N, d) float embeddings, labels (Q, L), (N, L) integers, column 0 the finest.
    gallery=None: the queries themselves. A gallery item with the query's id is not ranked; without ids, queries that
    are their own gallery are numbered, and a separate gallery removes nothing. alpha is H-AP's.
    -> DataFrame, one row a query in order, one float64 column a metric, NaN where undefined (means leave NaN out).
    Raises HgldError for an unknown metric (with a suggestion), a level that is not there, shapes that do not fit, and
    embeddings that are not finite.

    >>> e = torch.eye(3)[[0, 0, 1]]
    >>> evaluate(e, torch.tensor([[5], [5], [6]]), metrics=["AP_l0"])["AP_l0"].tolist()
    [1.0, 1.0, nan]
    """
    if (gallery is None) != (gallery_labels is None):
        raise HgldError("gallery and gallery_labels belong together: give both or neither")
    if gallery is None or gallery_labels is None:
        gallery, gallery_labels = query, query_labels
        query_ids = range(len(query)) if query_ids is None else query_ids
        gallery_ids = query_ids
    _check(query, query_labels, query_ids, "query")
    _check(gallery, gallery_labels, gallery_ids, "gallery")
    levels = query_labels.shape[1]
    wanted = {name: parse(name, levels, alpha) for name in metrics}
    own = _own_items(len(query), query_ids, gallery_ids)
    columns: dict[str, list[Tensor]] = {name: [] for name in wanted}
    rows = max(1, BLOCK // max(1, len(gallery)))
    for at in range(0, len(query), rows):
        part = slice(at, at + rows)
        scores, ranked = _ranking(query[part], query_labels[part], gallery, gallery_labels, own[part])
        for name, measure in wanted.items():
            columns[name].append(measure(ranked, scores).cpu())
    empty = torch.zeros(0, dtype=torch.float64)
    return pd.DataFrame({name: torch.cat([empty, *values]).numpy() for name, values in columns.items()})


def parse(name: str, levels: int, alpha: float = 1.0) -> Measure:
    """The measure that a metric name means for labels of so many levels; raises HgldError for any other name."""
    found = {form: match for form, pattern in FORMS.items() if (match := pattern.fullmatch(name))}
    if not found:
        hint = suggest(name, [*METRICS, "ties"]) or f"; known forms: {', '.join(METRICS)}"
        raise HgldError(f"unknown metric {name!r}{hint}")
    form, match = found.popitem()
    groups = match.groups()
    if form in ("level", "cut"):
        return _level_measure(groups[0], int(groups[-1]), int(groups[1]) if form == "cut" else None, levels)
    if form == "exact":
        t = int(groups[0])
        if t > levels:
            raise HgldError(
                f"metric {name!r}: the labels have {levels} levels, agreements run from 1 to {levels}"
            )
        return lambda ranked, _: measures.exact_level_ap(ranked, t)
    if form == "ndcg":
        return lambda ranked, _: measures.ndcg(ranked, levels, int(groups[0]))
    whole: dict[str, Measure] = {
        "H-AP": lambda ranked, _: measures.h_ap(ranked, levels, alpha),
        "NDCG": lambda ranked, _: measures.ndcg(ranked, levels),
        "ASI": lambda ranked, _: measures.asi(ranked, levels),
        "ties": measures.boundary_tie,
    }
    return whole[name]


def _level_measure(kind: str, level: int, k: int | None, levels: int) -> Measure:
    """A measure on the positives of one level."""
    if level >= levels:
        raise HgldError(
            f"metric {kind!r}: level {level} does not exist, the labels have {levels} (0 is the finest)"
        )
    if k is not None:
        return lambda ranked, _: AT_K[kind](reaches(ranked, level, levels), k)
    of_hits = measures.average_precision if kind == "AP" else measures.average_precision_at_r
    return lambda ranked, _: of_hits(reaches(ranked, level, levels))


def _check(embeddings: Tensor, labels: Tensor, ids: Sequence[Any] | None, what: str) -> None:
    """Raise HgldError unless embeddings, labels and ids belong together and the embeddings are finite."""
    check_labels(labels, f"{what} labels")
    if embeddings.dim() != 2 or len(embeddings) != len(labels):
        raise HgldError(
            f"{what}: embeddings {tuple(embeddings.shape)} do not fit labels {tuple(labels.shape)}"
        )
    if ids is not None and len(ids) != len(labels):
        raise HgldError(f"{what}: {len(ids)} ids for {len(labels)} rows")
    if not bool(torch.isfinite(embeddings).all()):
        row = int((~torch.isfinite(embeddings)).any(1).nonzero()[0])
        raise HgldError(
            f"{what}: the embedding of row {row} is not finite; the model has diverged or the image is bad"
        )


def _own_items(
    queries: int, query_ids: Sequence[Any] | None, gallery_ids: Sequence[Any] | None
) -> list[list[int]]:
    """For each query the gallery rows that carry its id; none where either side has no ids."""
    if query_ids is None or gallery_ids is None:
        return [[]] * queries
    at: dict[Any, list[int]] = {}
    for row, name in enumerate(gallery_ids):
        at.setdefault(name, []).append(row)
    return [at.get(name, []) for name in query_ids]


def _ranking(
    query: Tensor, query_labels: Tensor, gallery: Tensor, gallery_labels: Tensor, own: list[list[int]]
) -> tuple[Tensor, Tensor]:
    """Scores and agreements of the gallery, best first; the query's own items go to the end with agreement 0."""
    scores = similarity(query, gallery)
    depth = agreement(query_labels, gallery_labels)
    hidden = [(row, item) for row, items in enumerate(own) for item in items]
    if hidden:
        rows, items = torch.tensor(hidden, device=scores.device).T
        scores[rows, items] = -torch.inf
        depth[rows, items] = 0
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    return scores, depth.gather(1, order)
