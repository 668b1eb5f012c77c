"""Sums over ranked positives, whose gradient is computed in the forward pass and takes O(B N) memory.

Every rank loss is a sum over the positives i of a query, of a *term* that depends on the positive's own ranks:

    score = sum_{i in P} term(rank_i, Hrank_i)          AP: Hrank_i / rank_i / |P|

so the positives can be processed block by block: compute their ranks, let autograd differentiate the terms, (M,)
numbers, in the ranks, and pull that back through the ranks by hand. The backward pass then needs one number per pair,
the gradient itself, and nothing is computed twice.

Ranks are computed pair by pair (surrogates.py; exact up to rounding), or for long rows by the near-linear sums
(near_linear.py). `MIN_PAIRS` and `PAIRS_PER_ITEM` decide which; `force` overrides them, for tests and benchmarks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hgld.benchmarks.ranking.near_linear import Rows, applies, precision_of, target_ranks
from hgld.benchmarks.ranking.sorting import descending_keys, with_row_number
from hgld.benchmarks.ranking.surrogates import (
    PairRanks,
    Pairs,
    Surrogate,
    block_size,
    pair_ranks,
    pairs_of,
)
from hgld.benchmarks.ranking.threads import allowed_threads, one_core, single_core_threads

# Up to MIN_PAIRS + PAIRS_PER_ITEM * N pairs per query, pairs are cheaper than sums (measured: 7 ns per pair, 200 ns per
# item, 100 us per row). Float64 is chosen for exactness, and keeps the exact pairs for as long as that is bearable.
MIN_PAIRS = {torch.float32: 14_000, torch.float64: 1_000_000}
PAIRS_PER_ITEM = 30
# Some ten milliseconds of work: with less, starting threads beside torch's own costs more than it saves.
PAIRS_PER_THREAD = 1 << 20
# Items per block of the near-linear sums, some hundred bytes each; as with pairs, more on a GPU.
ITEMS, GPU_ITEMS = 1 << 16, 1 << 23

Method = Literal["", "pairs", "near_linear"]
_forced: ContextVar[Method] = ContextVar("_forced", default="")

Term = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""term(query, t, rank, hrank), all (M,) -> (M,): what positives of agreement t add to the scores of their queries."""


@contextmanager
def force(method: Method) -> Iterator[None]:
    """Inside, ranks are computed by "pairs" or by "near_linear" (where that applies); "" leaves the choice."""
    token = _forced.set(method)
    try:
        yield
    finally:
        _forced.reset(token)


def rank_score(scores: Tensor, depth: Tensor, surrogate: Surrogate, table: Tensor | None, term: Term) -> Tensor:
    """Sum of the positives' terms per query, differentiable once in `scores`.

    scores (B, N) float32 or float64; depth (B, N) uint8 agreement; table (B, L + 1) the relevance of each agreement, or
    None where no Hrank is needed (it is then 0) -> (B,); 0 for a query without positives.
    """
    per_query: Tensor = _RankScore.apply(scores, depth, surrogate, table, term)
    return per_query


class _RankScore(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, depth: Tensor, surrogate: Surrogate, table: Tensor | None, term: Term
    ) -> Tensor:
        gradient = torch.zeros_like(scores) if ctx.needs_input_grad[0] else None
        per_query = float(depth.count_nonzero()) / max(1, len(scores)) * scores.shape[1]
        near_linear = _use_near_linear(scores, per_query, surrogate)
        score = _score_by_sums if near_linear else _score_by_pairs
        items = ITEMS if scores.device.type == "cpu" else GPU_ITEMS
        size = items / scores.shape[1] if near_linear else block_size(scores) / max(1.0, per_query)

        def work(rows: slice) -> Tensor:
            def term_of_block(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
                return term(query + rows.start, t, rank, hrank)

            block = Block(
                scores=scores[rows],
                depth=depth[rows],
                table=None if table is None else table[rows],
                gradient=None if gradient is None else gradient[rows],
            )
            with torch.no_grad():  # the setting is per thread
                return score(block, surrogate, term_of_block)

        value = _in_blocks(work, scores, int(size), _threads(scores, None if near_linear else per_query))
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        with one_core():
            return gradient * grad[:, None], None, None, None, None


def _threads(scores: Tensor, pairs_per_query: float | None) -> int:
    """On how many threads to compute: at most as many as torch has, for pairs one for each PAIRS_PER_THREAD."""
    if scores.device.type != "cpu":
        return 1
    threads = allowed_threads()
    if pairs_per_query is None:
        return threads
    return min(threads, max(1, int(pairs_per_query * len(scores)) // PAIRS_PER_THREAD))


def _in_blocks(work: Callable[[slice], Tensor], scores: Tensor, size: int, threads: int) -> Tensor:
    """`work` on blocks of at most `size` rows (at least one), on some threads of one core each -> (B,).

    torch would share each of some hundred operations between its threads, which then wait for each other as often:
    beside two busy processes SupAP at 384 x 384 took up to 1,300 ms on two threads, and at most 66 ms on one core.
    """
    queries = len(scores)
    count = threads * math.ceil(queries / max(1, size) / threads)  # the same number for every thread
    size = max(1, math.ceil(queries / max(1, count)))
    blocks = [slice(start, start + size) for start in range(0, queries, size)]
    workers = min(threads, len(blocks))
    with single_core_threads(workers) as parallel_map, one_core() if workers == 1 else nullcontext():
        return torch.cat([scores.new_zeros(0), *parallel_map(work, blocks)])


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some queries: scores and depth (R, N), table (R, L + 1) or None, gradient (R, N) to fill, None if not needed."""

    scores: Tensor
    depth: Tensor
    table: Tensor | None
    gradient: Tensor | None


def _use_near_linear(scores: Tensor, per_query: float, surrogate: Surrogate) -> bool:
    """Whether the near-linear sums apply and are worthwhile, for this mean number of pairs per query."""
    if not scores.numel() or _forced.get() == "pairs":
        return False
    threshold = MIN_PAIRS[scores.dtype] + PAIRS_PER_ITEM * scores.shape[1]
    if per_query <= threshold and _forced.get() != "near_linear":
        return False
    low, high = scores.aminmax()
    return applies(surrogate, float(high - low), precision_of(scores))


class _Terms(NamedTuple):
    """The terms of M positives and, where a gradient is needed, their derivatives in rank and Hrank; all (M,)."""

    value: Tensor
    by_rank: Tensor
    by_hrank: Tensor


def _differentiate(term: Term, query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor, *, needed: bool) -> _Terms:
    """The terms, and their derivatives where these are needed (otherwise the derivatives have no meaning)."""
    if not needed:
        return _Terms(term(query, t, rank, hrank), rank, hrank)
    with torch.enable_grad():
        leaves = rank.detach().requires_grad_(), hrank.detach().requires_grad_()
        value = term(query, t, *leaves)
        slopes = torch.autograd.grad(value.sum(), leaves, allow_unused=True, materialize_grads=True)
    return _Terms(value.detach(), *slopes)


def _score_by_pairs(block: Block, surrogate: Surrogate, term: Term) -> Tensor:
    """Scores (R,) from whole rows of pairs, some positives at a time."""
    scores, gradient = block.scores, block.gradient
    total = scores.new_zeros(len(scores))
    queries, items = block.depth.nonzero(as_tuple=True)
    size = max(1, block_size(scores) // max(1, scores.shape[1]))
    for start in range(0, len(queries), size):
        query, item = queries[start : start + size], items[start : start + size]
        pairs = pairs_of(scores, block.depth, block.table, query, item)
        ranks = pair_ranks(pairs, surrogate)
        terms = _differentiate(term, query, pairs.t[:, 0], ranks.rank, ranks.hrank, needed=gradient is not None)
        total.index_add_(0, query, terms.value)
        if gradient is not None:
            gradient.index_add_(0, query, _pull_back(pairs, ranks, terms))
    return total


def _pull_back(pairs: Pairs, ranks: PairRanks, terms: _Terms) -> Tensor:
    """The gradient of the terms in the scores of each positive's row -> (M, N)."""
    back = torch.zeros_like(pairs.x) if ranks.slope is None else ranks.slope.mul_(terms.by_rank[:, None])
    if ranks.gain_slope is not None:
        back.addcmul_(ranks.gain_slope, terms.by_hrank[:, None])
    back.scatter_(1, pairs.itself, 0.0)
    return back.scatter_(1, pairs.itself, -back.sum(1, keepdim=True))


def descending_order(scores: Tensor) -> Tensor:
    """Indices that sort each row by descending score: (R, N) -> (R, N) int64.

    On a CPU float32 is sorted by radix, all rows as one list: 10 ns an item instead of 40.
    """
    if scores.dtype != torch.float32 or scores.device.type != "cpu":
        return scores.argsort(dim=1, descending=True)
    order = with_row_number(descending_keys(scores.clone())).sort(stable=True).indices.view(scores.shape)
    return order - torch.arange(len(scores))[:, None] * scores.shape[1]


def _score_by_sums(block: Block, surrogate: Surrogate, term: Term) -> Tensor:
    """Scores (R,) from the near-linear sums."""
    order = descending_order(block.scores)
    y = block.scores.gather(1, order).neg_()
    group = block.depth.gather(1, order).long()
    rows = Rows(y.double(), group, max(1, int(group.amax())))
    table = None if block.table is None else block.table.double()
    ranks = target_ranks(rows, table, surrogate, precision_of(block.scores))
    needed = block.gradient is not None
    terms = _differentiate(term, rows.row, rows.target_group, ranks.rank, ranks.hrank, needed=needed)
    if block.gradient is not None:
        back = ranks.pullback(terms.by_rank.double(), terms.by_hrank.double())
        block.gradient.scatter_(1, order, back.to(y.dtype))
    return terms.value.new_zeros(len(y)).index_add_(0, rows.row, terms.value).to(y.dtype)
