"""What a ranking is worth: every metric as a function of the agreements in ranked order.

Input of each: `ranked` (Q, N) uint8, the agreements 0..L of the items from best to worst, and what it needs besides.
An item that is not part of the ranking (the query itself) may stand at the end with agreement 0: it changes nothing.
Output (Q,) float64 in [0, 1]; NaN where undefined, that is, where nothing is relevant.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgld.benchmarks.levels import level_counts, pop_relevance


def _places(ranked: Tensor) -> Tensor:
    """1, 2, .. N as float64."""
    return torch.arange(1, ranked.shape[1] + 1, dtype=torch.float64, device=ranked.device)


def _or_nan(total: Tensor) -> Tensor:
    """Denominators in float64, NaN where there is nothing to divide by."""
    return torch.where(total > 0, total.double(), torch.nan)


def average_precision(hits: Tensor) -> Tensor:
    """1/R sum_n P(n) b_n over the whole ranking. hits (Q, N) bool, the positives in ranked order.

    >>> average_precision(torch.tensor([[True, False, True]]))
    tensor([0.8333], dtype=torch.float64)
    """
    precision = hits.cumsum(1) / _places(hits)
    return (precision * hits).sum(1) / _or_nan(hits.sum(1))


def average_precision_at(hits: Tensor, k: int) -> Tensor:
    """1/min(R, k) sum_{n <= k} P(n) b_n: GLDv2's measure for k = 100. hits (Q, N) bool."""
    head = hits[:, :k]
    precision = head.cumsum(1) / _places(head)
    return (precision * head).sum(1) / _or_nan(hits.sum(1)).clamp(max=k)


def average_precision_at_r(hits: Tensor) -> Tensor:
    """1/R sum_{n <= R} P(n) b_n, R the number of positives of the query (Musgrave et al., ECCV 2020)."""
    total = hits.sum(1)
    head = hits & (_places(hits) <= total[:, None])
    precision = hits.cumsum(1) / _places(hits)
    return (precision * head).sum(1) / _or_nan(total)


def precision_at(hits: Tensor, k: int) -> Tensor:
    """Share of positives among the first k; a list shorter than k counts as filled up with negatives."""
    return torch.where(hits.any(1), hits[:, :k].sum(1).double() / k, torch.nan)


def any_at(hits: Tensor, k: int) -> Tensor:
    """R@k of the retrieval papers: 1 where the first k hold a positive."""
    return torch.where(hits.any(1), hits[:, :k].any(1).double(), torch.nan)


def recall_at(hits: Tensor, k: int) -> Tensor:
    """Positives among the first k over min(R, k)."""
    return hits[:, :k].sum(1) / _or_nan(hits.sum(1)).clamp(max=k)


def exact_level_ap(ranked: Tensor, t: int) -> Tensor:
    """AP#t: the positives agree exactly at t, and the items that agree further are taken out of the ranking."""
    hits, kept = ranked == t, ranked <= t
    precision = hits.cumsum(1).double() / kept.cumsum(1).clamp(min=1)
    return (precision * hits).sum(1) / _or_nan(hits.sum(1))


def ndcg(ranked: Tensor, levels: int, k: int | None = None) -> Tensor:
    """Gains 2^t - 1 discounted by log2(1 + n), over the best order of the *whole* list, both cut at k.

    >>> ndcg(torch.tensor([[2, 1, 0]]), levels=2), ndcg(torch.tensor([[0, 2]]), levels=2)
    (tensor([1.], dtype=torch.float64), tensor([0.6309], dtype=torch.float64))
    """
    discount = 1.0 / torch.log2(_places(ranked) + 1.0)
    if k is not None:
        discount[k:] = 0.0
    gained = torch.cat([discount.new_zeros(1), discount.cumsum(0)])
    dcg = ((torch.exp2(ranked.double()) - 1.0) * discount).sum(1)
    # In the ideal order the items of one agreement stand together: its part is a difference of cumulated discounts.
    ends = level_counts(ranked, levels).flip(1).cumsum(1)
    starts = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], dim=1)
    gain = torch.exp2(torch.arange(levels, -1, -1, dtype=torch.float64, device=ranked.device)) - 1.0
    ideal = ((gained[ends] - gained[starts]) * gain).sum(1)
    return dcg / _or_nan(ideal)


def h_ap(ranked: Tensor, levels: int, alpha: float = 1.0) -> Tensor:
    """H-AP with 'pop' relevances over the ranked list: sum_k Hrank(k)/k / sum rel.

    Hrank(k) = sum_{j<=k} min(rel_k, rel_j).
    Relevances are compared by agreement, one term a level, so that two levels of equal relevance count once each
    (HAPPIER). `ranked` must not count the query itself as an item.

    >>> h_ap(torch.tensor([[0, 1]]), levels=1), h_ap(torch.tensor([[2, 1, 0]]), levels=2)
    (tensor([0.5000], dtype=torch.float64), tensor([1.], dtype=torch.float64))
    """
    relevance = pop_relevance(level_counts(ranked, levels), alpha)
    own = relevance.gather(1, ranked.long())
    hrank = torch.zeros_like(own)
    for level in range(1, levels + 1):
        hrank += (ranked == level).cumsum(1) * torch.minimum(own, relevance[:, level, None])
    return (hrank / _places(ranked)).sum(1) / _or_nan(own.sum(1))


def asi(ranked: Tensor, levels: int) -> Tensor:
    """Average set intersection: mean over n <= |positives| of |S_n and S*_n| / n, by level counts.

    S_n are the first n items and S*_n those of the ideal order.
    """
    counts = level_counts(ranked, levels)
    total = counts[:, 1:].sum(1)
    places = _places(ranked)
    before = torch.zeros_like(total)
    common = torch.zeros(ranked.shape, dtype=torch.float64, device=ranked.device)
    for level in range(levels, 0, -1):
        ideal = (places - before[:, None]).clamp(min=0).minimum(counts[:, level, None])
        common += (ranked == level).cumsum(1).minimum(ideal)
        before = before + counts[:, level]
    inside = places <= total[:, None]
    return (common / places * inside).sum(1) / _or_nan(total)


def boundary_tie(ranked: Tensor, scores: Tensor) -> Tensor:
    """1 where two neighbours have one score and different agreements: there the order by index decides the metric."""
    equal = scores[:, 1:] == scores[:, :-1]
    return (equal & (ranked[:, 1:] != ranked[:, :-1])).any(1).double()
