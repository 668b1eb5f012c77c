"""Losses that rank: 1 - AP, H-AP, NDCG or recall, with a surrogate in place of the rank.

The prefix of the name says which: `smooth_` a sigmoid, `sup_` SupRank (formulas and published settings:
hgld.benchmarks.ranking.surrogates). Called as all losses (registry.py); when the gallery is the batch, the query itself
is an ordinary positive. The value is in [0, 1] up to the slack of the surrogate.

A query without a positive is undefined: NaN with reduction="none", left out of the mean; a batch in which no query has
a positive gives 0 with a gradient of 0. Scores and ranks are computed in float32 at least, also under autocast.

Sources: Smooth-AP, Brown et al., ECCV 2020; ROADMAP, Ramzi et al., NeurIPS 2021, arXiv 2110.01445 (SupAP); HAPPIER,
Ramzi et al., ECCV 2022, arXiv 2207.04873 (H-AP); SupRank, Ramzi et al., TPAMI 2025, arXiv 2309.08250 (NDCG, recall, and
SupHRank's h+).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from hgld.benchmarks.losses.base import GalleryLoss, Inputs
from hgld.benchmarks.losses.strict import LEVEL, POSITIVE, TEMPERATURE, Range, is_number, strict
from hgld.benchmarks.ranking.duplicates import equalise_duplicates
from hgld.benchmarks.ranking.levels import MAX_ALPHA, agreement, level_counts, map_relevance, pop_relevance, reaches
from hgld.benchmarks.ranking.rank_score import rank_score
from hgld.benchmarks.ranking.similarity import similarity
from hgld.benchmarks.ranking.surrogates import (
    TAU,
    Smooth,
    SupHRankSettings,
    SupRank,
    SupRankSettings,
    Surrogate,
)
from hgld.foundation.errors import HgldError, suggest


@dataclass(frozen=True, kw_only=True)
class _SmoothRanks:
    RANGES: ClassVar = {"tau": TEMPERATURE}
    tau: float = TAU

    @property
    def surrogate(self) -> Surrogate:
        return Smooth(tau=self.tau)


@dataclass(frozen=True, kw_only=True)
class _SupRanks(SupRankSettings):
    # Scores differ by at most 2: beyond a delta of 2 there is no linear piece.
    RANGES: ClassVar = {
        "tau": TEMPERATURE,
        "rho": POSITIVE,
        **dict.fromkeys(("delta", "start", "offset"), Range(0, 1e6)),
    }

    @property
    def surrogate(self) -> Surrogate:
        return SupRank(**self._suprank())

    def _suprank(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(SupRankSettings)}


@dataclass(frozen=True, kw_only=True)
class _RankLoss(GalleryLoss):
    """What the rank losses share: the scores."""

    @property
    def surrogate(self) -> Surrogate:
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


@dataclass(frozen=True, kw_only=True)
class _AP(_RankLoss):
    """1 - 1/|P| sum_{i in P} rank+(i) / rank(i), P the items that agree with the query at `level`."""

    RANGES: ClassVar = {"level": LEVEL}
    level: int = 0

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        positive = reaches(depth, self.level, levels).to(torch.uint8)
        total = _or_nan(positive.sum(1).to(scores.dtype))
        table = scores.new_tensor([0.0, 1.0]).expand(len(scores), 2)

        def term(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return hrank / rank / total[query]

        return _where_defined(rank_score(scores, positive, self.surrogate, table, term), total)


@strict
@dataclass(frozen=True, kw_only=True)
class SmoothAP(_SmoothRanks, _AP):
    """Smooth-AP on one level (Brown et al., ECCV 2020)."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupAP(_SupRanks, _AP):
    """SupAP on one level (ROADMAP)."""


@dataclass(frozen=True, kw_only=True)
class _HAP(_RankLoss):
    """1 - sum_i Hrank(i) / rank(i) / sum_i rel_i over all levels.

    relevance: "pop" with exponent alpha, or "map" with weights=(w_1, .., w_L), coarsest first (see
    hgld.benchmarks.ranking.levels).
    """

    RANGES: ClassVar = {"alpha": Range(0, MAX_ALPHA)}
    alpha: float = 1.0
    relevance: str = "pop"
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        known = ("pop", "map")
        if self.relevance not in known:
            raise HgldError(f"unknown relevance {self.relevance!r}{suggest(self.relevance, known)}; known: pop, map")
        if (self.relevance == "map") != (self.weights is not None):
            raise HgldError("relevance='map' takes weights=(w_1, .., w_L), coarsest first; 'pop' takes none")
        if self.weights is not None and not _are_weights(self.weights):
            raise HgldError(f"weights must be a list of numbers from 0 to 1e+06, not all 0; got {self.weights!r}")

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
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


@strict
@dataclass(frozen=True, kw_only=True)
class SmoothHAP(_SmoothRanks, _HAP):
    """H-AP with Smooth ranks."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupHAP(_SupRanks, _HAP):
    """SupHAP over all levels (HAPPIER). Any of beta, leak, gamma turns it into SupHRank; the others are as published.

    The other losses lack these settings: SupHRank differs from SupRank only in the Hrank of a positive that has deeper
    ones ahead, which AP does not have, and NDCG and recall use no Hrank.
    """

    RANGES: ClassVar = dict.fromkeys(("beta", "leak", "gamma"), Range(0, 1e6))
    beta: float | None = None
    leak: float | None = None
    gamma: float | None = None

    @property
    def surrogate(self) -> Surrogate:
        """SupRank, with SupHRank's h+ where it is switched on."""
        given = {"beta": self.beta, "leak": self.leak, "gamma": self.gamma}
        stated = {name: value for name, value in given.items() if value is not None}
        return SupRank(**self._suprank(), h_plus=SupHRankSettings(**stated) if stated else None)


@dataclass(frozen=True, kw_only=True)
class _NDCG(_RankLoss):
    """1 - sum_i (2^t_i - 1) / log2(1 + rank(i)) / IDCG over all levels."""

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
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


@strict
@dataclass(frozen=True, kw_only=True)
class SmoothNDCG(_SmoothRanks, _NDCG):
    """NDCG with Smooth ranks."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupNDCG(_SupRanks, _NDCG):
    """NDCG with SupRank ranks."""


@dataclass(frozen=True, kw_only=True)
class _Recall(_RankLoss):
    """1 - mean_k sum_{i in P} sigmoid((k - rank(i)) / temp) / min(|P|, k), P the items that agree at `level`."""

    RANGES: ClassVar = {"level": LEVEL, "at_k": Range(1, 1e9, many=True), "temp": TEMPERATURE}
    level: int = 0
    at_k: tuple[int, ...] = (1, 2, 4, 8, 16)
    temp: float = 1.0

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        positive = reaches(depth, self.level, levels).to(torch.uint8)
        total = _or_nan(positive.sum(1).to(scores.dtype))
        k = torch.tensor(self.at_k, dtype=scores.dtype, device=scores.device)
        max_hits = torch.minimum(total[:, None], k)

        def term(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return (torch.sigmoid((k - rank[:, None]) / self.temp) / max_hits[query]).mean(1)

        return _where_defined(rank_score(scores, positive, self.surrogate, None, term), total)


@strict
@dataclass(frozen=True, kw_only=True)
class SmoothRecall(_SmoothRanks, _Recall):
    """Recall at several ranks with Smooth ranks."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupRecall(_SupRanks, _Recall):
    """Recall at several ranks with SupRank ranks."""


RANK_LOSSES: dict[str, Callable[..., _RankLoss]] = {
    "smooth_ap": SmoothAP,
    "sup_ap": SupAP,
    "smooth_hap": SmoothHAP,
    "sup_hap": SupHAP,
    "smooth_ndcg": SmoothNDCG,
    "sup_ndcg": SupNDCG,
    "smooth_recall": SmoothRecall,
    "sup_recall": SupRecall,
}
