"""How far a score can be trusted: its calibration, and the precision of the labels at or above a threshold.

Labels with equal scores are never separated, so that results do not depend on the order of the rows.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hgld.foundation.display.text_table import TextTable
from hgld.hierarchy.comparison.proportions import Proportion, decimal, wilson

BINS = 10

# The curve has at most one point per percent of coverage; the terminal shows one per ten percent.
_CURVE_STEPS = 100
_TABLE_STEPS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """The labels with a score in [low, high) (the last bin includes 1), and how many of them are right."""

    low: float
    high: float
    mean_score: float
    right: Proportion


@dataclass(frozen=True)
class Reliability:
    """The expected calibration error (ECE) of `scored` labels, and its non-empty bins."""

    scored: int
    ece: float
    mean_score: float
    right: Proportion
    bins: tuple[ReliabilityBin, ...]

    def summary(self) -> str:
        """The error as a line for the terminal."""
        return (
            f"calibration error     {self.ece:.3f} (ECE, {BINS} bins, {self.scored} labels; mean score "
            f"{self.mean_score:.3f}, fraction right {self.right.fraction:.3f})"
        )

    def table(self) -> TextTable:
        """The bins."""
        rows = [
            (
                f"{bin_.low:.1f} – {bin_.high:.1f}",
                bin_.right.total,
                decimal(bin_.mean_score),
                *bin_.right.cells(),
            )
            for bin_ in self.bins
        ]
        return TextTable(("score", "labels", "mean score", "fraction right", "95 % interval"), rows, ["score"])


@dataclass(frozen=True)
class CoveragePoint:
    """The fraction of labels with a score of at least `threshold`, and how many of these are right."""

    threshold: float
    coverage: float
    precision: Proportion


def reliability(labels: Iterable[tuple[float, bool]]) -> Reliability | None:
    """The calibration of pairs (score in [0, 1], is the label right); None without labels or with other scores.

    ECE = sum_b n_b / N |fraction right in b - mean score in b| over BINS bins of equal width (Guo et al., ICML 2017).

    >>> reliability([(0.95, True), (0.85, False)]).ece
    0.45
    """
    scored = list(labels)
    if not scored or not all(0 <= score <= 1 for score, _ in scored):
        return None
    members: dict[int, list[tuple[float, bool]]] = {}
    for score, right in scored:
        members.setdefault(min(int(score * BINS), BINS - 1), []).append((score, right))
    bins = tuple(
        ReliabilityBin(n / BINS, (n + 1) / BINS, _mean_score(members[n]), _right(members[n])) for n in sorted(members)
    )
    gaps = math.fsum(bin_.right.total * abs(bin_.right.fraction - bin_.mean_score) for bin_ in bins)
    return Reliability(len(scored), gaps / len(scored), _mean_score(scored), _right(scored), bins)


def coverage_precision(labels: Iterable[tuple[float, bool]], total: int) -> tuple[CoveragePoint, ...]:
    """The precision-coverage curve from the highest threshold to the lowest, at most one point per percent.

    labels: (score, is the label right); total: the number of landmarks, labelled or not.

    >>> [(p.coverage, p.precision.fraction) for p in coverage_precision([(0.9, True), (0.2, False)], 4)]
    [(0.25, 1.0), (0.5, 0.5)]
    """
    by_score: dict[float, list[bool]] = {}
    for score, right in labels:
        by_score.setdefault(score, []).append(right)
    points: list[CoveragePoint] = []
    covered = hits = step = 0
    lowest = min(by_score, default=math.nan)
    for score in sorted(by_score, reverse=True):
        covered, hits = covered + len(by_score[score]), hits + sum(by_score[score])
        if covered * _CURVE_STEPS >= (step + 1) * total or score == lowest:
            points.append(CoveragePoint(score, covered / total, wilson(hits, covered)))
            step = covered * _CURVE_STEPS // total
    return tuple(points)


def at_coverage(curve: Sequence[CoveragePoint], coverage: float) -> CoveragePoint | None:
    """The first point with at least this coverage; None when the whole curve is below it."""
    return next((point for point in curve if point.coverage >= coverage), None)


def coverage_table(curve: Sequence[CoveragePoint]) -> TextTable:
    """The curve at every tenth of coverage that it reaches, and its last point."""
    steps = [at_coverage(curve, n / _TABLE_STEPS) for n in range(1, _TABLE_STEPS + 1)]
    rows = [
        (f"{point.coverage:.1%}", point.precision.total, *point.precision.cells(), f"{point.threshold:.4g}")
        for point in dict.fromkeys([*(point for point in steps if point), curve[-1]])
    ]
    return TextTable(("coverage", "labels", "precision", "95 % interval", "threshold"), rows)


def _mean_score(labels: Sequence[tuple[float, bool]]) -> float:
    return math.fsum(score for score, _ in labels) / len(labels)


def _right(labels: Sequence[tuple[float, bool]]) -> Proportion:
    return wilson(sum(right for _, right in labels), len(labels))
