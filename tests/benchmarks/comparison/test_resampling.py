"""Intervals, tests and correction: against SciPy, slow loops, values worked by hand, and what the theory says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from hgld.benchmarks.comparison import resampling
from hgld.benchmarks.comparison.resampling import bootstrap_means, holm, interval, randomisation_test

NAN = float("nan")


def scores(queries: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(2, 3, (queries, columns))


def test_interval_is_that_of_scipy() -> None:
    values = scores(80, 3)
    low, high = interval(bootstrap_means(values, 20_000))
    for column in range(3):
        expected = stats.bootstrap(
            (values[:, column],), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval
        assert (low[column], high[column]) == pytest.approx(tuple(expected), abs=2e-3)


def test_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    """400 independent samples of 50 queries; the percentile interval covers slightly less than 95 %."""
    values = scores(50, 400)
    low, high = interval(bootstrap_means(values, 1000))
    covered = np.mean((low <= 0.4) & (high >= 0.4))
    assert 0.90 < covered < 0.98


def test_columns_are_resampled_together() -> None:
    """A model that is better by the same amount on each query is better by it in each resample."""
    first = scores(30, 1)
    drawn = bootstrap_means(np.hstack([first, first + 0.1]), 500)
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 0.1)
    assert drawn[:, 0].std() > 0.01


def test_undefined_queries_do_not_count() -> None:
    values = scores(200, 1)
    holes = np.vstack([values, np.full((100, 1), NAN)])
    with_holes, without = interval(bootstrap_means(holes, 5000)), interval(bootstrap_means(values, 5000))
    np.testing.assert_allclose(with_holes, without, atol=0.01)
    assert np.isnan(interval(bootstrap_means(np.full((5, 1), NAN), 100))).all()
    few = np.full((40, 1), NAN)
    few[0] = 0.25  # in about a third of the resamples no query is defined
    assert [end[0] for end in interval(bootstrap_means(few, 200))] == [0.25, 0.25]


def test_same_seed_gives_same_numbers_and_another_seed_others() -> None:
    values = scores(40, 2)
    assert (bootstrap_means(values, 200) == bootstrap_means(values, 200)).all()
    assert (bootstrap_means(values, 200) != bootstrap_means(values, 200, seed=1)).any()


def test_blocks_cover_every_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "_BLOCK", 70)  # 7 rows of 10 queries
    means = bootstrap_means(scores(10, 1), 100)
    assert means.shape == (100, 1) and (means > 0).all()
    exact = scores(10, 1) - 0.4
    assert randomisation_test(exact) == pytest.approx(_all_signs(exact[:, 0]))


def _all_signs(differences: np.ndarray) -> float:
    signings = product((1, -1), repeat=len(differences))
    sums = [abs(sum(sign * value for sign, value in zip(signs, differences, strict=True))) for signs in signings]
    return float(np.mean([value >= abs(sum(differences)) - 1e-12 for value in sums]))


def test_few_queries_are_tested_exactly() -> None:
    differences = scores(9, 4) - np.array([0.4, 0.1, 0.0, 0.3])
    p_values = randomisation_test(differences)
    assert p_values == pytest.approx([_all_signs(differences[:, column]) for column in range(4)])
    for column in range(4):
        pair = (differences[:, column], np.zeros(9))
        test = stats.permutation_test(pair, lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
        assert p_values[column] == pytest.approx(test.pvalue)


def test_many_queries_are_tested_by_random_signs() -> None:
    """Close to the paired t-test, which is almost exact for so many bounded differences; and never 0."""
    differences = scores(300, 3) - np.array([0.4, 0.41, 0.2])
    p_values = randomisation_test(differences, 20_000)
    expected = [stats.ttest_1samp(differences[:, column], 0).pvalue for column in range(3)]
    assert p_values == pytest.approx(expected, abs=0.015)
    assert p_values[2] == 1 / 20_001


def test_p_values_are_uniform_when_both_models_are_equally_good() -> None:
    differences = np.random.default_rng(2).normal(0, 1, (40, 1500))
    p_values = randomisation_test(differences, 2000)
    for level in (0.05, 0.3, 0.7):
        assert np.mean(p_values <= level) == pytest.approx(level, abs=4 * (level * (1 - level) / 1500) ** 0.5)


@pytest.mark.parametrize("queries", [5, 100])
def test_equal_models_have_p_1_and_undefined_ones_none(queries: int) -> None:
    differences = np.zeros((queries, 3))
    differences[:, 1] = NAN
    differences[0, 2] = 0.5  # a single difference: both signs are as far from 0
    assert np.array_equal(randomisation_test(differences), [1.0, NAN, 1.0], equal_nan=True)


def test_holm_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last is at least the third."""
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1.0, 1.0])
    assert np.allclose(holm(np.array([NAN, 0.02, NAN])), [NAN, 0.02, NAN], equal_nan=True)
    assert np.isnan(holm(np.array([NAN, NAN]))).all()


def test_holm_is_bonferroni_for_the_smallest_and_never_reorders() -> None:
    p_values = np.random.default_rng(0).random(30) / 20
    adjusted = holm(p_values)
    assert adjusted.min() == pytest.approx(p_values.min() * 30)
    assert (np.diff(adjusted[np.argsort(p_values)]) >= 0).all() and (adjusted >= p_values).all()
