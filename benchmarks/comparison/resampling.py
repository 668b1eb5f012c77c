"""How certain a mean over queries is: bootstrap intervals, paired randomisation tests, and Holm's correction.

Values come as columns over the same n queries, (n, C), NaN where a metric is undefined: what is drawn is a query with
all its values, so that columns stay paired and are compared in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

Values = np.ndarray[Any, np.dtype[np.float64]]

RESAMPLES = 10_000
CONFIDENCE = 0.95
# Random numbers at a time: bounds the memory whatever the number of queries.
_BLOCK = 1 << 22
# Sums that differ by less than this share are equal: the order of additions decides the last digits.
_SAME = 1e-9


def bootstrap_means(values: Values, resamples: int = RESAMPLES, seed: int = 0) -> Values:
    """Means of the columns in `resamples` samples of n queries with replacement, (n, C) -> (resamples, C).

    A mean is over the drawn queries where the column is defined; NaN if there are none. Efron & Tibshirani, An
    Introduction to the Bootstrap (1993), chapter 13.
    """
    defined = np.isfinite(values)
    filled, weights = np.where(defined, values, 0.0), defined.astype(np.float64)
    generator, count = np.random.default_rng(seed), len(values)
    means = np.empty((resamples, values.shape[1]))
    for first, last in _blocks(resamples, count):
        rows = last - first
        drawn = generator.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)
        with np.errstate(invalid="ignore"):
            means[first:last] = (times @ filled) / (times @ weights)
    return means


def interval(means: Values, confidence: float = CONFIDENCE) -> tuple[Values, Values]:
    """Percentile intervals of bootstrap means, or of their differences: (B, C) -> lower and upper ends (C,).

    Resamples in which a mean is undefined do not count; NaN where all are.
    """
    ends = np.full((2, means.shape[1]), np.nan)
    known = ~np.isnan(means).all(axis=0)
    tail = (1 - confidence) / 2
    ends[:, known] = np.nanquantile(means[:, known], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]


def randomisation_test(differences: Values, resamples: int = RESAMPLES, seed: int = 0) -> Values:
    """Two-sided p-values of "both models are equally good", (n, C) -> (C,); NaN where no difference is defined.

    differences: of two models, per query. If the models are equally good, each difference might as well have the other
    sign: p is the share of the 2^n signings whose mean is at least as far from 0 as the observed one. All of them are
    tried if they are no more than `resamples`, otherwise that many random ones, of which p = (1 + hits) / (1 +
    resamples). Fisher's randomisation test, which Smucker, Allan & Carterette (CIKM 2007) recommend for retrieval.

    >>> randomisation_test(np.array([[0.1], [0.2], [0.3]])).tolist()  # 2 of 8: all signs equal
    [0.25]
    """
    filled = np.nan_to_num(differences)
    filled = filled[(filled != 0).any(axis=1)]
    least = np.abs(filled.sum(axis=0)) * (1 - _SAME)
    count = len(filled)
    exact = 2**count <= resamples if count < 64 else False
    trials = 2**count if exact else resamples
    generator = np.random.default_rng(seed)
    hits = np.zeros(filled.shape[1])
    for first, last in _blocks(trials, count):
        if exact:
            positive = np.arange(first, last)[:, None] >> np.arange(count) & 1
        else:
            positive = generator.integers(0, 2, (last - first, count), dtype=np.int8)
        hits += (np.abs((positive * 2.0 - 1.0) @ filled) >= least).sum(axis=0)
    p_values = hits / trials if exact else (hits + 1) / (trials + 1)
    return np.where(np.isnan(differences).all(axis=0), np.nan, p_values)


def holm(p_values: Values) -> Values:
    """Holm's adjusted p-values (Scandinavian Journal of Statistics, 1979), same shape; NaN is no comparison.

    The smallest of m is multiplied by m, the next by m - 1, …; none becomes smaller than the one before, or larger
    than 1.

    >>> holm(np.array([0.04, 0.01, 0.03])).tolist()
    [0.06, 0.03, 0.06]
    """
    flat = p_values.ravel()
    order = np.argsort(flat)[: int(np.isfinite(flat).sum())]
    adjusted = flat.copy()
    steps = flat[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted.reshape(p_values.shape)


def _blocks(trials: int, count: int) -> Iterator[tuple[int, int]]:
    """Ranges that cover `trials` rows of `count` numbers, each of at most _BLOCK numbers."""
    rows = max(1, _BLOCK // max(1, count))
    yield from pairwise([*range(0, trials, rows), trials])
