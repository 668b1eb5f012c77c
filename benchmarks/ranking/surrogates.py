"""Ranks of the positives and their differentiable surrogates.

For one query with scores s and items i, j (i is a positive, j every other item):

    rank(i)  = 1     + sum_{j != i} h(s_j - s_i)
    Hrank(i) = rel_i + sum_{j != i} min(rel_i, rel_j) h+(s_j - s_i)

With relevances 0/1, Hrank is rank+, the rank among the positives. The exact rank takes the Heaviside step for h with
H(0) = 1, whose gradient is zero; a surrogate replaces it:

    Smooth     a sigmoid of temperature tau in both sums                                          Smooth-AP
    SupRank    h- for the pairs where j agrees *less* than i; the step, without gradient, elsewhere   ROADMAP
    SupHRank   SupRank, and h+ in Hrank for the pairs where j agrees *more* than i                 SupRank (TPAMI)

    h-(x) = sigmoid(x/tau)            x <= 0            h+(x) = leak x               x <= 0
            start + sigmoid(x/tau)    0 < x <= delta            min(beta x + gamma, 1)   x > 0
            rho (x - delta) + offset  x > delta

Only positives have a rank. This module holds the definitions and the ranks computed pair by pair; the losses use
hgld.benchmarks.ranking.rank_score, which also computes the gradient and can avoid the pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

TAU = 0.01  # the temperature of all three papers
# Pairs per block: 2^18 float32 are 1 MiB per temporary, and the dozen temporaries of a block stay in the cache.
BLOCK = 1 << 18
# On a GPU small blocks gain nothing and cost kernel launches: 2^25 pairs are 128 MiB per temporary.
GPU_BLOCK = 1 << 25


@dataclass(frozen=True, kw_only=True)
class SupRankSettings:
    """The settings of h-; see the module for the formula, and SUPRANK_SETTINGS for the published values."""

    tau: float = TAU
    rho: float = 100.0
    delta: float = 0.05
    start: float = 0.5
    offset: float | None = None


SUPRANK_SETTINGS = {
    "upper_bound": SupRankSettings(),
    "sop": SupRankSettings(offset=1.44),
    "inat": SupRankSettings(start=0.0, offset=1.0),
}
"""The three settings of SupRank by name.

upper_bound, the default: `offset=None` joins the pieces at delta (offset = start + sigmoid(delta/tau)). With start .5
SupRank is then never below the true rank, except at an exact tie of a positive and a lower item, where the true rank
counts 1 and h-(0) is 1/2, as published. sop: published for SOP; h- drops by .05 at delta. inat: published for
iNaturalist; h- is below the step on (0, delta].
"""


@dataclass(frozen=True, kw_only=True)
class SupHRankSettings:
    """The settings of h+, by default the published ones."""

    beta: float = 25.0
    leak: float = 10.0
    gamma: float = 0.5


class Surrogate(Protocol):
    """The two step functions of a rank, each with its derivative in x.

    x = s_j - s_i, lower = [t_j < t_i], higher = [t_j > t_i], all (M, N) floating point -> (M, N), (M, N); None for a
    derivative of 0. Masks are the numbers 0 and 1, and the pieces are combined by arithmetic: on a CPU that is 15 times
    as fast as `where` and `masked_fill`, whose branches depend on the data.
    """

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        """H of the rank."""

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """h+ of the Hrank."""


def is_positive(x: Tensor) -> Tensor:
    """1 where x > 0, else 0."""
    return torch.sign(x).clamp_(min=0.0)


def heaviside(x: Tensor) -> Tensor:
    """The step with H(0) = 1, without gradient."""
    return torch.sign(x).add_(1.0).clamp_(max=1.0)


def _sigmoid(x: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """sigmoid(x / tau) and its derivative."""
    sigmoid = torch.mul(x, 1.0 / tau).sigmoid_()
    return sigmoid, torch.addcmul(sigmoid, sigmoid, sigmoid, value=-1.0).mul_(1.0 / tau)


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """Sigmoid of temperature tau in both sums (Smooth-AP)."""

    tau: float = TAU

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        """H of the rank; see Surrogate."""
        return _sigmoid(x, self.tau)

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """h+ of the Hrank; see Surrogate."""
        return _sigmoid(x, self.tau)


@dataclass(frozen=True, kw_only=True)
class SupRank(SupRankSettings):
    """Upper bound of the rank and the exact Hrank; with `h_plus` SupHRank, a lower bound of the Hrank."""

    h_plus: SupHRankSettings | None = None

    @property
    def linear_start(self) -> float:
        """Value at which the linear piece starts: the offset, by default the end of the piece before it."""
        if self.offset is not None:
            return self.offset
        return self.start + 1.0 / (1.0 + math.exp(-self.delta / self.tau))

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        """H of the rank; see Surrogate."""
        value, slope = _sigmoid(x, self.tau)
        beyond = x - self.delta
        far = is_positive(beyond)
        value.addcmul_(far, self.linear_start - self.start - value)
        value.add_(is_positive(x), alpha=self.start).add_(beyond.clamp_(min=0.0), alpha=self.rho)
        exact = heaviside(x)
        value.sub_(exact).mul_(lower).add_(exact)
        return value, slope.addcmul_(far, self.rho - slope).mul_(lower)

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """h+ of the Hrank; see Surrogate."""
        exact = heaviside(x)
        if self.h_plus is None:
            return exact, None
        beta, leak, gamma = self.h_plus.beta, self.h_plus.leak, self.h_plus.gamma
        ahead, rising = is_positive(x), beta * x + gamma
        slope = leak + ahead * (beta * (1.0 - is_positive(rising - 1.0)) - leak)
        lower_bound = ahead * rising.clamp_(max=1.0) + leak * x.clamp(max=0.0)
        return exact + higher * (lower_bound - exact), slope.mul_(higher)


def block_size(scores: Tensor) -> int:
    """Number of pairs per block on the device of these scores."""
    return BLOCK if scores.device.type == "cpu" else GPU_BLOCK


class Pairs(NamedTuple):
    """M positives against their whole rows, (M, N): x = s_j - s_i, and `lower`, 1 where t_j < t_i.

    With gains, `higher` is 1 where t_j > t_i and `gain` min(rel_i, rel_j), otherwise both are None. `t` and `itself`
    (M, 1): agreement and index of the positive.
    """

    x: Tensor
    lower: Tensor
    higher: Tensor | None
    gain: Tensor | None
    t: Tensor
    itself: Tensor


def pairs_of(scores: Tensor, depth: Tensor, table: Tensor | None, query: Tensor, item: Tensor) -> Pairs:
    """The pairs of the positives (query, item), both (M,). Without a table (B, L + 1) there are no gains."""
    rows, row_depth = scores.index_select(0, query), depth.index_select(0, query)
    itself = item[:, None]
    x, t = rows - rows.gather(1, itself), row_depth.gather(1, itself)
    difference = t.to(x.dtype) - row_depth.to(x.dtype)
    lower = is_positive(difference)
    if table is None:
        return Pairs(x, lower, None, None, t, itself)
    relevance = table.index_select(0, query)
    gain = torch.minimum(relevance, relevance.gather(1, t.long())).gather(1, row_depth.long())
    return Pairs(x, lower, is_positive(difference.neg_()), gain, t, itself)


class PairRanks(NamedTuple):
    """rank and Hrank (M,) of some positives, and their derivatives in every x (M, N); None for a derivative of 0."""

    rank: Tensor
    hrank: Tensor
    slope: Tensor | None
    gain_slope: Tensor | None


def pair_ranks(pairs: Pairs, surrogate: Surrogate) -> PairRanks:
    """The ranks of the positives of the pairs; without gains Hrank is 0."""
    step, slope = surrogate.step(pairs.x, pairs.lower)
    rank = step.scatter_(1, pairs.itself, 1.0).sum(1)
    if pairs.gain is None or pairs.higher is None:
        return PairRanks(rank, torch.zeros_like(rank), slope, None)
    gained, gain_slope = surrogate.gain_step(pairs.x, pairs.higher)
    hrank = gained.scatter_(1, pairs.itself, 1.0).mul_(pairs.gain).sum(1)
    return PairRanks(rank, hrank, slope, None if gain_slope is None else gain_slope.mul_(pairs.gain))
