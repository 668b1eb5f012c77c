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

from hgld.hierarchy.fusion.calibration import Calibration, Floats, fit_calibration, row_chunks, softmax_of_truth

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
    names = sorted(evidence)
    result = np.empty(evidence[names[0]].shape)
    for rows in row_chunks(len(result)):
        result[rows] = softmax(sum(weights[name] * _log(evidence[name][rows]) for name in names), axis=1)
    return result


def fit_weights(evidence: Mapping[str, Floats], truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """The pool weights with the least negative log-likelihood on a grid; all 1 with fewer than MIN_KNOWN rows.

    evidence: name → (C, L), truth (C,) the column of the right label. Ties go to the first grid point.
    """
    names = sorted(evidence)
    best = (np.inf, dict.fromkeys(names, 1.0))
    if len(truth) < MIN_KNOWN:
        return best[1]
    grid = [values for values in product(_WEIGHTS, repeat=len(names)) if max(values) == 1.0]
    likelihoods = np.empty((len(grid), len(truth)))
    for rows in row_chunks(len(truth)):
        logs = [_log(evidence[name][rows]) for name in names]
        for number, values in enumerate(grid):
            total = sum(weight * log for weight, log in zip(values, logs, strict=True))
            likelihoods[number, rows] = softmax_of_truth(np.asarray(total), truth[rows])
    for values, likelihood in zip(grid, likelihoods, strict=True):
        loss = round(float(-np.log(likelihood).mean()), 9)
        if loss < best[0]:
            best = (loss, dict(zip(names, values, strict=True)))
    return best[1]


def fit_recalibration(probabilities: Floats, truth: npt.NDArray[np.int64]) -> Calibration:
    """The calibration of the logarithms of (C, L) probabilities; the identity with fewer than MIN_KNOWN rows."""
    return fit_calibration(_log(probabilities), truth) if len(truth) >= MIN_KNOWN else Calibration()


def recalibrated(probabilities: Floats, calibration: Calibration) -> Floats:
    """Probabilities (C, L) after `calibration`; uniform rows stay uniform."""
    uniform = np.ptp(probabilities, axis=1) < 1e-12
    result = calibration.probabilities(_log(probabilities))
    result[uniform] = probabilities[uniform]
    return result


def _log(probabilities: Floats) -> Floats:
    return np.log(np.maximum(probabilities, _FLOOR))
