"""Rank losses whose gradient is found together with their value, and of which only O(B N) numbers are kept.

Every score here is a sum over the positives i of a query, of a *share* that depends on the positive's own ranks:

    score = sum_{i in P} share(rank_i, Hrank_i)          AP: Hrank_i / rank_i / |P|

so the positives can be worked off a few at a time: rank them, let autograd differentiate their shares, (M,) numbers, in
the ranks, and pull that back through the ranks by hand. What the backward pass needs is then one number a pair, the
gradient itself, and nothing is computed twice.

Ranks come pair by pair (surrogates.py; exact to the dtype's rounding), or for long rows from the near-linear
sums (near_linear.py). `LEAST` and `POSITIVES` say from where on; `force` overrides them, for tests and
benchmarks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hgld.benchmarks.ranking import surrogates as ranks
from hgld.benchmarks.ranking.near_linear import Rows, applies, precision_of, ranked
from hgld.benchmarks.ranking.sorting import LAST, descending_keys
from hgld.benchmarks.ranking.surrogates import PairRanks, Pairs, Surrogate, pair_ranks, pairs_of
from hgld.benchmarks.ranking.threads import side_by_side

# Up to LEAST pairs a query, and up to POSITIVES of them an item, pairs are cheaper than sums (measured: 7 ns a pair,
# 200 ns an item and 100 us a row). Float64 is chosen for exactness, and gets it for as long as it can be waited for.
LEAST = {torch.float32: 14_000, torch.float64: 1_000_000}
POSITIVES = 30
# Of the rows that the near-linear sums hold at once, some hundred bytes each; as with pairs, more on a GPU.
ITEMS, GPU_ITEMS = 1 << 16, 1 << 23

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
    found: Tensor = _RankScore.apply(scores, depth, surrogate, table, share)
    return found


@cache
def keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB that tensors have given back, instead of fetching it anew for each.

    glibc learns from the largest mapped piece that it has seen freed, up to 32 MB; this one is never touched. Without
    it the page faults of the temporaries cost as much as the sums themselves (20 ms for 10 at 384 x 384).
    """
    torch.empty(31 << 18, dtype=torch.float32)


class _RankScore(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, depth: Tensor, surrogate: Surrogate, table: Tensor | None, share: Share
    ) -> Tensor:
        keep_freed_memory()
        gradient = torch.zeros_like(scores) if ctx.needs_input_grad[0] else None
        per_query = float(depth.count_nonzero()) / max(1, len(scores)) * scores.shape[1]
        sums = _long_rows(scores, per_query, surrogate)
        way = _by_sums if sums else _by_pairs
        items = ITEMS if scores.device.type == "cpu" else GPU_ITEMS
        size = items / scores.shape[1] if sums else ranks.block_of(scores) / max(1.0, per_query)

        def work(rows: slice) -> Tensor:
            def shifted(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
                return share(query + rows.start, t, rank, hrank)

            part = Part(
                scores=scores[rows],
                depth=depth[rows],
                table=None if table is None else table[rows],
                gradient=None if gradient is None else gradient[rows],
            )
            with torch.no_grad():  # a thread of its own starts without it
                return way(part, surrogate, shifted)

        value = _in_blocks(work, scores, int(size), side=sums)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad[:, None], None, None, None, None


def _in_blocks(work: Callable[[slice], Tensor], scores: Tensor, size: int, *, side: bool) -> Tensor:
    """`work` on blocks of at most `size` rows (at least one) -> (B,); with `side` on as many threads as torch has.

    The sums are many operations of which torch splits few; pairs are few operations, which torch splits well itself.
    """
    queries = len(scores)
    threads = torch.get_num_threads() if side and scores.device.type == "cpu" else 1
    count = threads * math.ceil(queries / max(1, size) / threads)  # every thread the same number
    size = max(1, math.ceil(queries / max(1, count)))
    blocks = [slice(at, at + size) for at in range(0, queries, size)]
    with side_by_side(min(threads, len(blocks))) as each:
        return torch.cat([scores.new_zeros(0), *each(work, blocks)])


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some queries: scores and depth (R, N), table (R, L + 1) or None, gradient (R, N) to write, None if not wanted."""

    scores: Tensor
    depth: Tensor
    table: Tensor | None
    gradient: Tensor | None


def _long_rows(scores: Tensor, per_query: float, surrogate: Surrogate) -> bool:
    """Whether to use the near-linear sums, for so many pairs a query."""
    if not scores.numel() or _forced.get() == "pairs":
        return False
    if per_query <= LEAST[scores.dtype] + POSITIVES * scores.shape[1] and _forced.get() != "near_linear":
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


def _by_pairs(part: Part, surrogate: Surrogate, share: Share) -> Tensor:
    """Scores (R,) from whole rows of pairs, some positives at a time."""
    scores, gradient = part.scores, part.gradient
    value = scores.new_zeros(len(scores))
    queries, items = part.depth.nonzero(as_tuple=True)
    size = max(1, ranks.block_of(scores) // max(1, scores.shape[1]))
    for at in range(0, len(queries), size):
        query, item = queries[at : at + size], items[at : at + size]
        pairs = pairs_of(scores, part.depth, part.table, query, item)
        found = pair_ranks(pairs, surrogate)
        shares, a, b = _shares(share, query, pairs.t[:, 0], found.rank, found.hrank, gradient is not None)
        value.index_add_(0, query, shares)
        if gradient is not None:
            gradient.index_add_(0, query, _pulled_back(pairs, found, a, b))
    return value


def _pulled_back(pairs: Pairs, found: PairRanks, a: Tensor, b: Tensor) -> Tensor:
    """What the gradients of rank and Hrank (M,), (M,) come to for the scores of each positive's row -> (M, N)."""
    back = torch.zeros_like(pairs.x) if found.slope is None else found.slope.mul_(a[:, None])
    if found.gain_slope is not None:
        back.addcmul_(found.gain_slope, b[:, None])
    back.scatter_(1, pairs.itself, 0.0)
    return back.scatter_(1, pairs.itself, -back.sum(1, keepdim=True))


def best_first(scores: Tensor) -> Tensor:
    """The order of each row's scores, descending: (R, N) -> (R, N) int64.

    On a processor float32 goes by radix, as one list with the row above the bits of the score: 10 ns an item for 40.
    """
    if scores.dtype != torch.float32 or scores.device.type != "cpu":
        return scores.argsort(dim=1, descending=True)
    row = torch.arange(len(scores))[:, None]
    keys = (descending_keys(scores.clone()) + ((row << 32) + (LAST + 1))).view(-1)
    return keys.sort(stable=True).indices.view(scores.shape) - row * scores.shape[1]


def _by_sums(part: Part, surrogate: Surrogate, share: Share) -> Tensor:
    """Scores (R,) from the near-linear sums."""
    order = best_first(part.scores)
    y = part.scores.gather(1, order).neg_()
    group = part.depth.gather(1, order).long()
    rows = Rows(y.double(), group, max(1, int(group.amax())))
    table = None if part.table is None else part.table.double()
    found = ranked(rows, table, surrogate, precision_of(part.scores))
    want = part.gradient is not None
    shares, a, b = _shares(share, rows.row, rows.level, found.rank, found.hrank, want)
    if part.gradient is not None:
        part.gradient.scatter_(1, order, found.pullback(a.double(), b.double()).to(y.dtype))
    return shares.new_zeros(len(y)).index_add_(0, rows.row, shares).to(y.dtype)
