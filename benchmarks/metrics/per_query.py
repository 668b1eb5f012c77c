"""Evaluation of embeddings: one row a query, one column a metric, by names that parse.

    H-AP  NDCG  NDCG@10  ASI  AP_l0  mAP@R_l0  mAP@100_l0  P@1_l0  R@1_l0  recall@10_l0  AP#1  ties

`_l0` names the level whose agreement (and that of every coarser one) makes a positive, 0 the finest; `#1` the exact
agreement; `@10` the cut. `R@k` is 1 where any positive stands in the first k, `recall@k` counts hits over min(R, k).
`ties` is 1 for a query that has a tie at a level boundary, where the order by index decides.
Definitions stand in hgld.benchmarks.metrics.definitions; a value is NaN where it is undefined.

Order: score descending, then gallery index ascending. The query itself is removed by id and by nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hgld.benchmarks.metrics import definitions
from hgld.benchmarks.metrics.gallery import Gallery, check_side, narrowed, own_items
from hgld.benchmarks.metrics.ranked_hits import Ranking
from hgld.benchmarks.ranking.levels import UNKNOWN
from hgld.benchmarks.ranking.threads import side_by_side
from hgld.foundation.errors import HgldError, suggest

METRICS = (
    *("H-AP", "NDCG", "NDCG@10", "ASI", "AP_l0", "mAP@R_l0", "mAP@100_l0", "P@1_l0", "R@1_l0"),
    *("recall@10_l0", "AP#1"),
)
# Scores held at once. A block costs a pass over the gallery: with 88 rows of 761,757 (2^26 float32, 256 MiB) the
# product of the two is bound by arithmetic, with 8 rows by memory, four times slower.
BLOCK = 1 << 26
# Scores worked on by one thread at once, about 50 bytes each: enough that Python's part does not count (with 2^16,
# a row of 60,000, the two threads waited for each other's).
PART = 1 << 19
# A GPU has no use for small parts, and forming them would wait for it.
GPU_PART = 1 << 26

Measure = Callable[[Ranking], Tensor]  # -> (Q,)
Values = np.ndarray[Any, np.dtype[np.float64]]

AT_K: dict[str, Callable[[Ranking, int, int], Tensor]] = {
    "mAP": definitions.average_precision_at,
    "P": definitions.precision_at,
    "R": definitions.any_at,
    "recall": definitions.recall_at,
}
FORMS = {
    "whole": re.compile(r"(H-AP|NDCG|ASI|ties)"),
    "ndcg": re.compile(r"NDCG@([1-9]\d*)"),
    "level": re.compile(r"(AP|mAP@R)_l(\d+)"),
    "cut": re.compile(r"(mAP|P|R|recall)@([1-9]\d*)_l(\d+)"),
    "exact": re.compile(r"AP#([1-9]\d*)"),
}


@torch.no_grad()
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
    check_side(query, query_labels, query_ids, "query")
    check_side(gallery, gallery_labels, gallery_ids, "gallery")
    if query.shape[1] != gallery.shape[1]:
        raise HgldError(
            f"query embeddings are {query.shape[1]} wide and gallery embeddings {gallery.shape[1]}: "
            "embed both with the same network"
        )
    if query_labels.shape[1] != gallery_labels.shape[1]:
        raise HgldError(
            f"query labels have {query_labels.shape[1]} levels and gallery labels {gallery_labels.shape[1]}: "
            "use the same label columns for both"
        )
    wanted = {name: parse(name, query_labels.shape[1], alpha) for name in metrics}
    own = own_items(len(query), query_ids, gallery_ids)
    values = _measured(query, query_labels, Gallery.of(gallery, gallery_labels), own, list(wanted.values()))
    return pd.DataFrame(dict(zip(wanted, values, strict=True)), index=pd.RangeIndex(len(query)))


def _measured(
    query: Tensor, labels: Tensor, gallery: Gallery, own: list[list[int]], wanted: list[Measure]
) -> list[Values]:
    """Every measure for every query, one array (Q,) a measure."""
    width, labels = max(1, len(gallery.labels)), narrowed(labels)
    ragged = bool((labels == UNKNOWN).any())
    on_cpu = query.device.type == "cpu"
    step, block = max(1, (PART if on_cpu else GPU_PART) // width), max(1, BLOCK // width)
    table = np.full((len(wanted), len(query)), np.nan)

    def measure(part: tuple[Tensor, int]) -> None:
        scores, at = part
        rows = slice(at, at + len(scores))
        ranking = gallery.ranking(scores, labels[rows], own[rows], ragged)
        for line, one in zip(table, wanted, strict=True):
            line[rows] = one(ranking).cpu().numpy()

    threads = torch.get_num_threads() if on_cpu and len(query) * width > 4 * PART else 1
    with side_by_side(threads) as each:
        for at in range(0, len(query), block):
            scores = gallery.scores(query[at : at + block])
            each(measure, [(part, at + n * step) for n, part in enumerate(torch.split(scores, step))])
    return list(table)


def parse(name: str, levels: int, alpha: float = 1.0) -> Measure:
    """The measure that a metric name means for labels of so many levels; raises HgldError for any other name."""
    found = {form: match for form, pattern in FORMS.items() if (match := pattern.fullmatch(name))}
    if not found:
        known = (*METRICS, "ties")
        raise HgldError(f"unknown metric {name!r}{suggest(name, known)} (the forms: {', '.join(known)})")
    form, match = found.popitem()
    groups = match.groups()
    if form in ("level", "cut"):
        level, k = int(groups[-1]), int(groups[1]) if form == "cut" else None
        if level >= levels:
            raise HgldError(
                f"metric {name!r}: level {level} does not exist, the labels have {levels} (0 is the finest)"
            )
        return _level_measure(groups[0], levels - level, k)
    if form == "exact":
        t = int(groups[0])
        if t > levels:
            raise HgldError(
                f"metric {name!r}: the labels have {levels} levels, agreements run from 1 to {levels}"
            )
        return lambda ranking: definitions.exact_level_ap(ranking, t)
    if form == "ndcg":
        return lambda ranking: definitions.ndcg(ranking, int(groups[0]))
    whole: dict[str, Measure] = {
        "H-AP": lambda ranking: definitions.h_ap(ranking, alpha),
        "NDCG": definitions.ndcg,
        "ASI": definitions.asi,
        "ties": definitions.boundary_tie,
    }
    return whole[name]


def _level_measure(kind: str, t: int, k: int | None) -> Measure:
    """A measure on the positives of one level: those that agree at t or deeper."""
    if k is not None:
        return lambda ranking: AT_K[kind](ranking, t, k)
    of_hits = definitions.average_precision if kind == "AP" else definitions.average_precision_at_r
    return lambda ranking: of_hits(ranking, t)
