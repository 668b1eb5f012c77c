"""Drawing a stratified random sample, and estimating a fraction of the population from it.

The random number of a row is a hash of the seed and the row's id. The draw can therefore be repeated from the
population alone, in any order and with any library, and a row that changes its stratum does not affect other rows.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import beta

from hgld.foundation.errors import HgldError
from hgld.hierarchy.comparison.proportions import percent

_TAIL = 0.025  # on each side of a 95 % interval


@dataclass(frozen=True)
class Stratum:
    """A stratum of `size` rows, of which `judged` were reviewed and `hits` counted."""

    size: int
    judged: int
    hits: int


@dataclass(frozen=True)
class Estimate:
    """An estimated fraction of the population and its 95 % interval."""

    fraction: float
    low: float
    high: float

    def __str__(self) -> str:
        return percent(self.fraction, self.low, self.high)


def hash_uniform(seed: str, key: str) -> float:
    """A pseudo-random number in [0, 1) from the SHA-256 of seed and key."""
    return int(hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()[:12], 16) / 16**12


def draw_sample(strata: Mapping[str, str], sizes: Mapping[str, int], seed: str) -> list[str]:
    """A simple random sample of `sizes[stratum]` keys from each stratum: those with the smallest `hash_uniform`.

    strata: key → its stratum.

    Raises HgldError when a stratum has too few rows.
    """
    members: dict[str, list[str]] = {name: [] for name in sizes}
    for key, name in strata.items():
        if name in members:
            members[name].append(key)
    drawn = []
    for name, size in sizes.items():
        if len(members[name]) < size:
            raise HgldError(f"stratum '{name}': {len(members[name])} rows, fewer than the {size} to draw")
        drawn += sorted(members[name], key=lambda key: (hash_uniform(seed, key), key))[:size]
    return drawn


def estimate_fraction(strata: Mapping[str, Stratum]) -> Estimate:
    """The fraction of hits in the population: the mean over strata, weighted by size (Horvitz and Thompson 1952).

    The interval combines the exact intervals of the strata (Clopper and Pearson 1934) by MOVER: the weighted distances
    from estimate to limit add in quadrature (Zou and Donner 2008). A stratum without hits therefore keeps its
    uncertainty, which a bootstrap would lose. The finite population is accounted for by the effective sample size
    judged * (size - 1) / (size - judged) (Korn and Graubard 1998); a fully judged stratum has no uncertainty. Wilson's
    intervals start too high where hits are rare: with them the coverage test fails.

    >>> result = estimate_fraction({"a": Stratum(900, 100, 0), "b": Stratum(100, 50, 25)})
    >>> f"{result.fraction:.3f} {result.low:.3f} {result.high:.3f}"
    '0.050 0.040 0.081'

    Raises HgldError for a stratum without judged rows or with impossible counts.
    """
    total = sum(stratum.size for stratum in strata.values())
    fraction = below = above = 0.0
    for name, stratum in strata.items():
        if not 0 <= stratum.hits <= stratum.judged <= stratum.size or not stratum.judged:
            raise HgldError(
                f"stratum '{name}': {stratum.hits} hits in {stratum.judged} judged of {stratum.size} rows; "
                "judge at least one row"
            )
        weight, rate = stratum.size / total, stratum.hits / stratum.judged
        low, high = _exact_interval(rate, stratum)
        fraction += weight * rate
        below += (weight * (rate - low)) ** 2
        above += (weight * (high - rate)) ** 2
    return Estimate(fraction, max(0.0, fraction - math.sqrt(below)), min(1.0, fraction + math.sqrt(above)))


def _exact_interval(rate: float, stratum: Stratum) -> tuple[float, float]:
    """The Clopper-Pearson interval at the effective sample size."""
    if stratum.judged == stratum.size:
        return rate, rate
    rows = stratum.judged * (stratum.size - 1) / (stratum.size - stratum.judged)
    hits = rate * rows
    low = float(beta.ppf(_TAIL, hits, rows - hits + 1)) if stratum.hits else 0.0
    high = float(beta.ppf(1 - _TAIL, hits + 1, rows - hits)) if stratum.hits < stratum.judged else 1.0
    return low, high
