"""From the numbers of several seeds to a verdict: paired differences, randomisation tests, Holm's correction.

Two settings are compared over the same seeds, that is, on the same split of the classes; so the differences are much
less uncertain than the means. A verdict follows from the corrected p-values of one family of comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hgld.benchmarks.claims.results import Results
from hgld.benchmarks.claims.training import Setting
from hgld.benchmarks.comparison.resampling import holm, randomisation_test

Values = np.ndarray[Any, np.dtype[np.float64]]

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Sample:
    """A metric of one setting over the seeds."""

    values: Values

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(self.values.mean())

    @property
    def std(self) -> float:
        """The standard deviation over the seeds, NaN for one."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else float("nan")

    def __str__(self) -> str:
        """Mean ± standard deviation.

        >>> str(Sample(np.array([0.5, 0.52])))
        '.510 ± .014'
        """
        return f"{short(self.mean)} ± {short(self.std)}"


def short(value: float, sign: str = "") -> str:
    """A score with three digits and without the zero before the point.

    >>> short(0.5), short(-0.0104, "+"), short(0.0104, "+"), short(1.0)
    ('.500', '−.010', '+.010', '1.000')
    """
    return f"{value:{sign}.3f}".replace("0.", ".", 1).replace("-", "−")


class Scores:
    """The samples that the tables ask for; `missing` is set once a setting is not finished on all seeds."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.missing = False

    def sample(self, setting: Setting | None, metric: str, seeds: Sequence[int]) -> Sample:
        """The metric of a setting over the seeds; NaN where it is missing."""
        found = [self.results.get(setting, seed) if setting is not None else None for seed in seeds]
        values = np.array([scores[metric] if scores else np.nan for scores in found])
        self.missing |= bool(np.isnan(values).any())
        return Sample(values)


@dataclass(frozen=True)
class Pair:
    """What is compared: the first is expected to be better than the second."""

    name: str
    first: Sample
    second: Sample


@dataclass(frozen=True)
class Comparison:
    """A pair with its paired difference, first minus second, and p after Holm's correction within its family."""

    name: str
    difference: Sample
    p: float

    @property
    def outcome(self) -> int:
        """1: the first is better, -1: it is worse, 0: within noise."""
        return int(np.sign(self.difference.mean)) if self.p < SIGNIFICANT else 0

    def __str__(self) -> str:
        """The difference, with a star where it is beyond noise."""
        star = "\\*" if self.outcome else ""
        return f"{short(self.difference.mean, '+')} ± {short(self.difference.std)}{star}"


def compare(pairs: Sequence[Pair]) -> list[Comparison]:
    """The comparisons of one family."""
    if not pairs:
        return []
    differences = [pair.first.values - pair.second.values for pair in pairs]
    tested = [float(randomisation_test(values[:, None])[0]) for values in differences]
    corrected = holm(np.array(tested))
    return [
        Comparison(pair.name, Sample(values), float(p))
        for pair, values, p in zip(pairs, differences, corrected, strict=True)
    ]


def verdict(family: Sequence[Comparison]) -> str:
    """Whether "the first is better" holds for all of them.

    >>> def of(difference, p):
    ...     return Comparison("", Sample(np.array([difference])), p)
    >>> verdict([of(0.1, 0.01)]), verdict([of(0.1, 0.01), of(0.1, 0.2)])
    ('**holds**', '**holds in 1 of 2** (1 within noise)')
    >>> verdict([of(0.1, 0.2)]), verdict([of(-0.1, 0.01)]), verdict([of(0.1, 0.01), of(-0.1, 0.01)])
    ('**within noise**', '**does not hold** (the opposite)', '**holds in 1 of 2** (1 opposite)')
    """
    outcomes = [comparison.outcome for comparison in family]
    better, noise, worse = (outcomes.count(value) for value in (1, 0, -1))
    if better == len(family):
        return "**holds**"
    if noise == len(family):
        return "**within noise**"
    if not better:
        rest = f", {noise} of {len(family)} within noise" if noise else ""
        return f"**does not hold** (the opposite{rest})"
    rest = ", ".join(f"{number} {word}" for number, word in ((noise, "within noise"), (worse, "opposite")) if number)
    return f"**holds in {better} of {len(family)}** ({rest})"


def equal_verdict(family: Sequence[Comparison]) -> str:
    """Whether "both are equal" is compatible with the numbers: no difference is beyond noise."""
    outcomes = [comparison.outcome for comparison in family]
    if not any(outcomes):
        return "**holds** (no difference beyond noise)"
    better, worse = outcomes.count(1), outcomes.count(-1)
    return f"**does not hold**: better in {better}, worse in {worse} of {len(family)}"


def order_verdict(family: Sequence[Comparison]) -> str:
    """Whether the order of the two is the same in all comparisons, which are named by their circumstances.

    >>> def of(name, difference, p):
    ...     return Comparison(name, Sample(np.array([difference])), p)
    >>> order_verdict([of("0%", 0.1, 0.01), of("5%", 0.2, 0.01)])
    '**the order stays** (better at each)'
    >>> order_verdict([of("0%", 0.1, 0.2), of("5%", -0.2, 0.2)])
    '**no order** (within noise at each)'
    >>> order_verdict([of("0%", 0.1, 0.01), of("5%", -0.2, 0.01)])
    '**the order changes** (0%: better, 5%: worse)'
    """
    words = [("within noise", "better", "worse")[comparison.outcome] for comparison in family]
    if len(set(words)) > 1:
        named = zip(family, words, strict=True)
        return f"**the order changes** ({', '.join(f'{comparison.name}: {word}' for comparison, word in named)})"
    return f"**{'the order stays' if family[0].outcome else 'no order'}** ({words[0]} at each)"
