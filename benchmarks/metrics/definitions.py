"""The metrics, each computed from the positions of the relevant items of a ranking.

Input of each: a `Ranking` of Q queries, and where the metric has one an agreement t (positives agree at t or deeper)
and a cut k. Output (Q,) float64 in [0, 1]; NaN where undefined, that is, where nothing is relevant. In the formulas n
is the rank from 1, b_n is 1 for a positive at n, P(n) the precision at n, R the number of positives of the query.
docs/metrics.md explains the metrics and names their sources.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgld.benchmarks.metrics.ranked_hits import Hits, Ranking, count_up_to, prefix_sums
from hgld.benchmarks.ranking.levels import at_least, pop_relevance


def _or_nan(total: Tensor) -> Tensor:
    """Denominators in float64, NaN where there is nothing to divide by."""
    return torch.where(total > 0, total.double(), torch.nan)


def average_precision(ranking: Ranking, t: int) -> Tensor:
    """AP: 1/R sum_n P(n) b_n over the whole ranking.

    >>> average_precision(Ranking.of(torch.tensor([[1, 0, 1]]), levels=1), t=1)
    tensor([0.8333], dtype=torch.float64)
    """
    hits = ranking.reaching(t)
    return hits.sum(hits.precision) / _or_nan(hits.counts)


def average_precision_at_r(ranking: Ranking, t: int) -> Tensor:
    """mAP@R: 1/R sum_{n <= R} P(n) b_n (Musgrave et al., ECCV 2020)."""
    hits = ranking.reaching(t)
    within = hits.positions < hits.repeat(hits.counts)
    return hits.sum(hits.precision * within) / _or_nan(hits.counts)


def average_precision_at(ranking: Ranking, t: int, k: int) -> Tensor:
    """mAP@k: 1/min(R, k) sum_{n <= k} P(n) b_n; GLDv2's measure for k = 100 (Weyand et al., CVPR 2020)."""
    head = ranking.depth[:, :k] >= t
    precision = head.cumsum(1) * ranking.scales.inverse[:k]
    return (precision * head).sum(1) / _or_nan(ranking.reaching(t).counts).clamp(max=k)


def precision_at(ranking: Ranking, t: int, k: int) -> Tensor:
    """P@k: the fraction of positives among the first k; a list shorter than k counts as padded with negatives."""
    hits = (ranking.depth[:, :k] >= t).sum(1).double()
    return torch.where(ranking.reaching(t).counts > 0, hits / k, torch.nan)


def any_at(ranking: Ranking, t: int, k: int) -> Tensor:
    """R@k of the retrieval papers: 1 if a positive is among the first k, else 0."""
    hit = (ranking.depth[:, :k] >= t).any(1).double()
    return torch.where(ranking.reaching(t).counts > 0, hit, torch.nan)


def recall_at(ranking: Ranking, t: int, k: int) -> Tensor:
    """recall@k: positives among the first k over min(R, k)."""
    return (ranking.depth[:, :k] >= t).sum(1) / _or_nan(ranking.reaching(t).counts).clamp(max=k)


def exact_level_ap(ranking: Ranking, t: int) -> Tensor:
    """AP#t: AP where the positives agree exactly at t, with deeper items removed from the ranking."""
    hits, deeper = ranking.exactly(t), at_least(ranking.depth, t + 1)
    removed = count_up_to(deeper, hits) - hits.repeat(_in_earlier_queries(deeper))
    return hits.sum(hits.hit_number / (hits.positions + 1 - removed)) / _or_nan(hits.counts)


def _in_earlier_queries(chosen: Tensor) -> Tensor:
    """Number of chosen items of all earlier queries: (Q, N) bool -> (Q,)."""
    if len(chosen) == 1:
        return torch.zeros(1, dtype=torch.int64, device=chosen.device)
    counts = chosen.sum(1)
    return counts.cumsum(0) - counts


def ndcg(ranking: Ranking, k: int | None = None) -> Tensor:
    """NDCG, NDCG@k: sum_n (2^t_n - 1) / log2(1 + n) over that sum for the ideal order of the *whole* list, cut at k.

    >>> ndcg(Ranking.of(torch.tensor([[0, 2]]), levels=2))
    tensor([0.6309], dtype=torch.float64)
    """
    discount, discount_sums = ranking.scales.discount, ranking.scales.discount_sums
    if k is None:
        dcg = sum(
            (2.0**t - 1.0) * hits.sum(discount.index_select(0, hits.positions))
            for t in range(1, ranking.levels + 1)
            for hits in [ranking.exactly(t)]
        )
    else:
        dcg = ((torch.exp2(ranking.depth[:, :k].double()) - 1.0) * discount[:k]).sum(1)
    # In the ideal order the items of one agreement are adjacent: their discounts sum to a difference of prefix sums.
    ends = ranking.counts.flip(1).cumsum(1).clamp(max=ranking.depth.shape[1] if k is None else k)
    of_level = torch.diff(discount_sums[ends], dim=1, prepend=torch.zeros_like(discount_sums[ends[:, :1]]))
    gains = torch.exp2(torch.arange(ranking.levels, -1, -1, dtype=torch.float64, device=ends.device)) - 1.0
    return dcg / _or_nan((of_level * gains).sum(1))


def h_ap(ranking: Ranking, alpha: float = 1.0) -> Tensor:
    """H-AP with 'pop' relevances over the ranked list: sum_n Hrank(n)/n / sum rel (HAPPIER, Ramzi et al., ECCV 2022).

    Hrank(n) = sum_{m <= n} min(rel_n, rel_m). A relevance depends on the agreement alone, so the sum is
    sum_{a, b} min(rel_a, rel_b) M_ab with M from `precision_matrix`; two agreements of equal relevance count once each.
    The ranking must not contain the query itself.

    >>> h_ap(Ranking.of(torch.tensor([[0, 1]]), levels=1)), h_ap(Ranking.of(torch.tensor([[2, 1, 0]]), levels=2))
    (tensor([0.5000], dtype=torch.float64), tensor([1.], dtype=torch.float64))
    """
    relevance = pop_relevance(ranking.counts, alpha)
    lower = torch.minimum(relevance[:, 1:, None], relevance[:, None, 1:])
    total = (lower * precision_matrix(ranking)).sum((1, 2))
    return total / _or_nan((relevance * ranking.counts).sum(1))


def precision_matrix(ranking: Ranking) -> Tensor:
    """M_ab = sum over the items of agreement a of (items of agreement b up to its rank n) / n; (Q, L, L) float64.

    Items of a deeper agreement b are rarer than those of a, and the sum is then taken over them: each counts at every
    later item of a, and adds the sum of their 1 / n.

    >>> precision_matrix(Ranking.of(torch.tensor([[2, 1, 1]]), levels=2))[0]
    tensor([[1.1667, 0.8333],
            [0.0000, 1.0000]], dtype=torch.float64)
    """
    levels = range(1, ranking.levels + 1)
    by_level = [ranking.exactly(t) for t in levels]
    table = torch.zeros(
        len(ranking.depth), len(by_level), len(by_level), dtype=torch.float64, device=ranking.depth.device
    )
    for a, shallow in enumerate(by_level):
        table[:, a, a] = shallow.sum(shallow.precision)
        if a + 1 == len(by_level):
            break
        sums = prefix_sums(shallow.inverse)
        ends = sums[shallow.bounds[1:]]
        for b in range(a + 1, len(by_level)):
            deep = by_level[b]
            earlier = shallow.count_up_to(deep)
            table[:, a, b] = deep.sum(deep.repeat(ends) - sums.index_select(0, earlier))
            table[:, b, a] = deep.sum((earlier - deep.repeat(shallow.bounds[:-1])) * deep.inverse)
    return table


def asi(ranking: Ranking) -> Tensor:
    """ASI, average set intersection: mean over n <= R of |S_n and S*_n| / n, by agreement counts (HAPPIER).

    S_n are the first n items, S*_n those of the ideal order, R the number of items with t > 0. The i-th item of an
    agreement is in both from n = max(its rank, the rank of the i-th item of that agreement in the ideal order) on, and
    adds the sum of 1 / n from there.
    """
    total = ranking.counts[:, 1:].sum(1)
    ideal = torch.zeros_like(total)
    value = torch.zeros(len(total), dtype=torch.float64, device=total.device)
    for t in range(ranking.levels, 0, -1):
        hits = ranking.exactly(t)
        value += hits.sum(_in_both(hits, ideal, total))
        ideal = ideal + ranking.counts[:, t]
    return value / _or_nan(total)


def _in_both(hits: Hits, ideal: Tensor, total: Tensor) -> Tensor:
    """For every hit the sum of 1 / n over the ranks n up to R at which it is in both orders, (K,).

    ideal: number of items before the first of these in the ideal order; total: R; both (Q,).
    """
    sums = hits.scales.inverse_sums
    # Both positions count from 0, and are thus the number of ranks before the item counts.
    if hits.queries > 1:
        since = torch.maximum(hits.positions, hits.hit_number.long() - 1 + hits.repeat(ideal))
        end = hits.repeat(total)
        return sums[end] - sums.index_select(0, since.minimum(end))
    # Both ascend: the hits from rank R on, often the most, are the last, and add nothing.
    first, last = int(ideal), int(total)
    count = min(int(torch.searchsorted(hits.flat, last)), last - first)
    since = torch.maximum(hits.flat[:count], torch.arange(first, first + count, device=sums.device))
    values = sums.new_zeros(len(hits.flat))
    torch.sub(sums[last], sums.index_select(0, since), out=values[:count])
    return values


def first_mistake(ranking: Ranking) -> Tensor:
    """Rank, from 0, of the first item of another finest class; NaN where none precedes an item of the query's class.

    >>> first_mistake(Ranking.of(torch.tensor([[2, 1, 2], [2, 2, 0]]), levels=2))
    tensor([1., nan], dtype=torch.float64)
    """
    hits = ranking.reaching(ranking.levels)
    leading = hits.sum((hits.positions + 1 == hits.hit_number).double())
    return torch.where(leading < hits.counts, leading, torch.nan)


def first_mistake_agreement(ranking: Ranking) -> Tensor:
    """Agreement of that item with the query: 0, nothing in common, is the most severe mistake.

    >>> first_mistake_agreement(Ranking.of(torch.tensor([[2, 1, 2], [2, 2, 0]]), levels=2))
    tensor([1., nan], dtype=torch.float64)
    """
    rank = first_mistake(ranking)
    found = ranking.depth.gather(1, rank.nan_to_num().long()[:, None])[:, 0].double()
    return torch.where(rank.isnan(), torch.nan, found)


def boundary_tie(ranking: Ranking) -> Tensor:
    """ties: 1 if two neighbours have equal scores and different agreements, so that the order by index matters."""
    depth, scores = ranking.depth, ranking.scores
    tied = scores[:, 1:] == scores[:, :-1]
    return (tied & (depth[:, 1:] != depth[:, :-1])).any(1).double()
