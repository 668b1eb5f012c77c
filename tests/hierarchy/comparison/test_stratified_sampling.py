"""The estimate from a stratified sample: known answers, and the coverage of its interval."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.comparison.stratified_sampling import (
    Stratum,
    draw_sample,
    estimate_fraction,
    hash_uniform,
)


def test_strata_are_weighted_by_population_not_by_sample() -> None:
    result = estimate_fraction({"sure": Stratum(9000, 50, 0), "open": Stratum(1000, 100, 40)})
    assert result.fraction == pytest.approx(0.04)


def test_single_huge_stratum_has_the_exact_binomial_interval() -> None:
    result, exact = estimate_fraction({"all": Stratum(10**12, 100, 7)}), binomtest(7, 100).proportion_ci()
    assert (result.low, result.high) == pytest.approx((exact.low, exact.high), rel=1e-6)


def test_fully_judged_population_has_no_uncertainty() -> None:
    result = estimate_fraction({"a": Stratum(10, 10, 1), "b": Stratum(30, 30, 3)})
    assert result.low == result.fraction == result.high == pytest.approx(0.1)


def test_stratum_without_hits_keeps_its_uncertainty() -> None:
    result = estimate_fraction({"a": Stratum(5000, 60, 0), "b": Stratum(5000, 5000, 0)})
    assert result.fraction == result.low == 0
    assert result.high == pytest.approx(binomtest(0, 60).proportion_ci().high / 2, rel=0.02)


def test_interval_narrows_by_the_root_of_the_number_of_equal_strata() -> None:
    single = estimate_fraction({"a": Stratum(10**9, 400, 200)})
    four = estimate_fraction({name: Stratum(10**9, 400, 200) for name in "abcd"})
    assert (four.high - four.low) == pytest.approx((single.high - single.low) / 2, rel=1e-6)


@pytest.mark.parametrize("bad", [Stratum(10, 0, 0), Stratum(10, 11, 1), Stratum(10, 5, 6)])
def test_impossible_counts_are_refused(bad: Stratum) -> None:
    with pytest.raises(HgldError, match="stratum 'x'"):
        estimate_fraction({"fine": Stratum(10, 5, 1), "x": bad})


# Strata as in docs/published_noise_strata.csv (size, drawn), and plausible fractions of hits in them.
SIZES = {"agrees, sure": (4825, 200), "agrees": (2000, 120), "differs": (1435, 120), "differs, more sure": (570, 100),
         "differs, sure": (419, 100), "judged whole": (1, 1)}  # fmt: skip
RARE, NONE_WHERE_WE_AGREE, OFTEN = (
    dict(zip(SIZES, fractions, strict=True))
    for fractions in (
        (0.003, 0.005, 0.035, 0.06, 0.12, 0),
        (0, 0, 0.035, 0.06, 0.12, 0),
        (0.04, 0.2, 0.15, 0.46, 0.75, 1),
    )
)


@pytest.mark.parametrize("rates", [RARE, NONE_WHERE_WE_AGREE, OFTEN])
def test_interval_covers_the_truth_in_95_percent_of_samples(
    rates: dict[str, float],
) -> None:
    random, rounds = np.random.default_rng(0), 1000
    hits = {name: round(size * rates[name]) for name, (size, _) in SIZES.items()}
    truth = sum(hits.values()) / sum(size for size, _ in SIZES.values())
    estimates = [
        estimate_fraction(
            {
                name: Stratum(size, drawn, int(random.hypergeometric(hits[name], size - hits[name], drawn)))
                for name, (size, drawn) in SIZES.items()
            }
        )
        for _ in range(rounds)
    ]
    coverage = sum(result.low <= truth <= result.high for result in estimates) / rounds
    assert coverage > 0.95 - 2 * math.sqrt(0.05 * 0.95 / rounds)
    fractions = np.array([result.fraction for result in estimates])
    assert abs(fractions.mean() - truth) < 3 * fractions.std() / math.sqrt(rounds), "the estimate is biased"


def test_rows_of_a_stratum_are_equally_likely() -> None:
    strata = {str(n): "all" for n in range(40)}
    drawn = Counter(key for seed in range(800) for key in draw_sample(strata, {"all": 10}, str(seed)))
    expected = 800 * 10 / 40
    statistic = sum((drawn[key] - expected) ** 2 / (expected * 0.75) for key in strata)
    assert 15 < statistic < 75, "outside the plausible range of chi-square with 39 degrees of freedom"


def test_draw_depends_neither_on_order_nor_on_other_strata() -> None:
    strata = {str(n): "even" if n % 2 == 0 else "odd" for n in range(200)}
    drawn = draw_sample(strata, {"even": 10, "odd": 5}, "seed")
    assert len(set(drawn)) == 15
    assert drawn == draw_sample(dict(reversed(strata.items())), {"even": 10, "odd": 5}, "seed")
    assert drawn != draw_sample(strata, {"even": 10, "odd": 5}, "another seed")
    gone = next(key for key in drawn if strata[key] == "odd")
    again = draw_sample({key: name for key, name in strata.items() if key != gone}, {"even": 10, "odd": 5}, "seed")
    assert set(drawn) - set(again) == {gone}


def test_hash_uniform_is_uniform_and_reproducible() -> None:
    numbers = [hash_uniform("seed", str(n)) for n in range(4000)]
    assert min(numbers) >= 0 and max(numbers) < 1
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.02)
    assert hash_uniform("seed", "1") == 0.5073963542836601 != hash_uniform("other", "1")


def test_stratum_smaller_than_its_sample_is_refused() -> None:
    with pytest.raises(HgldError, match="stratum 'a': 1 rows, fewer than the 2 to draw"):
        draw_sample({"1": "a", "2": "b"}, {"a": 2}, "seed")
