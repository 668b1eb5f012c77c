"""Rank losses whose gradient is found together with their value, and of which only O(B N) numbers are kept.

Every score here is a sum over the positives i of a query, of a *share* that depends on the positive's own ranks:

    score = sum_{i in P} share(rank_i, Hrank_i)          AP: Hrank_i / rank_i / |P|

so the positives can be worked off a few at a time: rank them, let autograd differentiate their shares, (M,) numbers, in
the ranks, and pull that back through the ranks by hand. What the backward pass needs is then one number a pair, the
gradient itself, and nothing is computed twice.

Ranks come pair by pair (hgld.benchmarks.ranks; exact to the dtype's rounding), or for long rows from the near-linear
sums (hgld.benchmarks.near_linear). `DENSE_PAIRS` says from where on; `force` overrides it, for tests and benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hgld.benchmarks import ranks
from hgld.benchmarks.near_linear import Rows, applies, precision_of, ranked
from hgld.benchmarks.ranks import Surrogate, pair_ranks, pairs_of

# Pairs a query up to which they are cheaper than the sums (measured: benchmarks/speed.py --switch), by dtype. Float64 is
# chosen for exactness, and gets it for as long as it can be waited for.
DENSE_PAIRS = {torch.float32: 12_000, torch.float64: 4_000_000}
ITEMS = 1 << 16  # of the rows that the near-linear sums hold at once: a hundred bytes each, a few MB a level

_forced: ContextVar[str] = ContextVar("_forced", default="")

Share = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""share(query, t, rank, hrank), all (M,) -> (M,): what a positive of agreement t adds to the score of its query."""


@contextmanager
def force(way: str) -> Iterator[None]:
    """Inside, ranks come by `way`: "pairs" or "near_linear" (where that applies)."""
    token = _forced.set(way)
    try:
        yield
    finally:
        _forced.reset(token)


def rank_score(
    scores: Tensor, depth: Tensor, surrogate: Surrogate, table: Tensor | None, share: Share
) -> Tensor:
    """Sum of the positives' shares per query, differentiable once in `scores`.

    scores (B, N) float32 or float64; depth (B, N) uint8 agreement; table (B, L + 1) the relevance of each agreement, or
    None where no Hrank is needed (it is then 0) -> (B,); 0 for a query without positives.
    """
    found: Tensor = _RankScore.apply(scores, depth, surrogate, table, share)  # type: ignore[no-untyped-call]
    return found


class _RankScore(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, depth: Tensor, surrogate: Surrogate, table: Tensor | None, share: Share
    ) -> Tensor:
        gradient = torch.zeros_like(scores) if ctx.needs_input_grad[0] else None
        way = _by_sums if _long_rows(scores, depth, surrogate) else _by_pairs
        value = way(scores, depth, surrogate, table, share, gradient)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad[:, None], None, None, None, None


def _long_rows(scores: Tensor, depth: Tensor, surrogate: Surrogate) -> bool:
    """Whether to use the near-linear sums."""
    if not scores.numel() or _forced.get() == "pairs":
        return False
    pairs = float(depth.count_nonzero()) / len(scores) * scores.shape[1]
    if pairs <= DENSE_PAIRS[scores.dtype] and _forced.get() != "near_linear":
        return False
    low, high = scores.aminmax()
    return applies(surrogate, float(high - low), precision_of(scores))


def _shares(
    share: Share, query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor, want: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The shares and, where wanted, their derivatives in rank and hrank -> (M,), (M,), (M,)."""
    if not want:
        return share(query, t, rank, hrank), rank, hrank
    with torch.enable_grad():
        leaves = rank.detach().requires_grad_(), hrank.detach().requires_grad_()
        found = share(query, t, *leaves)
        a, b = torch.autograd.grad(found.sum(), leaves, allow_unused=True, materialize_grads=True)
    return found.detach(), a, b


def _by_pairs(
    scores: Tensor,
    depth: Tensor,
    surrogate: Surrogate,
    table: Tensor | None,
    share: Share,
    gradient: Tensor | None,
) -> Tensor:
    """Scores (B,) from whole rows of pairs, some positives at a time; adds to `gradient` (B, N)."""
    value = scores.new_zeros(len(scores))
    queries, items = depth.nonzero(as_tuple=True)
    size = max(1, ranks.BLOCK // max(1, scores.shape[1]))
    for query, item in zip(queries.split(size), items.split(size), strict=True):
        pairs = pairs_of(scores, depth, table, query, item)
        rank, hrank = pair_ranks(pairs, surrogate)
        shares, a, b = _shares(share, query, pairs.t_own[:, 0], rank, hrank, gradient is not None)
        value.index_add_(0, query, shares)
        if gradient is None:
            continue
        back = surrogate.step_slope(pairs.x, pairs.t < pairs.t_own).mul_(a[:, None])
        gain_slope = None
        if pairs.gain is not None:
            gain_slope = surrogate.gain_slope(pairs.x, pairs.t > pairs.t_own)
        if pairs.gain is not None and gain_slope is not None:
            back += gain_slope.mul_(pairs.gain).mul_(b[:, None])
        back.scatter_(1, pairs.itself, 0.0)
        back.scatter_(1, pairs.itself, -back.sum(1, keepdim=True))
        gradient.index_add_(0, query, back)
    return value


def _by_sums(
    scores: Tensor,
    depth: Tensor,
    surrogate: Surrogate,
    table: Tensor | None,
    share: Share,
    gradient: Tensor | None,
) -> Tensor:
    """Scores (B,) from the near-linear sums, some rows at a time; writes `gradient` (B, N)."""
    value = scores.new_zeros(len(scores))
    levels = int(depth.amax())
    size = max(1, ITEMS // scores.shape[1])
    for at in range(0, len(scores), size):
        block = slice(at, at + size)
        y, order = scores[block].neg().sort(1)
        rows = Rows(y.double(), depth[block].gather(1, order).long(), max(1, levels))
        relevance = None if table is None else table[block].double()
        found = ranked(rows, relevance, surrogate, precision_of(scores))
        query = rows.row + at
        shares, a, b = _shares(share, query, rows.level, found.rank, found.hrank, gradient is not None)
        value.index_add_(0, query, shares.to(value.dtype))
        if gradient is not None:
            back = found.pullback(a.double(), b.double()).to(scores.dtype)
            gradient[block].scatter_(1, order, back)
    return value
