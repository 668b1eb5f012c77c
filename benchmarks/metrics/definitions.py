"""What a ranking is worth: every metric as a sum over the places of its relevant items.

Input of each: a `Ranking` of Q queries, and an agreement t, a level or a cut where the metric has one.
Output (Q,) float64 in [0, 1]; NaN where undefined, that is, where nothing is relevant.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgld.benchmarks.metrics.ranked_hits import Ranking, before
from hgld.benchmarks.ranking.levels import at_least, equal, pop_relevance


def _or_nan(total: Tensor) -> Tensor:
    """Denominators in float64, NaN where there is nothing to divide by."""
    return torch.where(total > 0, total.double(), torch.nan)


def average_precision(ranking: Ranking, t: int) -> Tensor:
    """1/R sum_n P(n) b_n over the whole ranking; positives agree at t or deeper.

    >>> average_precision(Ranking.of(torch.tensor([[1, 0, 1]]), levels=1), t=1)
    tensor([0.8333], dtype=torch.float64)
    """
    hits = ranking.reaching(t)
    return hits.total(hits.precision) / _or_nan(hits.counts)


def average_precision_at_r(ranking: Ranking, t: int) -> Tensor:
    """1/R sum_{n <= R} P(n) b_n, R the number of positives of the query (Musgrave et al., ECCV 2020)."""
    hits = ranking.reaching(t)
    inside = hits.places < hits.spread(hits.counts)
    return hits.total(hits.precision * inside) / _or_nan(hits.counts)


def average_precision_at(ranking: Ranking, t: int, k: int) -> Tensor:
    """1/min(R, k) sum_{n <= k} P(n) b_n: GLDv2's measure for k = 100."""
    head = ranking.depth[:, :k] >= t
    precision = head.cumsum(1) * ranking.scales.inverse[:k]
    return (precision * head).sum(1) / _or_nan(ranking.reaching(t).counts).clamp(max=k)


def precision_at(ranking: Ranking, t: int, k: int) -> Tensor:
    """Share of positives among the first k; a list shorter than k counts as filled up with negatives."""
    found = (ranking.depth[:, :k] >= t).sum(1).double()
    return torch.where(ranking.reaching(t).counts > 0, found / k, torch.nan)


def any_at(ranking: Ranking, t: int, k: int) -> Tensor:
    """R@k of the retrieval papers: 1 where the first k hold a positive."""
    found = (ranking.depth[:, :k] >= t).any(1).double()
    return torch.where(ranking.reaching(t).counts > 0, found, torch.nan)


def recall_at(ranking: Ranking, t: int, k: int) -> Tensor:
    """Positives among the first k over min(R, k)."""
    return (ranking.depth[:, :k] >= t).sum(1) / _or_nan(ranking.reaching(t).counts).clamp(max=k)


def exact_level_ap(ranking: Ranking, t: int) -> Tensor:
    """AP#t: the positives agree exactly at t, and the items that agree further are taken out of the ranking."""
    hits, deeper = ranking.exactly(t), at_least(ranking.depth, t + 1)
    out = before(deeper, hits) - hits.spread(_earlier_rows(deeper))
    return hits.total(hits.nth / (hits.places + 1 - out)) / _or_nan(hits.counts)


def _earlier_rows(chosen: Tensor) -> Tensor:
    """How many chosen items all rows before a row hold, (Q,)."""
    if len(chosen) == 1:
        return torch.zeros(1, dtype=torch.int64, device=chosen.device)
    counts = chosen.sum(1)
    return counts.cumsum(0) - counts


def ndcg(ranking: Ranking, k: int | None = None) -> Tensor:
    """Gains 2^t - 1 discounted by log2(1 + n), over the best order of the *whole* list, both cut at k.

    >>> ndcg(Ranking.of(torch.tensor([[0, 2]]), levels=2))
    tensor([0.6309], dtype=torch.float64)
    """
    discount, discounted = ranking.scales.discount, ranking.scales.discounted
    if k is None:
        gained = sum(
            (2.0**t - 1.0) * hits.total(discount.index_select(0, hits.places))
            for t in range(1, ranking.levels + 1)
            for hits in [ranking.exactly(t)]
        )
    else:
        gained = ((torch.exp2(ranking.depth[:, :k].double()) - 1.0) * discount[:k]).sum(1)
    # In the ideal order the items of one agreement stand together: its part is a difference of summed discounts.
    ends = ranking.counts.flip(1).cumsum(1).clamp(max=ranking.depth.shape[1] if k is None else k)
    part = torch.diff(discounted[ends], dim=1, prepend=torch.zeros_like(discounted[ends[:, :1]]))
    gains = torch.exp2(torch.arange(ranking.levels, -1, -1, dtype=torch.float64, device=part.device)) - 1.0
    return gained / _or_nan((part * gains).sum(1))


def h_ap(ranking: Ranking, alpha: float = 1.0) -> Tensor:
    """H-AP with 'pop' relevances over the ranked list: sum_k Hrank(k)/k / sum rel.

    Hrank(k) = sum_{j<=k} min(rel_k, rel_j). As a relevance depends on the agreement alone, it is
    sum_{a, b} min(rel_a, rel_b) M_ab / sum rel with M as in `meetings`; two agreements of equal relevance count once
    each (HAPPIER). The ranking must not count the query itself as an item.

    >>> h_ap(Ranking.of(torch.tensor([[0, 1]]), levels=1)), h_ap(Ranking.of(torch.tensor([[2, 1, 0]]), levels=2))
    (tensor([0.5000], dtype=torch.float64), tensor([1.], dtype=torch.float64))
    """
    relevance = pop_relevance(ranking.counts, alpha)
    lower = torch.minimum(relevance[:, 1:, None], relevance[:, None, 1:])
    total = (lower * meetings(ranking)).sum((1, 2))
    return total / _or_nan((relevance * ranking.counts).sum(1))


def meetings(ranking: Ranking) -> Tensor:
    """M_ab = sum over the items k of agreement a of (number of items of agreement b down to k) / k; (Q, L, L) float64.

    Where the items j of b are deeper than a, they are the rarer ones, and the sum is taken over them instead: each
    meets every later item k of a, and brings the sum of their 1 / k.

    >>> meetings(Ranking.of(torch.tensor([[2, 1, 1]]), levels=2))[0]
    tensor([[1.1667, 0.8333],
            [0.0000, 1.0000]], dtype=torch.float64)
    """
    levels = range(1, ranking.levels + 1)
    lists = [ranking.exactly(t) for t in levels]
    table = torch.zeros(
        len(ranking.depth), len(lists), len(lists), dtype=torch.float64, device=ranking.depth.device
    )
    for a, shallow in enumerate(lists):
        table[:, a, a] = shallow.total(shallow.precision)
        if a + 1 == len(lists):
            break
        chosen = equal(ranking.depth, levels[a])
        summed = torch.cat([shallow.inverse.new_zeros(1), shallow.inverse.cumsum(0)])
        ends = summed[shallow.bounds[1:]]
        for b in range(a + 1, len(lists)):
            deep = lists[b]
            earlier = before(chosen, deep)
            table[:, a, b] = deep.total(deep.spread(ends) - summed.index_select(0, earlier))
            table[:, b, a] = deep.total((earlier - deep.spread(shallow.bounds[:-1])) * deep.inverse)
    return table


def asi(ranking: Ranking) -> Tensor:
    """Average set intersection: mean over n <= |positives| of |S_n and S*_n| / n, by level counts.

    S_n are the first n items and S*_n those of the ideal order. The i-th item of an agreement is in both from
    n = max(its place, the i-th place of that agreement in the ideal order) on, and brings the sum of 1 / n from there.
    """
    total = ranking.counts[:, 1:].sum(1)
    ideal = torch.zeros_like(total)
    value = torch.zeros(len(total), dtype=torch.float64, device=total.device)
    for t in range(ranking.levels, 0, -1):
        hits = ranking.exactly(t)
        # both from 0, so that this is also the number of places before the item counts
        since = torch.maximum(hits.places, hits.nth.long() - 1 + hits.spread(ideal))
        end = hits.spread(total)
        value += hits.total(
            ranking.scales.harmonic[end] - ranking.scales.harmonic.index_select(0, since.minimum(end))
        )
        ideal = ideal + ranking.counts[:, t]
    return value / _or_nan(total)


def boundary_tie(ranking: Ranking) -> Tensor:
    """1 where two neighbours have one score and different agreements: there the order by index decides the metric."""
    depth, scores = ranking.depth, ranking.scores
    equal = scores[:, 1:] == scores[:, :-1]
    return (equal & (depth[:, 1:] != depth[:, :-1])).any(1).double()
