"""A random sample drawn stratum by stratum, and what its rows say of the whole population.

A row's place in the draw is the hash of the seed and its id. Whoever has the population can draw the same rows again,
in any order and with any library; and a row that moves to another stratum moves no other.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import beta

from hgld.foundation.errors import HgldError

_TAIL = 0.025  # on each side of a 95 % interval


@dataclass(frozen=True)
class Stratum:
    """Rows judged in a stratum of `size` rows, and how many of those are hits."""

    size: int
    judged: int
    hits: int


@dataclass(frozen=True)
class Estimate:
    """A share of the population and its 95 % interval."""

    share: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """In percent, as documents state it."""
        return f"{self.share:.1%} (95 % interval {self.low:.1%} to {self.high:.1%})"


def place(seed: str, key: str) -> float:
    """The random number in [0, 1) that belongs to a row for good."""
    return int(hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()[:12], 16) / 16**12


def draw(strata: Mapping[str, str], sizes: Mapping[str, int], seed: str) -> list[str]:
    """The keys drawn: of each stratum as many as `sizes` says, those of the lowest place.

    strata: key → its stratum. Every sample of that size in a stratum is equally likely, over seeds.

    Raises HgldError when a stratum has fewer rows than are asked of it.
    """
    members: dict[str, list[str]] = {name: [] for name in sizes}
    for key, name in strata.items():
        if name in members:
            members[name].append(key)
    drawn = []
    for name, size in sizes.items():
        if len(members[name]) < size:
            raise HgldError(f"stratum '{name}' has {len(members[name])} rows; {size} are to be drawn from it")
        drawn += sorted(members[name], key=lambda key: (place(seed, key), key))[:size]
    return drawn


def estimate(strata: Mapping[str, Stratum]) -> Estimate:
    """The share of hits in the population: each stratum's share, weighted by its size (Horvitz and Thompson).

    The interval joins the strata's exact intervals (Clopper and Pearson 1934): the distances from share to limit,
    weighted by the stratum's size, add in squares (Zou and Donner 2008). So a stratum without a hit keeps its doubt,
    which a bootstrap would call certain. The more of a stratum is judged, the less is left to doubt: its rows count as
    judged * (size - 1) / (size - judged) of an endless one (Korn and Graubard 1998), and one judged whole is certain.
    Where hits are rare Wilson's intervals begin too high: with them the test of how often the truth is held fails.

    >>> found = estimate({"a": Stratum(900, 100, 0), "b": Stratum(100, 50, 25)})
    >>> f"{found.share:.3f} {found.low:.3f} {found.high:.3f}"
    '0.050 0.040 0.081'

    Raises HgldError for a stratum of which no row is judged.
    """
    total = sum(one.size for one in strata.values())
    share = below = above = 0.0
    for name, one in strata.items():
        if not 0 <= one.hits <= one.judged <= one.size or not one.judged:
            raise HgldError(
                f"stratum '{name}': {one.hits} hits in {one.judged} judged of {one.size}; judge a row at least"
            )
        weight, own = one.size / total, one.hits / one.judged
        low, high = _interval(own, one)
        share += weight * own
        below += (weight * (own - low)) ** 2
        above += (weight * (high - own)) ** 2
    return Estimate(share, max(0.0, share - math.sqrt(below)), min(1.0, share + math.sqrt(above)))


def _interval(share: float, one: Stratum) -> tuple[float, float]:
    if one.judged == one.size:
        return share, share
    rows = one.judged * (one.size - 1) / (one.size - one.judged)
    hits = share * rows
    low = float(beta.ppf(_TAIL, hits, rows - hits + 1)) if one.hits else 0.0
    high = float(beta.ppf(1 - _TAIL, hits + 1, rows - hits)) if one.hits < one.judged else 1.0
    return low, high
