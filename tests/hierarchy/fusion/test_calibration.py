"""Calibration: what is fitted, how it is measured, and the folds."""

import numpy as np
import pytest
from scipy.special import softmax

from hgld.hierarchy.fusion.calibration import (
    Calibration,
    adaptive_ece,
    fit_calibration,
    folds,
    row_chunks,
    softmax_of_truth,
)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_temperature_of_sampled_labels_is_recovered(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(4000, 5))
    chances = Calibration(0.5).probabilities(scores)
    truth = np.array([random.choice(5, p=row) for row in chances])
    fitted = fit_calibration(scores, truth)
    assert fitted.temperature == pytest.approx(0.5, rel=0.15)
    probabilities = fitted.probabilities(scores)
    assert adaptive_ece(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth) < 0.03


@pytest.mark.parametrize("rows", [1, 1023, 1024, 2500])
def test_rows_computed_in_chunks_have_the_bits_of_all_at_once(rows: int) -> None:
    random = np.random.default_rng(rows)
    scores, truth = random.normal(size=(rows, 78)), random.integers(0, 78, rows)
    whole = softmax(scores / 0.3, axis=1)
    chunks = [softmax_of_truth(scores[part] / 0.3, truth[part]) for part in row_chunks(rows)]
    assert np.array_equal(np.concatenate(chunks), whole[np.arange(rows), truth])
    assert np.array_equal(Calibration(0.3, 0.1).probabilities(scores), (1 - 0.1) * whole + 0.1 / 78)


def test_smoothing_is_a_floor_of_the_probabilities() -> None:
    probabilities = Calibration(0.01, 0.2).probabilities(np.array([[1.0, 0.0, 0.0, 0.0]]))
    assert probabilities[0].tolist() == pytest.approx([0.85, 0.05, 0.05, 0.05])


def test_without_rows_the_calibration_is_the_identity() -> None:
    assert fit_calibration(np.zeros((0, 3)), np.zeros(0, dtype=np.int64)) == Calibration()


def test_adaptive_ece_is_the_gap_between_confidence_and_accuracy() -> None:
    correct = np.array([True] * 70 + [False] * 30)
    assert adaptive_ece(np.full(100, 0.7), np.random.default_rng(0).permutation(correct)) < 0.15
    assert adaptive_ece(np.full(100, 1.0), correct) == pytest.approx(0.3)
    assert np.isnan(adaptive_ece(np.zeros(0), np.zeros(0, dtype=bool)))


def test_folds_depend_on_the_name_alone() -> None:
    names = [f"n{number}" for number in range(50)]
    assert dict(zip(names, folds(names, 5), strict=True)) == dict(zip(names[::-1], folds(names[::-1], 5), strict=True))
    assert set(folds(names, 5)) == set(range(5))
