"""Calibration and coverage: by hand, against loops from the definitions, and in any order of rows."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgld.hierarchy.comparison.reliability import at_coverage, coverage_precision, reliability

LABELS = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=60)


def test_ece_by_hand() -> None:
    """Bin 0.8: mean .85, half right; bin 0.1: mean .1, none right; 1 belongs to the last bin, right."""
    result = reliability([(0.8, True), (0.9, True), (0.89, False), (0.1, False), (1.0, True)])
    assert result
    assert [(bin_.low, bin_.right.total, bin_.right.hits) for bin_ in result.bins] == [
        (0.1, 1, 0),
        (0.8, 2, 1),
        (0.9, 2, 2),
    ]
    assert result.ece == pytest.approx((1 * 0.1 + 2 * abs(0.5 - 0.845) + 2 * abs(1 - 0.95)) / 5)


def test_scores_outside_the_unit_interval_have_no_calibration() -> None:
    assert reliability([(0.5, True), (1.5, True)]) is None
    assert reliability([]) is None
    assert len(coverage_precision([(12.0, True), (-3.0, False)], 2)) == 2


@given(LABELS, st.randoms())
def test_ece_matches_the_definition(labels: list[tuple[float, bool]], random: Random) -> None:
    expected = 0.0
    for n in range(10):
        members = [
            (score, right) for score, right in labels if n / 10 <= score < (n + 1) / 10 or (n == 9 and score == 1)
        ]
        if members:
            accuracy = sum(right for _, right in members) / len(members)
            mean = sum(score for score, _ in members) / len(members)
            expected += len(members) / len(labels) * abs(accuracy - mean)
    result = reliability(labels)
    assert result
    assert result.ece == pytest.approx(expected)
    shuffled = list(labels)
    random.shuffle(shuffled)
    assert reliability(shuffled) == result


@given(LABELS, st.integers(0, 300), st.integers(1, 100))
def test_curve_matches_the_definition(labels: list[tuple[float, bool]], unlabelled: int, wanted: int) -> None:
    """The highest threshold at which the wanted percentage of all landmarks has a label."""
    total = len(labels) + unlabelled
    curve = coverage_precision(labels, total)
    point = at_coverage(curve, wanted / 100)
    for threshold in sorted({score for score, _ in labels}, reverse=True):
        taken = [right for score, right in labels if score >= threshold]
        if len(taken) * 100 >= wanted * total:
            assert point is not None
            assert (point.threshold, point.coverage) == (threshold, len(taken) / total)
            assert point.precision.fraction == pytest.approx(sum(taken) / len(taken))
            break
    else:
        assert point is None
    assert curve[-1].coverage == len(labels) / total
    assert coverage_precision(reversed(labels), total) == curve


def test_long_curve_has_one_point_per_percent() -> None:
    curve = coverage_precision(((n / 5000, n % 3 > 0) for n in range(5000)), 5000)
    assert len(curve) == 100
    assert [round(point.coverage * 100) for point in curve] == list(range(1, 101))
