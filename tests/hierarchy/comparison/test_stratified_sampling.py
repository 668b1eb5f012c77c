"""The estimate from a stratified sample: known answers, and an interval that holds the truth as often as it says."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.comparison.stratified_sampling import Stratum, draw, estimate, place


def test_strata_count_by_their_size_not_by_their_sample() -> None:
    found = estimate({"sure": Stratum(9000, 50, 0), "open": Stratum(1000, 100, 40)})
    assert found.share == pytest.approx(0.04)


def test_one_huge_stratum_gives_the_exact_binomial_interval() -> None:
    found, exact = estimate({"all": Stratum(10**12, 100, 7)}), binomtest(7, 100).proportion_ci()
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=1e-6)


def test_a_population_judged_whole_is_certain() -> None:
    found = estimate({"a": Stratum(10, 10, 1), "b": Stratum(30, 30, 3)})
    assert found.low == found.share == found.high == pytest.approx(0.1)


def test_a_stratum_without_a_hit_keeps_its_doubt() -> None:
    found = estimate({"a": Stratum(5000, 60, 0), "b": Stratum(5000, 5000, 0)})
    assert found.share == found.low == 0
    assert found.high == pytest.approx(binomtest(0, 60).proportion_ci().high / 2, rel=0.02)


def test_equal_strata_narrow_the_interval_by_the_root_of_their_number() -> None:
    one = estimate({"a": Stratum(10**9, 400, 200)})
    four = estimate({name: Stratum(10**9, 400, 200) for name in "abcd"})
    assert (four.high - four.low) == pytest.approx((one.high - one.low) / 2, rel=1e-6)


@pytest.mark.parametrize("bad", [Stratum(10, 0, 0), Stratum(10, 11, 1), Stratum(10, 5, 6)])
def test_what_cannot_be_is_named(bad: Stratum) -> None:
    with pytest.raises(HgldError, match="stratum 'x'"):
        estimate({"fine": Stratum(10, 5, 1), "x": bad})


# Strata as in docs/published_noise_strata.csv: size, drawn; and shares of hits as they may be there.
SIZES = {"agrees, sure": (4825, 200), "agrees": (2000, 120), "differs": (1435, 120), "differs, more sure": (570, 100),
         "differs, sure": (419, 100), "judged whole": (1, 1)}  # fmt: skip
RARE, NONE_WHERE_WE_AGREE, OFTEN = (
    dict(zip(SIZES, shares, strict=True))
    for shares in (
        (0.003, 0.005, 0.035, 0.06, 0.12, 0),
        (0, 0, 0.035, 0.06, 0.12, 0),
        (0.04, 0.2, 0.15, 0.46, 0.75, 1),
    )
)


@pytest.mark.parametrize("shares", [RARE, NONE_WHERE_WE_AGREE, OFTEN])
def test_the_interval_holds_the_truth_in_19_of_20_samples_of_a_known_population(
    shares: dict[str, float],
) -> None:
    random, rounds = np.random.default_rng(0), 1000
    hits = {name: round(size * shares[name]) for name, (size, _) in SIZES.items()}
    truth = sum(hits.values()) / sum(size for size, _ in SIZES.values())
    found = [
        estimate(
            {
                name: Stratum(size, drawn, int(random.hypergeometric(hits[name], size - hits[name], drawn)))
                for name, (size, drawn) in SIZES.items()
            }
        )
        for _ in range(rounds)
    ]
    held = sum(one.low <= truth <= one.high for one in found) / rounds
    assert held > 0.95 - 2 * math.sqrt(0.05 * 0.95 / rounds)
    each = np.array([one.share for one in found])
    assert abs(each.mean() - truth) < 3 * each.std() / math.sqrt(rounds), "the estimate is biased"


def test_every_row_of_a_stratum_is_drawn_as_often() -> None:
    strata = {str(n): "all" for n in range(40)}
    drawn = Counter(key for seed in range(800) for key in draw(strata, {"all": 10}, str(seed)))
    expected = 800 * 10 / 40
    statistic = sum((drawn[key] - expected) ** 2 / (expected * 0.75) for key in strata)
    assert 15 < statistic < 75, "chi-square of 39 degrees of freedom, far out on either side"


def test_the_draw_depends_on_no_order_and_moves_no_other_row() -> None:
    strata = {str(n): "even" if n % 2 == 0 else "odd" for n in range(200)}
    drawn = draw(strata, {"even": 10, "odd": 5}, "seed")
    assert len(set(drawn)) == 15
    assert drawn == draw(dict(reversed(strata.items())), {"even": 10, "odd": 5}, "seed")
    assert drawn != draw(strata, {"even": 10, "odd": 5}, "another seed")
    gone = next(key for key in drawn if strata[key] == "odd")
    again = draw({key: name for key, name in strata.items() if key != gone}, {"even": 10, "odd": 5}, "seed")
    assert set(drawn) - set(again) == {gone}


def test_places_are_even_and_known() -> None:
    places = [place("seed", str(n)) for n in range(4000)]
    assert min(places) >= 0 and max(places) < 1
    assert sum(places) / len(places) == pytest.approx(0.5, abs=0.02)
    assert place("seed", "1") == place("seed", "1") != place("other", "1")


def test_more_than_there_is_cannot_be_drawn() -> None:
    with pytest.raises(HgldError, match="stratum 'a' has 1 rows; 2 are to be drawn"):
        draw({"1": "a", "2": "b"}, {"a": 2}, "seed")
