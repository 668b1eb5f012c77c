"""What the rank losses are composed of: a metric (AP, H-AP, NDCG, recall) and the ranks that it is computed from.

The losses themselves are in rank_losses.py. Scores and ranks are computed in float32 at least, also under autocast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from hgld.benchmarks.losses.base import GalleryLoss, Inputs
from hgld.benchmarks.losses.strict import LEVEL, POSITIVE, TEMPERATURE, Range, is_number
from hgld.benchmarks.ranking.duplicates import equalise_duplicates
from hgld.benchmarks.ranking.levels import MAX_ALPHA, agreement, level_counts, map_relevance, pop_relevance, reaches
from hgld.benchmarks.ranking.rank_score import rank_score
from hgld.benchmarks.ranking.similarity import similarity
from hgld.benchmarks.ranking.surrogates import Smooth, SupRank, Surrogate
from hgld.foundation.errors import HgldError, suggest


class SmoothRanks:
    """Ranks with a sigmoid."""

    RANGES: ClassVar = {"tau": TEMPERATURE}
    tau: float

    @property
    def surrogate(self) -> Surrogate:
        """The sigmoid of the settings."""
        return Smooth(tau=self.tau)


class SupRanks:
    """Ranks with SupRank's h-."""

    # Scores differ by at most 2: beyond a delta of 2 there is no linear piece.
    RANGES: ClassVar = {
        "tau": TEMPERATURE,
        "rho": POSITIVE,
        **dict.fromkeys(("delta", "start", "offset"), Range(0, 1e6)),
    }
    tau: float
    rho: float
    delta: float
    start: float
    offset: float | None

    @property
    def surrogate(self) -> Surrogate:
        """SupRank with the settings."""
        return SupRank(**self.suprank())

    def suprank(self) -> dict[str, Any]:
        """The settings of h- by name."""
        return {name: getattr(self, name) for name in ("tau", "rho", "delta", "start", "offset")}


class RankLoss(GalleryLoss):
    """What the rank losses share: the scores."""

    @property
    def surrogate(self) -> Surrogate:
        """The step functions that replace the rank."""
        raise NotImplementedError

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        """Score per query (B,), NaN where undefined; scores (B, N) and depth (B, N) uint8, the agreement."""
        raise NotImplementedError

    def per_query(self, inputs: Inputs) -> Tensor:
        """1 - score (B,)."""
        depth = agreement(inputs.labels, inputs.ref_labels)
        scores = similarity(inputs.embeddings, inputs.ref_embeddings)
        scores = equalise_duplicates(scores, inputs.ref_embeddings)
        return 1.0 - self.score(scores, depth, inputs.labels.shape[1])


def _or_nan(total: Tensor) -> Tensor:
    """Denominators, NaN where there is nothing to divide by."""
    return torch.where(total > 0, total, torch.nan)


def _where_defined(score: Tensor, total: Tensor) -> Tensor:
    """The scores, NaN where the denominator is; no gradient flows there."""
    return torch.where(total.isnan(), torch.nan, score)


class APLoss(RankLoss):
    """1 - 1/|P| sum_{i in P} rank+(i) / rank(i), P the items that agree with the query at `level`."""

    RANGES: ClassVar = {"level": LEVEL}
    level: int

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        """AP (B,)."""
        positive = reaches(depth, self.level, levels).to(torch.uint8)
        total = _or_nan(positive.sum(1).to(scores.dtype))
        table = scores.new_tensor([0.0, 1.0]).expand(len(scores), 2)

        def term(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return hrank / rank / total[query]

        return _where_defined(rank_score(scores, positive, self.surrogate, table, term), total)


class HAPLoss(RankLoss):
    """1 - sum_i Hrank(i) / rank(i) / sum_i rel_i over all levels."""

    RANGES: ClassVar = {"alpha": Range(0, MAX_ALPHA)}
    alpha: float
    relevance: str
    weights: Sequence[float] | None

    def __init__(self, *, reduction: str, **settings: object) -> None:
        super().__init__(reduction=reduction, **settings)
        known = ("pop", "map")
        if self.relevance not in known:
            raise HgldError(f"unknown relevance {self.relevance!r}{suggest(self.relevance, known)}; known: pop, map")
        if (self.relevance == "map") != (self.weights is not None):
            raise HgldError("relevance='map' takes weights=(w_1, .., w_L), coarsest first; 'pop' takes none")
        if self.weights is not None and not _are_weights(self.weights):
            raise HgldError(f"weights must be a list of numbers from 0 to 1e+06, not all 0; got {self.weights!r}")

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        """H-AP (B,)."""
        counts = level_counts(depth, levels)
        table = pop_relevance(counts, self.alpha) if self.weights is None else map_relevance(counts, self.weights)
        total = _or_nan((table * counts).sum(1))
        # Divided here in float64: a relevance may underflow float32, or be 0 at every level that a query has.
        table = (table / total[:, None]).nan_to_num(0.0).to(scores.dtype)

        def term(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return hrank / rank

        return _where_defined(rank_score(scores, depth, self.surrogate, table, term), total)


def _are_weights(values: object) -> bool:
    """Whether these can be the weights of the levels."""
    if not isinstance(values, Sequence) or not values or not all(map(is_number, values)):
        return False
    return bool(min(values) >= 0 < max(values) <= 1e6)


class NDCGLoss(RankLoss):
    """1 - sum_i (2^t_i - 1) / log2(1 + rank(i)) / IDCG over all levels."""

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        """NDCG (B,)."""
        total = _or_nan(ideal_dcg(level_counts(depth, levels), scores.shape[1])).to(scores.dtype)

        def term(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return (torch.exp2(t.to(rank.dtype)) - 1.0) / torch.log2(1.0 + rank) / total[query]

        return _where_defined(rank_score(scores, depth, self.surrogate, None, term), total)


def ideal_dcg(counts: Tensor, items: int) -> Tensor:
    """DCG of the ideal order, from the number of items with each agreement: (B, L + 1) -> (B,) float64."""
    position = torch.arange(2, items + 2, dtype=torch.float64, device=counts.device)
    discount = torch.cat([position.new_zeros(1), (1.0 / torch.log2(position)).cumsum(0)])
    reaching = counts.flip(1).cumsum(1).flip(1)
    of_level = discount[reaching] - torch.nn.functional.pad(discount[reaching[:, 1:]], (0, 1))
    level = torch.arange(counts.shape[1], dtype=torch.float64, device=counts.device)
    return (of_level * (torch.exp2(level) - 1.0)).sum(1)


class RecallLoss(RankLoss):
    """1 - mean_k sum_{i in P} sigmoid((k - rank(i)) / temp) / min(|P|, k), P the items that agree at `level`."""

    RANGES: ClassVar = {"level": LEVEL, "at_k": Range(1, 1e9, many=True), "temp": TEMPERATURE}
    level: int
    at_k: Sequence[int]
    temp: float

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        """Mean recall (B,)."""
        positive = reaches(depth, self.level, levels).to(torch.uint8)
        total = _or_nan(positive.sum(1).to(scores.dtype))
        k = torch.tensor(self.at_k, dtype=scores.dtype, device=scores.device)
        max_hits = torch.minimum(total[:, None], k)

        def term(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return (torch.sigmoid((k - rank[:, None]) / self.temp) / max_hits[query]).mean(1)

        return _where_defined(rank_score(scores, positive, self.surrogate, None, term), total)
