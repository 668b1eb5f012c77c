"""Log-linear pool: several kinds of evidence become one probability per label.

Each kind of evidence gives a landmark a distribution over the labels, uniform where it has no information. The pool is
proportional to the product of these distributions, each to the power of its weight: a uniform one changes nothing, and
two that agree give a higher probability than either. Weights are fitted on held-out distributions of landmarks with a
known label.
"""

from collections.abc import Mapping
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from hgld.hierarchy.fusion.calibration import Calibration, Floats, fit_calibration

# Probabilities are clipped from below, so that no single kind of evidence can rule a label out.
_FLOOR = 1e-4
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)

# With fewer known landmarks nothing is fitted, as weights, temperature and smoothing would overfit single rows: all
# kinds of evidence get weight 1 and stay uncalibrated.
MIN_KNOWN = 50


def log_linear_pool(evidence: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    """softmax(sum_k w_k log p_k): the probability of each label, independent of the order of the evidence.

    evidence: name → (C, L), rows sum to 1; weights: name → ≥ 0 → (C, L) in (0, 1), rows sum to 1.

    >>> sure, uniform = np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]])
    >>> log_linear_pool({"name": sure, "image": uniform}, {"name": 1.0, "image": 1.0}).round(3).tolist()
    [[0.8, 0.2]]
    """
    total = sum(weights[name] * _log(evidence[name]) for name in sorted(evidence))
    return np.asarray(softmax(total, axis=1), dtype=np.float64)


def fit_weights(evidence: Mapping[str, Floats], truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """The pool weights with the least negative log-likelihood on a grid; all 1 with fewer than MIN_KNOWN rows.

    evidence: name → (C, L), truth (C,) the column of the right label. Ties go to the first grid point.
    """
    names = sorted(evidence)
    best = (np.inf, dict.fromkeys(names, 1.0))
    if len(truth) < MIN_KNOWN:
        return best[1]
    rows = np.arange(len(truth))
    for values in product(_WEIGHTS, repeat=len(names)):
        if max(values) == 1.0:
            weights = dict(zip(names, values, strict=True))
            likelihood = log_linear_pool(evidence, weights)[rows, truth]
            loss = round(float(-np.log(likelihood).mean()), 9)
            if loss < best[0]:
                best = (loss, weights)
    return best[1]


def fit_recalibration(probabilities: Floats, truth: npt.NDArray[np.int64]) -> Calibration:
    """The calibration of the logarithms of (C, L) probabilities; the identity with fewer than MIN_KNOWN rows."""
    return fit_calibration(_log(probabilities), truth) if len(truth) >= MIN_KNOWN else Calibration()


def recalibrated(probabilities: Floats, calibration: Calibration) -> Floats:
    """Probabilities (C, L) after `calibration`; uniform rows stay uniform."""
    uniform = np.ptp(probabilities, axis=1) < 1e-12
    return np.where(uniform[:, None], probabilities, calibration.probabilities(_log(probabilities)))


def _log(probabilities: Floats) -> Floats:
    return np.log(np.maximum(probabilities, _FLOOR))
