"""Calibration: labels with score 0.8 are correct in 80 % of the cases.

Temperature and uniform smoothing turn scores into probabilities. Both are fitted on held-out folds; the adaptive
expected calibration error measures the result.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

Floats = npt.NDArray[np.float64]

_TEMPERATURES = np.geomspace(0.02, 5.0, 60)
_SMOOTHING = np.linspace(0.0, 0.4, 21)
_BINS = 10

# Rows whose softmax is computed at a time: with 100 labels a megabyte, which stays in the cache of a core.
_ROWS = 1024


def folds(names: Iterable[str], count: int) -> npt.NDArray[np.int64]:
    """The fold of each name in [0, count), from its hash: independent of the order and of the other names."""
    return np.array([int(hashlib.sha256(name.encode()).hexdigest(), 16) % count for name in names], dtype=np.int64)


def hash_sample(names: Iterable[str], count: int) -> list[str]:
    """`count` of the distinct names, or all, drawn by their hash: a larger sample contains every smaller one.

    Needs no seed, does not depend on the order, and hardly changes when names are added or removed.

    >>> hash_sample(["lake", "zoo", "church"], 2)[:1] == hash_sample(["zoo", "church", "lake"], 1)
    True
    """
    return sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())[:count]


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling followed by uniform smoothing of weight `smoothing`.

    Published labels have errors, and a clear name may mislead: a temperature cannot express that, a floor can.
    """

    temperature: float = 1.0
    smoothing: float = 0.0

    def probabilities(self, scores: Floats) -> Floats:
        """Scores (N, L) → (N, L) in [0, 1], rows sum to 1: (1 - s) softmax(scores / T) + s / L."""
        result = np.empty(scores.shape)
        for rows in row_chunks(len(scores)):
            scaled = softmax(scores[rows] / self.temperature, axis=1)
            result[rows] = (1 - self.smoothing) * scaled + self.smoothing / scores.shape[1]
        return result


def fit_calibration(scores: Floats, truth: npt.NDArray[np.int64]) -> Calibration:
    """The calibration with the least negative log-likelihood on a grid; the identity without rows.

    scores (N, L) held out, truth (N,) the column of the right label. Ties go to the first grid point.
    """
    best = (math.inf, Calibration())
    if not len(scores):
        return best[1]
    likelihoods = np.empty((len(_TEMPERATURES), len(scores)))
    for rows in row_chunks(len(scores)):
        for number, temperature in enumerate(_TEMPERATURES):
            likelihoods[number, rows] = softmax_of_truth(scores[rows] / temperature, truth[rows])
    for temperature, likelihood in zip(_TEMPERATURES, likelihoods, strict=True):
        for smoothing in _SMOOTHING:
            smoothed = (1 - smoothing) * likelihood + smoothing / scores.shape[1]
            loss = round(float(-np.log(np.maximum(smoothed, 1e-12)).mean()), 9)
            if loss < best[0]:
                best = (loss, Calibration(float(temperature), float(smoothing)))
    return best[1]


def row_chunks(count: int) -> Iterator[slice]:
    """Consecutive rows to compute together, `count` in all."""
    return (slice(start, start + _ROWS) for start in range(0, count, _ROWS))


def softmax_of_truth(scores: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    """softmax(scores)[n, truth[n]] of every row n; (N, L), (N,) → (N,), bit for bit as scipy's.

    >>> softmax_of_truth(np.log([[0.2, 0.8]]), np.array([1])).round(3).tolist()
    [0.8]
    """
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers[np.arange(len(truth)), truth] / powers.sum(axis=1), dtype=np.float64)


def adaptive_ece(confidence: Floats, correct: npt.NDArray[np.bool_]) -> float:
    """Adaptive expected calibration error: mean |accuracy - confidence| over ten bins of equal count.

    confidence (N,) in [0, 1], correct (N,) → [0, 1]; NaN without rows. Guo et al., ICML 2017, eq. 3, with equal-count
    bins (Nixon et al. 2019) instead of equal-width ones.
    """
    if not len(confidence):
        return float("nan")
    order = np.argsort(confidence, kind="stable")
    bins = [rows for rows in np.array_split(order, _BINS) if len(rows)]
    return float(sum(abs(confidence[rows].mean() - correct[rows].mean()) * len(rows) for rows in bins) / len(order))
