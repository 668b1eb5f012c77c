"""Scores that mean what they say: of the landmarks that score 0.8, eight in ten have the label.

What turns scores into probabilities is fitted on landmarks that the model has not seen (held-out folds); how far that
succeeded is the expected calibration error.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TEMPERATURES = np.geomspace(0.02, 5.0, 60)
_DOUBTS = np.linspace(0.0, 0.4, 21)
_BINS = 10


def folds(names: Iterable[str], count: int) -> npt.NDArray[np.int64]:
    """The fold of each name in [0, count): by its hash, so that it depends on no order and no other name."""
    return np.array(
        [int(hashlib.sha256(name.encode()).hexdigest(), 16) % count for name in names], dtype=np.int64
    )


@dataclass(frozen=True)
class Calibration:
    """From scores to probabilities: softmax of scores / temperature, then a share `doubt` given to all labels alike.

    Published labels err, and a name may mislead however clear it is; no temperature can say that, a floor can.
    """

    temperature: float = 1.0
    doubt: float = 0.0

    def probabilities(self, scores: Floats) -> Floats:
        """Scores (N, L) → (N, L) in [0, 1], rows sum to 1."""
        logits = scores / self.temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        return np.asarray((1 - self.doubt) * shares + self.doubt / scores.shape[1], dtype=np.float64)


def fit_calibration(scores: Floats, truth: npt.NDArray[np.int64]) -> Calibration:
    """The calibration of least negative log-likelihood on held-out rows; the identity where there are none.

    scores (N, L), truth (N,) the column of the right label.
    """
    rows = np.arange(len(scores))
    best = (math.inf, Calibration())
    for temperature in _TEMPERATURES if len(scores) else ():
        told = Calibration(float(temperature)).probabilities(scores)[rows, truth]
        for doubt in _DOUBTS:
            mixed = (1 - doubt) * told + doubt / scores.shape[1]
            loss = round(float(-np.log(np.maximum(mixed, 1e-12)).mean()), 9)
            best = min(best, (loss, Calibration(float(temperature), float(doubt))), key=lambda one: one[0])
    return best[1]


def calibration_error(confidence: Floats, right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over ten bins of equal count.

    confidence (N,) in [0, 1], right (N,) → [0, 1]; NaN for no rows. Guo et al. 2017, eq. 3, with equal-count bins.
    """
    if not len(confidence):
        return float("nan")
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    return float(
        sum(abs(confidence[part].mean() - right[part].mean()) * len(part) for part in parts) / len(order)
    )
