"""How far a score can be trusted: calibration, and the precision that is bought by answering less often.

Scores are compared as they are written: equal scores stand or fall together, so the order of the rows plays no role.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hgld.hierarchy.comparison.proportions import Share, figure, wilson

BINS = 10

# A curve is thinned to a point a percent of coverage, and shown in the terminal every ten.
_STEPS = 100
_SHOWN = 10


@dataclass(frozen=True)
class Bin:
    """The answers whose score lies in [low, high) (the last bin holds 1 too), and how many of them are right."""

    low: float
    high: float
    mean_score: float
    right: Share


@dataclass(frozen=True)
class Reliability:
    """The reliability table (empty bins left out) and the expected calibration error over `scored` answers."""

    scored: int
    ece: float
    mean_score: float
    right: Share
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Point:
    """What answering only at or above `threshold` comes to: the share answered, and the share of those right."""

    threshold: float
    coverage: float
    precision: Share


def reliability(answers: Iterable[tuple[float, bool]]) -> Reliability | None:
    """The calibration of (score, is it right), scores in [0, 1]; None when there is no answer or a score is no share.

    ECE = sum_b n_b / N |share right in b - mean score in b|, ten bins of equal width (Guo et al., ICML 2017).

    >>> reliability([(0.95, True), (0.85, False)]).ece
    0.45
    """
    rows = list(answers)
    if not rows or not all(0 <= score <= 1 for score, _ in rows):
        return None
    held: dict[int, list[tuple[float, bool]]] = {}
    for score, right in rows:
        held.setdefault(min(int(score * BINS), BINS - 1), []).append((score, right))
    bins = tuple(
        Bin(place / BINS, (place + 1) / BINS, _mean(held[place]), _right(held[place]))
        for place in sorted(held)
    )
    gaps = math.fsum(one.right.total * abs(one.right.share - one.mean_score) for one in bins)
    return Reliability(len(rows), gaps / len(rows), _mean(rows), _right(rows), bins)


def coverage_precision(answers: Iterable[tuple[float, bool]], total: int) -> tuple[Point, ...]:
    """The curve from the surest answers to all of them: one point a score, thinned to one a percent of coverage.

    answers: (score, is it right) of what was answered; total: how many questions there were, answered or not.

    >>> [(p.coverage, p.precision.share) for p in coverage_precision([(0.9, True), (0.2, False)], 4)]
    [(0.25, 1.0), (0.5, 0.5)]
    """
    by_score: dict[float, list[bool]] = {}
    for score, right in answers:
        by_score.setdefault(score, []).append(right)
    points: list[Point] = []
    covered = hits = step = 0
    lowest = min(by_score, default=math.nan)
    for score in sorted(by_score, reverse=True):
        covered, hits = covered + len(by_score[score]), hits + sum(by_score[score])
        if covered * _STEPS >= (step + 1) * total or score == lowest:
            points.append(Point(score, covered / total, wilson(hits, covered)))
            step = covered * _STEPS // total
    return tuple(points)


def at_coverage(curve: Sequence[Point], coverage: float) -> Point | None:
    """The first point that answers at least so much; None when even answering all does not."""
    return next((point for point in curve if point.coverage >= coverage), None)


def reliability_lines(found: Reliability) -> list[str]:
    """The reliability table for the terminal."""
    lines = [
        f"calibration error     {found.ece:.3f} (ECE, {BINS} bins, {found.scored} answers; mean score "
        f"{found.mean_score:.3f}, share right {found.right.share:.3f})",
        "",
        f"{'score':<12}{'answers':>9}{'mean score':>12}{'share right':>13}   95 % interval",
    ]
    for one in found.bins:
        span = f"{one.low:.1f} – {one.high:.1f}"
        interval = f"{one.right.low:.3f} – {one.right.high:.3f}"
        lines.append(
            f"{span:<12}{one.right.total:>9}{one.mean_score:>12.3f}{one.right.share:>13.3f}   {interval}"
        )
    return lines


def coverage_lines(curve: Sequence[Point]) -> list[str]:
    """The curve for the terminal, at every tenth of coverage that it reaches."""
    lines = [f"{'coverage':<12}{'answers':>9}{'precision':>12}   {'95 % interval':<17}score at or above"]
    shown = [at_coverage(curve, step / _SHOWN) for step in range(1, _SHOWN + 1)]
    for point in dict.fromkeys([*(one for one in shown if one), curve[-1]]):
        interval = f"{figure(point.precision.low)} – {figure(point.precision.high)}"
        lines.append(
            f"{point.coverage:<12.1%}{point.precision.total:>9}{figure(point.precision.share):>12}   {interval:<17}"
            f"{point.threshold:.4g}"
        )
    return lines


def _mean(rows: Sequence[tuple[float, bool]]) -> float:
    return math.fsum(score for score, _ in rows) / len(rows)


def _right(rows: Sequence[tuple[float, bool]]) -> Share:
    return wilson(sum(right for _, right in rows), len(rows))
