"""Log-linear pool: agreement, uniform evidence, fitted weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.hierarchy.fusion.calibration import Calibration
from hgld.hierarchy.fusion.pooling import (
    MIN_KNOWN,
    fit_recalibration,
    fit_weights,
    log_linear_pool,
    recalibrated,
)
from tests.hierarchy.fusion.synthetic_evidence import synthetic_evidence


def test_agreement_raises_the_probability_and_uniform_evidence_changes_nothing() -> None:
    sure, uniform = np.array([[0.7, 0.2, 0.1]]), np.full((1, 3), 1 / 3)
    ones = {"a": 1.0, "b": 1.0}
    assert log_linear_pool({"a": sure, "b": sure}, ones)[0, 0] > 0.7
    assert log_linear_pool({"a": sure, "b": uniform}, ones) == pytest.approx(sure)
    weights = {"a": 1.0, "b": 0.0}
    assert log_linear_pool({"a": sure, "b": sure[:, ::-1]}, weights) == pytest.approx(sure)


@settings(deadline=None, max_examples=30)
@given(st.permutations(["class", "image", "name"]))
def test_the_pool_does_not_depend_on_the_order_of_evidence(names: list[str]) -> None:
    evidence = {name: synthetic_evidence(len(name), 20, 4, 0.7)[0] for name in names}
    weights = dict.fromkeys(names, 0.5)
    expected = log_linear_pool({name: evidence[name] for name in sorted(names)}, weights)
    assert (log_linear_pool(evidence, weights) == expected).all()


def test_noise_gets_a_low_weight() -> None:
    good, truth = synthetic_evidence(1, 300, 4, 0.9)
    noise = np.random.default_rng(9).dirichlet(np.ones(4), size=300)
    weights = fit_weights({"good": good, "noise": noise}, truth)
    assert weights["good"] == 1.0 and weights["noise"] <= 0.25


def test_with_few_known_rows_nothing_is_fitted() -> None:
    probabilities, truth = synthetic_evidence(1, MIN_KNOWN - 1, 3, 0.9)
    assert fit_weights({"a": probabilities}, truth) == {"a": 1.0}
    assert fit_recalibration(probabilities, truth) == Calibration()


def test_recalibration_leaves_uniform_rows_uniform() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]])
    result = recalibrated(rows, Calibration(0.5, 0.1))
    assert result[0, 0] > 0.7
    assert (result[1] == rows[1]).all()
