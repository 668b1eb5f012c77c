"""Evaluation of embeddings: one row per query, one column per metric, by names that parse.

    H-AP  NDCG  NDCG@10  ASI  AP_l0  mAP@R_l0  mAP@100_l0  P@1_l0  R@1_l0  recall@10_l0  AP#1  ties

`_l0` is the level at which (and at every coarser one) a positive must agree, 0 the finest; `#1` the exact agreement;
`@10` the cut. `R@k` is 1 if a positive is in the first k; `recall@k` counts hits over min(R, k). `ties` is 1 for a
query with a tie at a level boundary, where the order by index matters. The definitions are in
hgld.benchmarks.metrics.definitions; undefined values are NaN.

Order: score descending, then gallery index ascending. The query itself is removed by id, and nothing else is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hgld.benchmarks.metrics import definitions
from hgld.benchmarks.metrics.gallery import Gallery, check_side, comparable, narrowed
from hgld.benchmarks.metrics.ids import as_ids, own_items
from hgld.benchmarks.metrics.ranked_hits import Ranking
from hgld.benchmarks.ranking.levels import UNKNOWN, check_alpha, signed
from hgld.benchmarks.ranking.similarity import as_tensor
from hgld.benchmarks.ranking.threads import single_core_threads
from hgld.foundation.errors import HgldError, suggest

METRICS = (
    *("H-AP", "NDCG", "NDCG@10", "ASI", "AP_l0", "mAP@R_l0", "mAP@100_l0", "P@1_l0", "R@1_l0"),
    *("recall@10_l0", "AP#1"),
)
MACRO = " macro"  # the end of the name of a mean over classes (hgld.benchmarks.metrics.macro)
# Scores per matrix product. Each product reads the whole gallery: with 88 rows of 761,757 (2^26 float32, 256 MiB) it is
# bound by arithmetic, with 8 rows by memory and four times slower.
BLOCK = 1 << 26
# Scores per thread at a time, about 50 bytes each: enough that the interpreter's time does not matter (with 2^16, one
# row of 60,000, two threads were waiting for its lock).
PART = 1 << 19
# A GPU does not profit from small parts.
GPU_PART = 1 << 26

Measure = Callable[[Ranking], Tensor]  # -> (Q,)
Values = np.ndarray[Any, np.dtype[np.float64]]
Array = np.ndarray[Any, Any]

UNCUT: dict[str, Callable[[Ranking, int], Tensor]] = {
    "AP": definitions.average_precision,
    "mAP@R": definitions.average_precision_at_r,
}
AT_K: dict[str, Callable[[Ranking, int, int], Tensor]] = {
    "mAP": definitions.average_precision_at,
    "P": definitions.precision_at,
    "R": definitions.any_at,
    "recall": definitions.recall_at,
}
FORMS = {
    "whole": re.compile(r"(H-AP|NDCG|ASI|ties)"),
    "ndcg": re.compile(r"NDCG@([1-9][0-9]{0,17})"),
    "level": re.compile(rf"({'|'.join(UNCUT)})_l([0-9]{{1,9}})"),
    "cut": re.compile(rf"({'|'.join(AT_K)})@([1-9][0-9]{{0,17}})_l([0-9]{{1,9}})"),
    "exact": re.compile(r"AP#([1-9][0-9]{0,17})"),
}


@torch.no_grad()
def evaluate(
    query: Tensor | Array,
    query_labels: Tensor | Array,
    gallery: Tensor | Array | None = None,
    gallery_labels: Tensor | Array | None = None,
    *,
    query_ids: Sequence[Any] | None = None,
    gallery_ids: Sequence[Any] | None = None,
    metrics: str | Iterable[str] = METRICS,
    alpha: float = 1.0,
) -> pd.DataFrame:
    """Score every query against a gallery.

    query (Q, d) and gallery (N, d) float embeddings, labels (Q, L), (N, L) integers, column 0 the finest; tensors or
    NumPy arrays. Embeddings are compared by cosine, whatever their lengths (hgld.benchmarks.ranking.similarity).
    gallery=None: the queries are the gallery. Gallery items with the query's id are not ranked; without ids, queries
    that are their own gallery are numbered, and a separate gallery is ranked whole. metrics: one name, or several.
    alpha, 0 or more, is the exponent of H-AP.
    -> DataFrame, one row per query in order, one float64 column per metric, NaN where undefined (`mean` omits NaN).
    Raises HgldError for an unknown metric (with a suggestion), a level that does not exist, shapes that do not match,
    embeddings that are zero or not finite, labels with the coarsest level first, the ids of one side alone, and ids
    that can never match (see `own_items`).

    >>> e = torch.eye(3)[[0, 0, 1]]
    >>> evaluate(e, torch.tensor([[5], [5], [6]]), metrics=["AP_l0"])["AP_l0"].tolist()
    [1.0, 1.0, nan]
    """
    sides = _checked(query, query_labels, gallery, gallery_labels, query_ids, gallery_ids)
    measures = _measures(metrics, sides.query_labels.shape[1], alpha)
    values = _measure_all(sides, [measures.values()])[0]
    return pd.DataFrame(dict(zip(measures, values[0], strict=True)), index=pd.RangeIndex(len(sides.query)))


class Shuffled(NamedTuple):
    """What `evaluate_shuffled` gives per query: scores, those under each shuffle, nearest items (Q, k), and `also`."""

    scores: pd.DataFrame
    shuffled: list[pd.DataFrame]
    nearest: Tensor
    also: pd.DataFrame


@torch.no_grad()
def evaluate_shuffled(
    query: tuple[Tensor, Tensor, Sequence[Any]],
    gallery: tuple[Tensor, Tensor, Sequence[Any]],
    shuffles: Sequence[Tensor],
    *,
    metrics: Iterable[str] = METRICS,
    also: Mapping[str, Measure] = MappingProxyType({}),
    nearest: int = 10,
) -> Shuffled:
    """`evaluate`, also with the gallery's labels in other orders: the level of chance. Every query is ranked once.

    query, gallery: embeddings, labels and ids. shuffles: orders (N,) of the gallery's labels. nearest: how many of the
    first gallery items to give, the query itself excluded; fewer in a small gallery. Shuffled scores have no `ties`.
    also: other measures of the ranking, by name, that are no metrics.
    """
    sides = _checked(query[0], query[1], gallery[0], gallery[1], query[2], gallery[2])
    measures = _measures(metrics, sides.query_labels.shape[1], alpha=1.0)
    of_chance = {name: measure for name, measure in measures.items() if name != "ties"}
    own = max(map(len, sides.own), default=0)
    nearest = max(0, min(nearest, len(gallery[1]) - own))
    own_measures = [*measures.values(), *also.values()]
    tables, first = _measure_all(sides, [own_measures, *[of_chance.values()] * len(shuffles)], shuffles, nearest)
    names = [[*measures, *also], *[list(of_chance)] * len(shuffles)]
    frames = [
        pd.DataFrame(dict(zip(columns, table, strict=True)), index=pd.RangeIndex(len(sides.query)))
        for columns, table in zip(names, tables, strict=True)
    ]
    scores, others = frames[0][list(measures)], frames[0][list(also)]
    return Shuffled(scores, frames[1:], first, others)


class _Sides(NamedTuple):
    """Checked queries and gallery; own: the gallery rows of each query that are not ranked."""

    query: Tensor
    query_labels: Tensor
    gallery: Tensor
    gallery_labels: Tensor
    own: list[list[int]]


def _checked(
    query: Tensor | Array,
    query_labels: Tensor | Array,
    gallery: Tensor | Array | None,
    gallery_labels: Tensor | Array | None,
    query_ids: Sequence[Any] | None,
    gallery_ids: Sequence[Any] | None,
) -> _Sides:
    query, query_labels = as_tensor(query, "query"), signed(as_tensor(query_labels, "query labels"))
    if (gallery is None) != (gallery_labels is None):
        raise HgldError("gallery and gallery_labels belong together: give both or neither")
    query_ids = None if query_ids is None else as_ids(query_ids, "query_ids")
    gallery_ids = None if gallery_ids is None else as_ids(gallery_ids, "gallery_ids")
    own_gallery = gallery is None
    if gallery is None or gallery_labels is None:
        gallery, gallery_labels = query, query_labels
        if gallery_ids is None:
            query_ids = gallery_ids = range(len(query)) if query_ids is None else query_ids
    if (query_ids is None) != (gallery_ids is None):
        raise HgldError("query_ids and gallery_ids belong together: give both, or neither to rank the whole gallery")
    gallery, gallery_labels = as_tensor(gallery, "gallery"), signed(as_tensor(gallery_labels, "gallery labels"))
    check_side(query, query_labels, query_ids, "query")
    check_side(gallery, gallery_labels, gallery_ids, "gallery")
    if query.shape[1] != gallery.shape[1]:
        raise HgldError(
            f"query embeddings are {query.shape[1]} wide and gallery embeddings {gallery.shape[1]}: "
            "embed both with the same network"
        )
    if query.device != gallery.device:
        raise HgldError(f"query is on {query.device} and gallery on {gallery.device}; put both on one device")
    if query_labels.shape[1] != gallery_labels.shape[1]:
        raise HgldError(
            f"query labels have {query_labels.shape[1]} levels and gallery labels {gallery_labels.shape[1]}: "
            "use the same label columns for both"
        )
    own = [[]] * len(query) if query_ids is None or gallery_ids is None else own_items(query_ids, gallery_ids)
    if own_gallery and (lost := [row for row, items in enumerate(own) if row not in items]):
        raise HgldError(f"query_ids and gallery_ids differ in row {lost[0]}, which is one image: give query_ids alone")
    return _Sides(query, query_labels, gallery, gallery_labels, own)


def _measures(metrics: str | Iterable[str], levels: int, alpha: float) -> dict[str, Measure]:
    names = [metrics] if isinstance(metrics, str) or not isinstance(metrics, Iterable) else metrics
    return {name: parse(name, levels, alpha) for name in names}


def _measure_all(
    sides: _Sides, measures: Sequence[Collection[Measure]], shuffles: Sequence[Tensor] = (), nearest: int = 0
) -> tuple[list[Values], Tensor]:
    """Every measure of every query, (measures, Q), for the labels and for each shuffle; and the nearest items."""
    query, gallery = comparable(sides.query), Gallery.of(sides.gallery, sides.gallery_labels, shuffles)
    width, labels = max(1, len(gallery.labels)), narrowed(sides.query_labels)
    ragged = bool((labels == UNKNOWN).any())
    on_cpu = query.device.type == "cpu"
    part_rows, block_rows = max(1, (PART if on_cpu else GPU_PART) // width), max(1, BLOCK // width)
    tables = [np.full((len(group), len(query)), np.nan) for group in measures]
    first = torch.zeros(len(query), nearest, dtype=torch.int64)

    def measure_part(part: tuple[int, Tensor]) -> None:
        start, scores = part
        rows = slice(start, start + len(scores))
        rankings, first[rows] = gallery.rankings(scores, labels[rows], sides.own[rows], ragged, nearest)
        for table, group in zip(tables, measures, strict=True):
            ranking = rankings.pop(0)  # its hits, about 20 MB for a query of GLDv2, are freed before the next are made
            for values, measure in zip(table, group, strict=True):
                values[rows] = measure(ranking).cpu().numpy()

    threads = torch.get_num_threads() if on_cpu and len(query) * width > 4 * PART else 1
    with single_core_threads(threads) as parallel_map:
        for start in range(0, len(query), block_rows):
            parts = torch.split(gallery.scores(query[start : start + block_rows]), part_rows)
            parallel_map(measure_part, zip(range(start, len(query), part_rows), parts, strict=False))
    return tables, first


def parse(name: str, levels: int, alpha: float = 1.0) -> Measure:
    """The measure with this name, for labels with `levels` levels; raises HgldError for any other name."""
    check_alpha(alpha)
    if not isinstance(levels, int) or isinstance(levels, bool) or levels < 1:
        raise HgldError(f"levels must be a whole number from 1 up; got {levels!r}")
    if not isinstance(name, str):
        raise HgldError(f"a metric is given by its name, such as 'H-AP'; got {name!r}")
    matches = {form: match for form, pattern in FORMS.items() if (match := pattern.fullmatch(name))}
    if not matches:
        if any(pattern.fullmatch(name.removesuffix(MACRO)) for pattern in FORMS.values()):
            base = name.removesuffix(MACRO)
            raise HgldError(
                f"metric {name!r} is a mean over classes, it has no value per query: compute {base!r}, then "
                "hgld.benchmarks.metrics.macro.macro_mean"
            )
        known = (*METRICS, "ties")
        raise HgldError(f"unknown metric {name!r}{suggest(name, known)} (the forms: {', '.join(known)})")
    form, match = matches.popitem()
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
            raise HgldError(f"metric {name!r}: the labels have {levels} levels, agreements run from 1 to {levels}")
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
    """A measure of the positives of one level: those that agree at t or deeper."""
    if k is not None:
        return lambda ranking: AT_K[kind](ranking, t, k)
    return lambda ranking: UNCUT[kind](ranking, t)
