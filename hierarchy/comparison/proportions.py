"""Proportions with their 95 % confidence interval, and how they are formatted."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from scipy.stats import binomtest

# Keys in JSON files that differ from the names of fields.
_JSON_KEYS = {"hits": "equal", "fraction": "share"}


@dataclass(frozen=True)
class Proportion:
    """`hits` of `total` as a fraction with its Wilson 95 % interval; the three are NaN where `total` is 0."""

    hits: int
    total: int
    fraction: float
    low: float
    high: float

    def __str__(self) -> str:
        return percent(self.fraction, self.low, self.high) if self.total else "none"

    def cells(self) -> tuple[str, str]:
        """Fraction and interval for two columns of a table."""
        return decimal(self.fraction), f"{decimal(self.low)} – {decimal(self.high)}"


@lru_cache(4096)  # scipy takes 1.5 ms, as it computes a p-value too
def wilson(hits: int, total: int) -> Proportion:
    """`hits` / `total` with its 95 % score interval (Wilson 1927).

    >>> result = wilson(9, 10)
    >>> round(result.low, 3), round(result.high, 3)
    (0.596, 0.982)
    """
    if not total:
        return Proportion(hits, total, math.nan, math.nan, math.nan)
    interval = binomtest(hits, total).proportion_ci(method="wilson")
    return Proportion(hits, total, hits / total, float(interval.low), float(interval.high))


def decimal(value: float) -> str:
    """Three decimals, a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def percent(fraction: float, low: float, high: float) -> str:
    """A fraction and its interval in percent.

    >>> percent(0.9, 0.596, 0.982)
    '90.0% (95 % interval 59.6% to 98.2%)'
    """
    return f"{fraction:.1%} (95 % interval {low:.1%} to {high:.1%})"


def json_fields(items: Iterable[tuple[str, object]]) -> dict[str, object]:
    """The `dict_factory` of `dataclasses.asdict` for results that hold a Proportion."""
    return {_JSON_KEYS.get(key, key): value for key, value in items}
