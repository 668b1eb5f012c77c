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
from typing import ClassVar

from hgld.benchmarks.losses.rank_forms import APLoss, HAPLoss, NDCGLoss, RankLoss, RecallLoss, SmoothRanks, SupRanks
from hgld.benchmarks.losses.strict import Range, strict
from hgld.benchmarks.ranking.surrogates import TAU, SupHRankSettings, SupRank, Surrogate


@strict
class SmoothAP(SmoothRanks, APLoss):
    """Smooth-AP (Brown et al., ECCV 2020): 1 - 1/|P| sum_{i in P} rank+(i) / rank(i), with sigmoids in both ranks.

    P: the items that agree with the query at `level`. embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or
    none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
        tau: temperature of the sigmoid, a difference of cosines (1e-12 to 1e6).
    """

    def __init__(self, *, reduction: str = "mean", level: int = 0, tau: float = TAU) -> None:
        super().__init__(reduction=reduction, level=level, tau=tau)


@strict
class SupAP(SupRanks, APLoss):
    """SupAP (ROADMAP, NeurIPS 2021): 1 - 1/|P| sum_{i in P} rank+(i) / rank(i), with SupRank and the exact rank+.

    P: the items that agree with the query at `level`. embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or
    none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
        tau: temperature of the sigmoid, a difference of cosines (1e-12 to 1e6).
        rho: slope of the linear piece, ranks per unit of cosine (1e-9 to 1e6).
        delta: difference of cosines at which the linear piece starts (0 to 1e6).
        start: ranks added to the sigmoid where the other item is better (0 to 1e6).
        offset: ranks at which the linear piece starts (0 to 1e6); None: where the sigmoid ends.
    """

    def __init__(
        self,
        *,
        reduction: str = "mean",
        level: int = 0,
        tau: float = TAU,
        rho: float = 100.0,
        delta: float = 0.05,
        start: float = 0.5,
        offset: float | None = None,
    ) -> None:
        super().__init__(reduction=reduction, level=level, tau=tau, rho=rho, delta=delta, start=start, offset=offset)


@strict
class SmoothHAP(SmoothRanks, HAPLoss):
    """H-AP (HAPPIER) with sigmoids in both ranks: 1 - sum_i Hrank(i) / rank(i) / sum_i rel_i over all levels.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".
    Source: Ramzi et al., ECCV 2022, eq. 5, with the ranks of Smooth-AP. The relevances: hgld.benchmarks.ranking.levels.

    Args:
        reduction: "mean" over the defined queries, or "none".
        alpha: exponent of the relevance "pop" (0 to 1e6); the larger, the more the fine levels count.
        relevance: "pop", or "map" with weights.
        weights: of the levels for "map", coarsest first, one per level (0 to 1e6, not all 0).
        tau: temperature of the sigmoid, a difference of cosines (1e-12 to 1e6).
    """

    def __init__(
        self,
        *,
        reduction: str = "mean",
        alpha: float = 1.0,
        relevance: str = "pop",
        weights: Sequence[float] | None = None,
        tau: float = TAU,
    ) -> None:
        super().__init__(reduction=reduction, alpha=alpha, relevance=relevance, weights=weights, tau=tau)


@strict
class SupHAP(SupRanks, HAPLoss):
    """SupHAP (HAPPIER, ECCV 2022): 1 - sum_i Hrank(i) / rank(i) / sum_i rel_i over all levels, with SupRank.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".
    Any of beta, leak, gamma turns Hrank into SupHRank (TPAMI 2025); the others are then as published. The other losses
    lack these settings: SupHRank differs from SupRank only in the Hrank of a positive that has deeper ones ahead, which
    AP does not have, and NDCG and recall use no Hrank. The relevances: hgld.benchmarks.ranking.levels.

    Args:
        reduction: "mean" over the defined queries, or "none".
        alpha: exponent of the relevance "pop" (0 to 1e6); the larger, the more the fine levels count.
        relevance: "pop", or "map" with weights.
        weights: of the levels for "map", coarsest first, one per level (0 to 1e6, not all 0).
        tau: temperature of the sigmoid, a difference of cosines (1e-12 to 1e6).
        rho: slope of the linear piece, ranks per unit of cosine (1e-9 to 1e6).
        delta: difference of cosines at which the linear piece starts (0 to 1e6).
        start: ranks added to the sigmoid where the other item is better (0 to 1e6).
        offset: ranks at which the linear piece starts (0 to 1e6); None: where the sigmoid ends.
        beta: slope of h+ where the other item is better, per unit of cosine (0 to 1e6).
        leak: slope of h+ where the other item is worse, per unit of cosine (0 to 1e6).
        gamma: value of h+ just above 0 (0 to 1e6).
    """

    RANGES: ClassVar = dict.fromkeys(("beta", "leak", "gamma"), Range(0, 1e6))
    beta: float | None
    leak: float | None
    gamma: float | None

    def __init__(
        self,
        *,
        reduction: str = "mean",
        alpha: float = 1.0,
        relevance: str = "pop",
        weights: Sequence[float] | None = None,
        tau: float = TAU,
        rho: float = 100.0,
        delta: float = 0.05,
        start: float = 0.5,
        offset: float | None = None,
        beta: float | None = None,
        leak: float | None = None,
        gamma: float | None = None,
    ) -> None:
        h_minus = {"tau": tau, "rho": rho, "delta": delta, "start": start, "offset": offset}
        h_plus = {"beta": beta, "leak": leak, "gamma": gamma}
        super().__init__(reduction=reduction, alpha=alpha, relevance=relevance, weights=weights, **h_minus, **h_plus)

    @property
    def surrogate(self) -> Surrogate:
        """SupRank, with SupHRank's h+ where it is switched on."""
        given = {"beta": self.beta, "leak": self.leak, "gamma": self.gamma}
        stated = {name: value for name, value in given.items() if value is not None}
        return SupRank(**self.suprank(), h_plus=SupHRankSettings(**stated) if stated else None)


@strict
class SmoothNDCG(SmoothRanks, NDCGLoss):
    """NDCG with sigmoids in the rank: 1 - sum_i (2^t_i - 1) / log2(1 + rank(i)) / IDCG, t_i the agreement.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".
    Source: NDCG as in Ramzi et al., TPAMI 2025, with the rank of Smooth-AP.

    Args:
        reduction: "mean" over the defined queries, or "none".
        tau: temperature of the sigmoid, a difference of cosines (1e-12 to 1e6).
    """

    def __init__(self, *, reduction: str = "mean", tau: float = TAU) -> None:
        super().__init__(reduction=reduction, tau=tau)


@strict
class SupNDCG(SupRanks, NDCGLoss):
    """NDCG with SupRank (TPAMI 2025): 1 - sum_i (2^t_i - 1) / log2(1 + rank(i)) / IDCG, t_i the agreement.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        tau: temperature of the sigmoid, a difference of cosines (1e-12 to 1e6).
        rho: slope of the linear piece, ranks per unit of cosine (1e-9 to 1e6).
        delta: difference of cosines at which the linear piece starts (0 to 1e6).
        start: ranks added to the sigmoid where the other item is better (0 to 1e6).
        offset: ranks at which the linear piece starts (0 to 1e6); None: where the sigmoid ends.
    """

    def __init__(
        self,
        *,
        reduction: str = "mean",
        tau: float = TAU,
        rho: float = 100.0,
        delta: float = 0.05,
        start: float = 0.5,
        offset: float | None = None,
    ) -> None:
        super().__init__(reduction=reduction, tau=tau, rho=rho, delta=delta, start=start, offset=offset)


@strict
class SmoothRecall(SmoothRanks, RecallLoss):
    """Recall with sigmoids in the rank: 1 - mean_k sum_{i in P} sigmoid((k - rank(i)) / temp) / min(|P|, k).

    P: the items that agree with the query at `level`. embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or
    none -> scalar; (B,) with reduction="none". Source: recall as in TPAMI 2025, with the rank of Smooth-AP.

    Args:
        reduction: "mean" over the defined queries, or "none".
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
        at_k: the ranks k (each 1 to 1e9).
        temp: temperature of the outer sigmoid, in ranks (1e-12 to 1e6).
        tau: temperature of the sigmoid, a difference of cosines (1e-12 to 1e6).
    """

    def __init__(
        self,
        *,
        reduction: str = "mean",
        level: int = 0,
        at_k: Sequence[int] = (1, 2, 4, 8, 16),
        temp: float = 1.0,
        tau: float = TAU,
    ) -> None:
        super().__init__(reduction=reduction, level=level, at_k=at_k, temp=temp, tau=tau)


@strict
class SupRecall(SupRanks, RecallLoss):
    """Recall with SupRank (TPAMI 2025): 1 - mean_k sum_{i in P} sigmoid((k - rank(i)) / temp) / min(|P|, k).

    P: the items that agree with the query at `level`. embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or
    none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
        at_k: the ranks k (each 1 to 1e9).
        temp: temperature of the outer sigmoid, in ranks (1e-12 to 1e6).
        tau: temperature of the sigmoid, a difference of cosines (1e-12 to 1e6).
        rho: slope of the linear piece, ranks per unit of cosine (1e-9 to 1e6).
        delta: difference of cosines at which the linear piece starts (0 to 1e6).
        start: ranks added to the sigmoid where the other item is better (0 to 1e6).
        offset: ranks at which the linear piece starts (0 to 1e6); None: where the sigmoid ends.
    """

    def __init__(
        self,
        *,
        reduction: str = "mean",
        level: int = 0,
        at_k: Sequence[int] = (1, 2, 4, 8, 16),
        temp: float = 1.0,
        tau: float = TAU,
        rho: float = 100.0,
        delta: float = 0.05,
        start: float = 0.5,
        offset: float | None = None,
    ) -> None:
        h_minus = {"tau": tau, "rho": rho, "delta": delta, "start": start, "offset": offset}
        super().__init__(reduction=reduction, level=level, at_k=at_k, temp=temp, **h_minus)


RANK_LOSSES: dict[str, Callable[..., RankLoss]] = {
    "smooth_ap": SmoothAP,
    "sup_ap": SupAP,
    "smooth_hap": SmoothHAP,
    "sup_hap": SupHAP,
    "smooth_ndcg": SmoothNDCG,
    "sup_ndcg": SupNDCG,
    "smooth_recall": SmoothRecall,
    "sup_recall": SupRecall,
}
