"""Calibration and coverage: by hand, against slow loops from the definitions, and whatever the order of the rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgld.hierarchy.comparison.reliability import at_coverage, coverage_precision, reliability

ANSWERS = st.lists(
    st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=60
)


def test_the_error_by_hand() -> None:
    """Bin 0.8: mean .85, half right; bin 0.1: mean .1, none right; 1 falls into the last bin, right."""
    found = reliability([(0.8, True), (0.9, True), (0.89, False), (0.1, False), (1.0, True)])
    assert found
    assert [(one.low, one.right.total, one.right.equal) for one in found.bins] == [
        (0.1, 1, 0),
        (0.8, 2, 1),
        (0.9, 2, 2),
    ]
    assert found.ece == pytest.approx((1 * 0.1 + 2 * abs(0.5 - 0.845) + 2 * abs(1 - 0.95)) / 5)


def test_a_score_that_is_no_share_has_no_calibration() -> None:
    assert reliability([(0.5, True), (1.5, True)]) is None
    assert reliability([]) is None
    assert len(coverage_precision([(12.0, True), (-3.0, False)], 2)) == 2


@given(ANSWERS, st.randoms())
def test_the_error_is_that_of_the_definition(answers: list[tuple[float, bool]], random: object) -> None:
    expected = 0.0
    for place in range(10):
        held = [
            one for one in answers if place / 10 <= one[0] < (place + 1) / 10 or (place == 9 and one[0] == 1)
        ]
        if held:
            right, mean = sum(one[1] for one in held) / len(held), sum(one[0] for one in held) / len(held)
            expected += len(held) / len(answers) * abs(right - mean)
    found = reliability(answers)
    assert found
    assert found.ece == pytest.approx(expected)
    shuffled = list(answers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert reliability(shuffled) == found


@given(ANSWERS, st.integers(0, 300), st.integers(1, 100))
def test_the_curve_is_that_of_the_definition(
    answers: list[tuple[float, bool]], unanswered: int, wanted: int
) -> None:
    """The first threshold, from the top, at which so many percent of all are answered."""
    total = len(answers) + unanswered
    curve = coverage_precision(answers, total)
    point = at_coverage(curve, wanted / 100)
    for threshold in sorted({score for score, _ in answers}, reverse=True):
        taken = [right for score, right in answers if score >= threshold]
        if len(taken) * 100 >= wanted * total:
            assert point is not None
            assert (point.threshold, point.coverage) == (threshold, len(taken) / total)
            assert point.precision.share == pytest.approx(sum(taken) / len(taken))
            break
    else:
        assert point is None
    assert curve[-1].coverage == len(answers) / total
    assert coverage_precision(reversed(answers), total) == curve


def test_a_long_curve_is_thinned_to_a_point_a_percent() -> None:
    curve = coverage_precision(((n / 5000, n % 3 > 0) for n in range(5000)), 5000)
    assert len(curve) == 100
    assert [round(point.coverage * 100) for point in curve] == list(range(1, 101))
