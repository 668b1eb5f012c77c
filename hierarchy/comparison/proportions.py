"""Shares with their interval, and how a figure is written."""

import math
from dataclasses import dataclass

_Z = 1.959963984540054  # two-sided 95 %


@dataclass(frozen=True)
class Share:
    """A share with its Wilson 95 % interval; NaN where `total` is 0."""

    equal: int
    total: int
    share: float
    low: float
    high: float


def wilson(equal: int, total: int) -> Share:
    """The share `equal` / `total` with its 95 % score interval (Wilson 1927).

    >>> one = wilson(9, 10)
    >>> round(one.low, 3), round(one.high, 3)
    (0.596, 0.982)
    """
    if not total:
        return Share(equal, total, math.nan, math.nan, math.nan)
    share, scale = equal / total, 1 + _Z**2 / total
    middle = (share + _Z**2 / (2 * total)) / scale
    half = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2)) / scale
    return Share(equal, total, share, max(0.0, middle - half), min(1.0, middle + half))


def figure(value: float) -> str:
    """Three decimals, a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def percent(share: Share) -> str:
    """The share and its interval in percent."""
    return f"{share.share:.1%} (95 % interval {share.low:.1%} to {share.high:.1%})" if share.total else "none"


def without_nan(value: object) -> object:
    """Plain values for JSON, which has no NaN: it becomes None."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
