"""Losses that rank: 1 - AP, H-AP, NDCG or recall, with a surrogate for the rank.

Every loss is called as `loss(embeddings, labels)` (the batch is its own gallery; the query itself is an ordinary
positive) or `loss(embeddings, labels, ref_embeddings, ref_labels)`:

    embeddings (B, d) L2-normalised, labels (B, L) integers, column 0 the finest;
    ref_embeddings (N, d), ref_labels (N, L)
    -> scalar in [0, 1] up to the surrogate's slack, or (B,) with reduction="none"

A query without a positive is undefined: NaN with reduction="none", left out of the mean; a batch in which no query has
a positive gives 0 with a gradient of 0. Scores and ranks are computed in float32 at least, also under autocast.

    AP      1 - 1/|P| sum_{i in P} rank+(i) / rank(i)                          on one level
    HAP     1 - sum_i Hrank(i) / rank(i) / sum_i rel_i                         all levels
    NDCG    1 - sum_i (2^t_i - 1) / log2(1 + rank(i)) / IDCG                   all levels
    Recall  1 - mean_k sum_{i in P} sigmoid((k - rank(i)) / temp) / min(|P|, k)  on one level

Smooth and SupRank are the `smooth_` and `sup_` of the names. SupHRank is SupRank with another Hrank where one positive
agrees more than another: settings of `sup_hap` (beta, leak, gamma). With AP, where no positive does, and with NDCG and
recall, which need no Hrank, SupHRank *is* SupRank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from hgld.benchmarks.losses.reduction import gallery_of, known_reduction, reduced
from hgld.benchmarks.losses.strict import is_number, strict
from hgld.benchmarks.ranking.duplicates import equalised
from hgld.benchmarks.ranking.levels import agreement, level_counts, map_relevance, pop_relevance, reaches
from hgld.benchmarks.ranking.rank_score import rank_score
from hgld.benchmarks.ranking.similarity import similarity
from hgld.benchmarks.ranking.surrogates import Smooth, SupRank, Surrogate
from hgld.foundation.errors import HgldError, suggest


@dataclass(frozen=True, kw_only=True)
class _SmoothSettings:
    tau: float = 0.01

    @property
    def surrogate(self) -> Surrogate:
        return Smooth(tau=self.tau)


@dataclass(frozen=True, kw_only=True)
class _SupSettings:
    tau: float = 0.01
    rho: float = 100.0
    delta: float = 0.05
    start: float = 0.5
    offset: float | None = None

    @property
    def surrogate(self) -> Surrogate:
        return SupRank(**{f.name: getattr(self, f.name) for f in fields(_SupSettings)})


@dataclass(frozen=True, kw_only=True)
class _Ranked:
    """What the rank losses share: the call, and the checks of the settings."""

    reduction: str = "mean"

    def __post_init__(self) -> None:
        known_reduction(self.reduction)
        for name in ("offset", "beta", "leak", "gamma"):  # None by default, which says nothing of their kind
            if (value := getattr(self, name, None)) is not None and not is_number(value):
                raise HgldError(f"{type(self).__name__}: {name} must be a number, got {value!r}")
        for name in ("tau", "rho", "temp"):
            if getattr(self, name, 1.0) <= 0:
                raise HgldError(f"{type(self).__name__}: {name} must be above 0, got {getattr(self, name)}")
        if vars(self).get("delta", 0.0) < 0:
            raise HgldError(f"{type(self).__name__}: delta must not be negative, got {vars(self)['delta']}")

    @property
    def surrogate(self) -> Surrogate:
        raise NotImplementedError

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        """Score per query (B,), NaN where undefined; scores and depth are (B, N)."""
        raise NotImplementedError

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Value of the loss; see the module for shapes."""
        ref_embeddings, ref_labels = gallery_of(embeddings, labels, ref_embeddings, ref_labels)
        depth = agreement(labels, ref_labels)
        scores = equalised(similarity(embeddings, ref_embeddings), ref_embeddings)
        score = self.score(scores, depth, labels.shape[1])
        return reduced(1.0 - score, self.reduction, embeddings, ref_embeddings)


@dataclass(frozen=True, kw_only=True)
class _AP(_Ranked):
    level: int = 0

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        positive = reaches(depth, self.level, levels).to(torch.uint8)
        total = _or_nan(positive.sum(1).to(scores.dtype))
        table = scores.new_tensor([0.0, 1.0]).expand(len(scores), 2)

        def share(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return hrank / rank / total[query]

        return _defined(rank_score(scores, positive, self.surrogate, table, share), total)


def _are_weights(values: object) -> bool:
    """Whether these can be the weights of the levels."""
    if not isinstance(values, Sequence) or not values or not all(map(is_number, values)):
        return False
    return bool(min(values) >= 0 < max(values))


@dataclass(frozen=True, kw_only=True)
class _HAP(_Ranked):
    alpha: float = 1.0
    relevance: str = "pop"
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        known = ("pop", "map")
        if self.relevance not in known:
            raise HgldError(
                f"unknown relevance {self.relevance!r}{suggest(self.relevance, known)}; known: pop, map"
            )
        if (self.relevance == "map") != (self.weights is not None):
            raise HgldError("relevance='map' takes weights=(w_1, .., w_L), coarsest first; 'pop' takes none")
        if self.weights is not None and not _are_weights(self.weights):
            raise HgldError(f"weights must be a list of numbers from 0 up, not all 0; got {self.weights!r}")

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        counts = level_counts(depth, levels)
        table = (
            pop_relevance(counts, self.alpha) if self.weights is None else map_relevance(counts, self.weights)
        )
        total = _or_nan((table * counts).sum(1))
        # Divided out here, in float64: a relevance may be too small for float32, or 0 at every level that a query has.
        table = (table / total[:, None]).nan_to_num(0.0).to(scores.dtype)

        def share(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return hrank / rank

        return _defined(rank_score(scores, depth, self.surrogate, table, share), total)


@dataclass(frozen=True, kw_only=True)
class _NDCG(_Ranked):
    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        total = _or_nan(ideal_dcg(level_counts(depth, levels), scores.shape[1])).to(scores.dtype)

        def share(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return (torch.exp2(t.to(rank.dtype)) - 1.0) / torch.log2(1.0 + rank) / total[query]

        return _defined(rank_score(scores, depth, self.surrogate, None, share), total)


def ideal_dcg(counts: Tensor, items: int) -> Tensor:
    """DCG of the best order, from how many items stand at each agreement: (B, L + 1) -> (B,) float64."""
    place = torch.arange(2, items + 2, dtype=torch.float64, device=counts.device)
    discount = torch.cat([place.new_zeros(1), (1.0 / torch.log2(place)).cumsum(0)])
    upto = counts.flip(1).cumsum(1).flip(1)  # items at least as deep
    share = discount[upto] - torch.nn.functional.pad(discount[upto[:, 1:]], (0, 1))
    level = torch.arange(counts.shape[1], dtype=torch.float64, device=counts.device)
    return (share * (torch.exp2(level) - 1.0)).sum(1)


@dataclass(frozen=True, kw_only=True)
class _Recall(_Ranked):
    level: int = 0
    at_k: tuple[int, ...] = (1, 2, 4, 8, 16)
    temp: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.at_k or min(self.at_k) < 1:
            raise HgldError(f"at_k must name at least one rank, each 1 or more; got {self.at_k}")

    def score(self, scores: Tensor, depth: Tensor, levels: int) -> Tensor:
        positive = reaches(depth, self.level, levels).to(torch.uint8)
        total = _or_nan(positive.sum(1).to(scores.dtype))
        k = torch.tensor(self.at_k, dtype=scores.dtype, device=scores.device)
        most = torch.minimum(total[:, None], k)

        def share(query: Tensor, t: Tensor, rank: Tensor, hrank: Tensor) -> Tensor:
            return (torch.sigmoid((k - rank[:, None]) / self.temp) / most[query]).mean(1)

        return _defined(rank_score(scores, positive, self.surrogate, None, share), total)


def _or_nan(total: Tensor) -> Tensor:
    """The denominators, NaN where there is nothing to divide by."""
    return torch.where(total > 0, total, torch.nan)


def _defined(score: Tensor, total: Tensor) -> Tensor:
    """The scores, NaN where the denominator is; no gradient flows there."""
    return torch.where(total.isnan(), torch.nan, score)


@strict
@dataclass(frozen=True, kw_only=True)
class SmoothAP(_SmoothSettings, _AP):
    """Smooth-AP on one level (Brown et al., ECCV 2020)."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupAP(_SupSettings, _AP):
    """SupAP on one level (ROADMAP)."""


@strict
@dataclass(frozen=True, kw_only=True)
class SmoothHAP(_SmoothSettings, _HAP):
    """H-AP with Smooth ranks."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupHAP(_SupSettings, _HAP):
    """SupHAP over all levels (HAPPIER); any of beta, leak, gamma switches SupHRank's h+ on (25, 10, .5 by default)."""

    beta: float | None = None
    leak: float | None = None
    gamma: float | None = None

    @property
    def surrogate(self) -> Surrogate:
        """SupRank, with SupHRank's h+ where it is switched on."""
        rank = {f.name: getattr(self, f.name) for f in fields(_SupSettings)}
        given = (self.beta, self.leak, self.gamma)
        if given == (None, None, None):
            return SupRank(**rank)
        beta, leak, gamma = (
            default if value is None else value
            for value, default in zip(given, (25.0, 10.0, 0.5), strict=True)
        )
        return SupRank(**rank, beta=beta, leak=leak, gamma=gamma)


@strict
@dataclass(frozen=True, kw_only=True)
class SmoothNDCG(_SmoothSettings, _NDCG):
    """NDCG with Smooth ranks."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupNDCG(_SupSettings, _NDCG):
    """NDCG with SupRank ranks."""


@strict
@dataclass(frozen=True, kw_only=True)
class SmoothRecall(_SmoothSettings, _Recall):
    """Recall at several ranks with Smooth ranks."""


@strict
@dataclass(frozen=True, kw_only=True)
class SupRecall(_SupSettings, _Recall):
    """Recall at several ranks with SupRank ranks."""


RANK_LOSSES: dict[str, Callable[..., _Ranked]] = {
    "smooth_ap": SmoothAP,
    "sup_ap": SupAP,
    "smooth_hap": SmoothHAP,
    "sup_hap": SupHAP,
    "smooth_ndcg": SmoothNDCG,
    "sup_ndcg": SupNDCG,
    "smooth_recall": SmoothRecall,
    "sup_recall": SupRecall,
}
