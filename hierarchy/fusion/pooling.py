"""Several kinds of evidence become one probability per label: a weighted product of what each says.

Each evidence says of a landmark how probable each label is, uniformly where it knows nothing. The fused probability is
proportional to the product of those to the power of the evidence's weight (a log-linear pool), so that evidence that
knows nothing changes nothing, and two that agree are surer than either. Weights are fitted on landmarks whose label is
known, by what the evidence said without knowing it.
"""

from collections.abc import Mapping
from itertools import product

import numpy as np
import numpy.typing as npt

from hgld.hierarchy.fusion.calibration import Calibration, Floats, fit_calibration

# How much a label is believed in that an evidence gives no probability at all.
_FLOOR = 1e-4
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)

# Below so many known landmarks nothing is fitted (three weights, a temperature and a floor would follow single rows):
# all evidence counts alike, as it came.
ENOUGH = 50


def fuse(evidence: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    """The probability of each label, from that of every evidence.

    evidence: name → (C, L) rows of which sum to 1; weights: name → ≥ 0 → (C, L) in (0, 1), rows sum to 1. The order
    of the evidence does not matter.

    >>> one, none = np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]])
    >>> fuse({"name": one, "image": none}, {"name": 1.0, "image": 1.0}).round(3).tolist()
    [[0.8, 0.2]]
    """
    total = sum(weights[name] * np.log(np.maximum(evidence[name], _FLOOR)) for name in sorted(evidence))
    powers = np.exp(total - np.max(total, axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def fit_weights(evidence: Mapping[str, Floats], truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """The weights of least negative log-likelihood on a grid; all 1 where fewer than ENOUGH landmarks are known.

    evidence: name → (C, L), truth (C,) the column of the right label. Of equal ones the first of the grid.
    """
    names = sorted(evidence)
    if len(truth) < ENOUGH:
        return dict.fromkeys(names, 1.0)
    rows = np.arange(len(truth))
    best = (np.inf, dict.fromkeys(names, 1.0))
    for values in product(_WEIGHTS, repeat=len(names)):
        if max(values) == 1.0:
            weights = dict(zip(names, values, strict=True))
            told = fuse(evidence, weights)[rows, truth]
            best = min(best, (round(float(-np.log(told).mean()), 9), weights), key=lambda one: one[0])
    return best[1]


def fit_one(found: Floats, truth: npt.NDArray[np.int64]) -> Calibration:
    """The calibration of one evidence's probabilities (C, L): of their logarithms as scores."""
    return (
        fit_calibration(np.log(np.maximum(found, _FLOOR)), truth) if len(truth) >= ENOUGH else Calibration()
    )


def calibrated(found: Floats, calibration: Calibration) -> Floats:
    """Probabilities (C, L) recalibrated; rows that know nothing stay as they are."""
    flat = np.ptp(found, axis=1) < 1e-12
    told = calibration.probabilities(np.log(np.maximum(found, _FLOOR)))
    return np.where(flat[:, None], found, told)
