"""The comparison of several models: means with intervals, differences to the best one, and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hgld.benchmarks.comparison.finished_runs import FinishedRun, chosen_metrics, scores_of
from hgld.benchmarks.comparison.resampling import (
    RESAMPLES,
    Values,
    bootstrap_means,
    holm,
    interval,
    randomisation_test,
)
from hgld.benchmarks.metrics.macro import is_macro
from hgld.foundation.errors import HgldError, suggest

_EQUAL = 1e-12  # means that differ by less are a tie


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model under one metric; intervals are of 95 %, NaN is undefined.

    count: queries (classes of a macro metric) where the metric is defined. reference: the model compared with, "" for
    that model itself. difference: mean minus that of the reference; p: of the paired test, p_holm: corrected.
    """

    model: str
    metric: str
    count: int
    mean: float
    low: float
    high: float
    best: bool
    reference: str
    difference: float
    difference_low: float
    difference_high: float
    p: float
    p_holm: float


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """The cells of every model (best first by the first metric) and metric, and how they were computed.

    baseline: the model that all are compared with; None: the best one of each metric.
    """

    models: tuple[str, ...]
    metrics: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    baseline: str | None
    queries: int
    resamples: int
    seed: int

    def note(self) -> str:
        """What the table shows, in sentences."""
        compared = sum(cell.p == cell.p for cell in self.cells.values())
        reference = "the best model" if self.baseline is None else self.baseline
        text = (
            f"{self.queries} queries. Brackets: 95 % intervals, bootstrap over the queries ({self.resamples} resamples)"
        )
        if any(map(is_macro, self.metrics)):
            text += ", over the classes for macro metrics"
        if compared:
            text += (
                f". Differences are to {reference}, paired by query. *: p < 0.05 in the paired randomisation test, "
                f"with Holm's correction for {compared} comparisons"
            )
        return text + "."


def compare(
    runs: Sequence[FinishedRun],
    metrics: Sequence[str] | None = None,
    baseline: str | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Leaderboard:
    """Compare runs on the same queries; metrics: all that they have in common by default.

    A query where a metric is undefined does not count in its mean. Raises HgldError for metrics or a baseline that do
    not exist.
    """
    names = [run.name for run in runs]
    if baseline is not None and baseline not in names:
        raise HgldError(f"no result is named {baseline!r}{suggest(baseline, names)} (there are: {', '.join(names)})")
    chosen = chosen_metrics(runs, metrics)
    columns = {metric: np.stack([scores_of(run, metric) for run in runs], axis=1) for metric in chosen}
    rows = []
    for group in _of_equal_length(columns):
        rows += _cells(names, {metric: columns[metric] for metric in group}, baseline, resamples, seed)
    corrected = holm(np.array([cell.p for cell in rows]))
    cells = {
        (cell.model, cell.metric): Cell(**{**vars(cell), "p_holm": float(p)})
        for cell, p in zip(rows, corrected, strict=True)
    }
    first = {name: cells[name, chosen[0]].mean for name in names}
    order = sorted(
        names, key=lambda name: (first[name] != first[name], -first[name] if first[name] == first[name] else 0)
    )
    return Leaderboard(
        models=tuple(order),
        metrics=tuple(chosen),
        cells=cells,
        baseline=baseline,
        queries=len(runs[0].per_query),
        resamples=resamples,
        seed=seed,
    )


def _of_equal_length(columns: dict[str, Values]) -> list[list[str]]:
    """The metrics in groups that are resampled together: those over queries, and macro metrics over equal classes."""
    groups: dict[tuple[bool, int], list[str]] = {}
    for metric, values in columns.items():
        groups.setdefault((is_macro(metric), len(values)), []).append(metric)
    return list(groups.values())


def _cells(
    names: Sequence[str], columns: dict[str, Values], baseline: str | None, resamples: int, seed: int
) -> list[Cell]:
    """The cells of metrics over the same n queries or classes, each (n, models); p_holm is still missing."""
    values = np.concatenate(list(columns.values()), axis=1)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    tops = np.array([np.max(row, initial=-1.0, where=np.isfinite(row)) for row in means.reshape(-1, len(names))])
    firsts = [int(np.argmax(np.nan_to_num(row, nan=-1.0))) for row in means.reshape(-1, len(names))]
    chosen = firsts if baseline is None else [names.index(baseline)] * len(columns)
    reference = np.repeat(np.arange(len(columns)) * len(names) + chosen, len(names))
    drawn = bootstrap_means(values, resamples, seed)
    low, high = interval(drawn)
    difference = means - means[reference]
    difference_low, difference_high = interval(drawn - drawn[:, reference])
    p_values = randomisation_test(values - values[:, reference], resamples, seed)
    own = reference == np.arange(len(reference))
    for column in (difference, difference_low, difference_high, p_values):
        column[own] = np.nan
    return [
        Cell(
            model=names[n % len(names)],
            metric=metric,
            count=int(known[:, n].sum()),
            mean=float(means[n]),
            low=float(low[n]),
            high=float(high[n]),
            best=bool(means[n] >= tops[n // len(names)] - _EQUAL),
            reference="" if own[n] else names[reference[n] % len(names)],
            difference=float(difference[n]),
            difference_low=float(difference_low[n]),
            difference_high=float(difference_high[n]),
            p=float(p_values[n]),
            p_holm=np.nan,
        )
        for n, metric in enumerate(metric for metric in columns for _ in names)
    ]
