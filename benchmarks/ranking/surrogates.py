"""Ranks of the positives and their differentiable surrogates.

For one query with scores s and items i, j (i is a positive, j every other item):

    rank(i)  = 1     + sum_{j != i} h(s_j - s_i)
    Hrank(i) = rel_i + sum_{j != i} min(rel_i, rel_j) h+(s_j - s_i)

With relevances 0/1, Hrank is rank+, the rank among the positives. The exact rank takes the Heaviside step for h with
H(0) = 1, whose gradient is nought; a surrogate replaces it:

    Smooth     a sigmoid of temperature tau in both sums                                          Smooth-AP
    SupRank    h- for the pairs where j agrees *less* than i; the step, without gradient, elsewhere   ROADMAP
    SupHRank   SupRank, and h+ in Hrank for the pairs where j agrees *more* than i                 SupRank (TPAMI)

    h-(x) = sigmoid(x/tau)            x <= 0            h+(x) = leak x               x <= 0
            start + sigmoid(x/tau)    0 < x <= delta            min(beta x + gamma, 1)   x > 0
            rho (x - delta) + offset  x > delta

`offset=None` joins the pieces at delta (offset = start + sigmoid(delta/tau)). With start = .5 that is the setting for
which SupRank never falls below the true rank, hence the default here (but at an exact tie of a positive and a lower
item, where the true rank counts 1 and h-(0) is 1/2, as published). The two published settings are start .5,
offset 1.44 (drops by .05 at delta) and start 0, offset 1 ("iNat"; below the step on (0, delta]).

Only the positives get a rank. Here stand the definitions, and the ranks pair by pair; the losses take theirs from
hgld.benchmarks.ranking.rank_score, which carries the gradient along and has a way round the pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Pairs held at once: 2^18 float32 are 1 MiB a temporary, and the dozen of a block stay in the cache.
BLOCK = 1 << 18
# A GPU gains nothing from small blocks, and pays for each of their kernels: 2^25 are 128 MiB a temporary.
GPU_BLOCK = 1 << 25


class Surrogate(Protocol):
    """The two step functions of a rank, each with its derivative in x.

    x = s_j - s_i, lower = [t_j < t_i], higher = [t_j > t_i], all (M, N) floating point -> (M, N), (M, N); None for a
    derivative of 0. Masks are numbers 0 and 1, and pieces are put together by arithmetic: on a processor that is 15
    times as fast as `where` and `masked_fill`, whose branches depend on the data.
    """

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        """H of the rank."""

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """h+ of the Hrank."""


def above(x: Tensor) -> Tensor:
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
class Exact:
    """The step itself: true ranks, no gradient."""

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the rank; see Surrogate."""
        return heaviside(x), None

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the Hrank; see Surrogate."""
        return heaviside(x), None


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """Sigmoid of temperature tau in both sums (Smooth-AP)."""

    tau: float = 0.01

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the rank; see Surrogate."""
        return _sigmoid(x, self.tau)

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the Hrank; see Surrogate."""
        return _sigmoid(x, self.tau)


@dataclass(frozen=True, kw_only=True)
class SupRank:
    """Upper bound of the rank, exact Hrank; with beta, leak, gamma (all three) also SupHRank's lower bound of Hrank."""

    tau: float = 0.01
    rho: float = 100.0
    delta: float = 0.05
    start: float = 0.5
    offset: float | None = None
    beta: float | None = None
    leak: float | None = None
    gamma: float | None = None

    @property
    def joint(self) -> float:
        """Where the linear piece starts: the offset, or what joins the pieces."""
        if self.offset is not None:
            return self.offset
        return self.start + 1.0 / (1.0 + math.exp(-self.delta / self.tau))

    @property
    def lifts(self) -> bool:
        """Whether SupHRank's h+ is on."""
        return None not in (self.beta, self.leak, self.gamma)

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the rank; see Surrogate."""
        value, slope = _sigmoid(x, self.tau)
        beyond = x - self.delta
        far = above(beyond)
        value.addcmul_(far, self.joint - self.start - value)
        value.add_(above(x), alpha=self.start).add_(beyond.clamp_(min=0.0), alpha=self.rho)
        others = heaviside(x)
        value.sub_(others).mul_(lower).add_(others)
        return value, slope.addcmul_(far, self.rho - slope).mul_(lower)

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the Hrank; see Surrogate."""
        others = heaviside(x)
        if self.beta is None or self.leak is None or self.gamma is None:
            return others, None
        ahead, rising = above(x), self.beta * x + self.gamma
        slope = self.leak + ahead * (self.beta * (1.0 - above(rising - 1.0)) - self.leak)
        lifted = ahead * rising.clamp_(max=1.0) + self.leak * x.clamp(max=0.0)
        return others + higher * (lifted - others), slope.mul_(higher)


def block_of(scores: Tensor) -> int:
    """How many pairs to hold at once where these scores lie."""
    return BLOCK if scores.device.type == "cpu" else GPU_BLOCK


class Ranks(NamedTuple):
    """Ranks of some positives: `query` and `item` (M,) int64 say whose, `rank` and `hrank` (M,) float."""

    query: Tensor
    item: Tensor
    rank: Tensor
    hrank: Tensor


class Pairs(NamedTuple):
    """Some positives (M,) against their whole rows (M, N): x = s_j - s_i, and where t_j < t_i.

    With gains, gain = min(rel_i, rel_j) and where t_j > t_i, else None. t and itself (M, 1): agreement and place.
    """

    x: Tensor
    lower: Tensor
    higher: Tensor | None
    gain: Tensor | None
    t: Tensor
    itself: Tensor


def pairs_of(scores: Tensor, depth: Tensor, table: Tensor | None, query: Tensor, item: Tensor) -> Pairs:
    """The pairs of the positives (query, item). Without a table (B, L + 1) there are no gains."""
    rows, others = scores.index_select(0, query), depth.index_select(0, query)
    itself = item[:, None]
    x, t = rows - rows.gather(1, itself), others.gather(1, itself)
    apart = t.to(x.dtype) - others.to(x.dtype)
    lower = above(apart)
    if table is None:
        return Pairs(x, lower, None, None, t, itself)
    relevance = table.index_select(0, query)
    gain = torch.minimum(relevance, relevance.gather(1, t.long())).gather(1, others.long())
    return Pairs(x, lower, above(apart.neg_()), gain, t, itself)


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


def positive_ranks(scores: Tensor, depth: Tensor, surrogate: Surrogate, table: Tensor | None = None) -> Ranks:
    """Surrogate ranks of every item with a positive agreement, without gradient.

    scores (B, N) float32 or float64; depth (B, N) uint8 agreement, 0 .. L (for one level: 0/1); table (B, L + 1) the
    relevance of an agreement (levels.pop_relevance), None for 0/1, with which hrank is rank+.
    M = number of positives over all rows.
    """
    scores = scores.detach()
    query, item = depth.gt(0).nonzero(as_tuple=True)
    if table is None:
        depth, table = depth.gt(0).to(torch.uint8), torch.tensor([0.0, 1.0]).expand(len(scores), 2)
    table = table.to(scores)
    rows = max(1, block_of(scores) // max(1, scores.shape[1]))
    rank, hrank = [scores.new_zeros(0)], [scores.new_zeros(0)]
    for at in range(0, len(query), rows):
        block = slice(at, at + rows)
        some = pair_ranks(pairs_of(scores, depth, table, query[block], item[block]), surrogate)
        rank.append(some.rank)
        hrank.append(some.hrank)
    return Ranks(query, item, torch.cat(rank), torch.cat(hrank))
