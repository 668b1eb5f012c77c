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

Only the positives get a rank, and the pairs are worked off in blocks, each recomputed in the backward pass: memory
stays at O(B N) plus one block however many positives there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Pairs held at once: 2^20 float32 are 4 MiB a temporary, which stays near the cache and loses nothing in speed.
BLOCK = 1 << 20


class Surrogate(Protocol):
    """The two step functions of a rank. x = s_j - s_i, lower = t_j < t_i, higher = t_j > t_i, all (M, N)."""

    def step(self, x: Tensor, lower: Tensor) -> Tensor:
        """H of the rank."""

    def gain_step(self, x: Tensor, higher: Tensor) -> Tensor:
        """h+ of the Hrank."""


def heaviside(x: Tensor) -> Tensor:
    """The step with H(0) = 1, without gradient."""
    return (x >= 0).to(x.dtype)


@dataclass(frozen=True, kw_only=True)
class Exact:
    """The step itself: true ranks, no gradient."""

    def step(self, x: Tensor, lower: Tensor) -> Tensor:
        """Of the rank; see Surrogate."""
        return heaviside(x)

    def gain_step(self, x: Tensor, higher: Tensor) -> Tensor:
        """Of the Hrank; see Surrogate."""
        return heaviside(x)


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """Sigmoid of temperature tau in both sums (Smooth-AP)."""

    tau: float = 0.01

    def step(self, x: Tensor, lower: Tensor) -> Tensor:
        """Of the rank; see Surrogate."""
        return torch.sigmoid(x / self.tau)

    def gain_step(self, x: Tensor, higher: Tensor) -> Tensor:
        """Of the Hrank; see Surrogate."""
        return torch.sigmoid(x / self.tau)


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

    def step(self, x: Tensor, lower: Tensor) -> Tensor:
        """Of the rank; see Surrogate."""
        sigmoid = torch.sigmoid(x / self.tau)
        offset = self.offset
        if offset is None:
            offset = self.start + float(
                torch.sigmoid(torch.tensor(self.delta / self.tau, dtype=torch.float64))
            )
        near = torch.where(x > 0, self.start + sigmoid, sigmoid)
        above = torch.where(x > self.delta, self.rho * (x - self.delta) + offset, near)
        return torch.where(lower, above, heaviside(x))

    def gain_step(self, x: Tensor, higher: Tensor) -> Tensor:
        """Of the Hrank; see Surrogate."""
        if self.beta is None or self.leak is None or self.gamma is None:
            return heaviside(x)
        rising = (self.beta * x + self.gamma).clamp(max=1.0)
        return torch.where(higher, torch.where(x > 0, rising, self.leak * x), heaviside(x))


class Ranks(NamedTuple):
    """Ranks of the positives in row order: `query` and `item` (M,) int64 say whose, `rank` and `hrank` (M,) float."""

    query: Tensor
    item: Tensor
    rank: Tensor
    hrank: Tensor


def positive_ranks(
    scores: Tensor, depth: Tensor, surrogate: Surrogate, relevance: Tensor | None = None
) -> Ranks:
    """Surrogate ranks of every item with a positive agreement.

    scores (B, N) float32 or float64; depth (B, N) agreement (for one level: 0/1); relevance (B, N) or None for 0/1.
    M = number of positives over all rows. Without relevance, hrank is rank+, the rank among the positives.
    """
    query, item = depth.gt(0).nonzero(as_tuple=True)
    gain = depth.gt(0).to(scores.dtype) if relevance is None else relevance.to(scores.dtype)
    rows = max(1, BLOCK // max(1, scores.shape[1]))
    parts = [
        _block(query[at : at + rows], item[at : at + rows], scores, depth, gain, surrogate)
        for at in range(0, len(query), rows)
    ]
    if not parts:
        empty = scores.new_zeros(0)
        return Ranks(query, item, empty, empty)
    rank, hrank = (torch.cat(part) for part in zip(*parts, strict=True))
    return Ranks(query, item, rank, hrank)


def _block(
    query: Tensor, item: Tensor, scores: Tensor, depth: Tensor, gain: Tensor, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """Ranks of some positives against whole rows, kept for the backward pass only as their inputs."""

    def ranks(scores: Tensor) -> tuple[Tensor, Tensor]:
        x = scores[query] - scores[query, item, None]
        t, t_own = depth[query], depth[query, item, None]
        itself = torch.zeros_like(t, dtype=torch.bool).scatter_(1, item[:, None], True)
        step = surrogate.step(x, t < t_own).masked_fill(itself, 0.0)
        gain_step = surrogate.gain_step(x, t > t_own).masked_fill(itself, 0.0)
        own = gain[query, item]
        return 1.0 + step.sum(1), own + (torch.minimum(gain[query], own[:, None]) * gain_step).sum(1)

    run: Callable[..., tuple[Tensor, Tensor]] = checkpoint
    return run(ranks, scores, use_reentrant=False, preserve_rng_state=False)
