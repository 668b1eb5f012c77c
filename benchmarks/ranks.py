"""Ranks of the positives and their differentiable surrogates.

For one query with scores s and items i, j (SEEDS: i is a positive, j every other item):

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
hgld.benchmarks.fused, which carries the gradient along and has a way round the pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Pairs held at once: 2^18 float32 are 1 MiB a temporary, and the dozen of a block stay in the cache.
BLOCK = 1 << 18


class Surrogate(Protocol):
    """The two step functions of a rank, each with its derivative in x.

    x = s_j - s_i, lower = t_j < t_i, higher = t_j > t_i, all (M, N) -> (M, N), (M, N); None for a derivative of 0.
    """

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        """H of the rank."""

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """h+ of the Hrank."""


def heaviside(x: Tensor) -> Tensor:
    """The step with H(0) = 1, without gradient."""
    return (x >= 0).to(x.dtype)


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
        """Of the rank; see Surrogate.

        The pieces are put together by masks in place: half the time of choosing between them with `where`.
        """
        value, slope = _sigmoid(x, self.tau)
        far, others = x > self.delta, ~lower
        value.masked_fill_(far, self.joint)
        value.add_((x > 0) ^ far, alpha=self.start)
        value.add_((x - self.delta).clamp_(min=0.0), alpha=self.rho)
        value.masked_fill_(others, 0.0).add_((x >= 0).logical_and_(others))
        return value, slope.masked_fill_(far, self.rho).masked_fill_(others, 0.0)

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the Hrank; see Surrogate."""
        if self.beta is None or self.leak is None or self.gamma is None:
            return heaviside(x), None
        rising, above = self.beta * x + self.gamma, x > 0
        slope = torch.full_like(x, self.leak).masked_fill_(above, self.beta)
        slope.masked_fill_(above & (rising > 1.0) | ~higher, 0.0)
        lifted = torch.where(above, rising.clamp_(max=1.0), self.leak * x)
        return torch.where(higher, lifted, heaviside(x)), slope


class Ranks(NamedTuple):
    """Ranks of some positives: `query` and `item` (M,) int64 say whose, `rank` and `hrank` (M,) float."""

    query: Tensor
    item: Tensor
    rank: Tensor
    hrank: Tensor


class Pairs(NamedTuple):
    """Some positives (M,) against their whole rows: x = s_j - s_i and the agreements, (M, N) but t_own (M, 1)."""

    x: Tensor
    t: Tensor
    t_own: Tensor
    gain: Tensor | None
    itself: Tensor


def pairs_of(scores: Tensor, depth: Tensor, table: Tensor | None, query: Tensor, item: Tensor) -> Pairs:
    """The pairs of the positives (query, item). gain is min(rel_i, rel_j), None without a table (B, L + 1)."""
    rows, t = scores.index_select(0, query), depth.index_select(0, query)
    own, t_own = rows.gather(1, item[:, None]), t.gather(1, item[:, None])
    gain = None
    if table is not None:
        rel = table.index_select(0, query)
        gain = torch.minimum(rel, rel.gather(1, t_own.long())).gather(1, t.long())
    return Pairs(rows - own, t, t_own, gain, item[:, None])


class PairRanks(NamedTuple):
    """rank and Hrank (M,) of some positives, and their derivatives in every x (M, N); None for a derivative of 0."""

    rank: Tensor
    hrank: Tensor
    slope: Tensor | None
    gain_slope: Tensor | None


def pair_ranks(pairs: Pairs, surrogate: Surrogate) -> PairRanks:
    """The ranks of the positives of the pairs; without gains Hrank is 0."""
    step, slope = surrogate.step(pairs.x, pairs.t < pairs.t_own)
    rank = step.scatter_(1, pairs.itself, 1.0).sum(1)
    if pairs.gain is None:
        return PairRanks(rank, torch.zeros_like(rank), slope, None)
    gained, gain_slope = surrogate.gain_step(pairs.x, pairs.t > pairs.t_own)
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
    rows = max(1, BLOCK // max(1, scores.shape[1]))
    rank, hrank = [scores.new_zeros(0)], [scores.new_zeros(0)]
    for at in range(0, len(query), rows):
        block = slice(at, at + rows)
        some = pair_ranks(pairs_of(scores, depth, table, query[block], item[block]), surrogate)
        rank.append(some.rank)
        hrank.append(some.hrank)
    return Ranks(query, item, torch.cat(rank), torch.cat(hrank))
