"""Evidence with a known accuracy."""

import numpy as np


def synthetic_evidence(seed: int, rows: int, labels: int, skill: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (rows, labels) that favour the right label in a fraction `skill` of the rows; truth (rows,).

    The truth is the same for every seed.
    """
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(labels, size=rows)
    favoured = np.where(random.random(rows) < skill, truth, random.integers(labels, size=rows))
    probabilities = np.full((rows, labels), 0.4 / (labels - 1))
    probabilities[np.arange(rows), favoured] = 0.6
    return probabilities, truth
