"""Losses on single pairs and triplets: Calibration, Contrastive, Triplet, XBM's pair loss.

Called as all losses (registry.py); single-level, `level=0`. Contrastive and Triplet are those of
pytorch-metric-learning, here also against a gallery and per query.

The unit is the pair, not the query: where the published value is a mean over the pairs of the whole batch, the value
per query is that query's part of it, scaled such that the mean over the defined queries is the published scalar. A
query without positives still has negatives and counts with them; only Triplet needs a positive, and is NaN without.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss, TripletMarginLoss
from pytorch_metric_learning.reducers import DoNothingReducer
from torch import Tensor
from torch.nn.functional import normalize

from hgld.benchmarks.losses.base import GalleryLoss, Inputs
from hgld.benchmarks.losses.strict import COSINE, LEVEL, MARGIN, strict
from hgld.benchmarks.ranking.duplicates import equalise_duplicates
from hgld.benchmarks.ranking.similarity import similarity

# XBM's pair loss takes a positive with at least this score for the query itself.
OWN_SCORE = 1 - 1e-5
# Two roundings of one unit vector are 1e-7 apart, and the cosine of an angle of 1e-6 is 5e-13 below 1.
SAME = 1e-12


class _PairLoss(GalleryLoss):
    """What the pair losses share: a level, and computing in float32 at least."""

    RANGES: ClassVar = {"level": LEVEL}
    level: int

    def per_query(self, inputs: Inputs) -> Tensor:
        """Value per query (B,), NaN where undefined."""
        embeddings, ref = inputs.embeddings, inputs.ref_embeddings
        wide = torch.promote_types(torch.promote_types(embeddings.dtype, ref.dtype), torch.float32)
        with torch.autocast(embeddings.device.type, enabled=False):
            query = embeddings.to(wide)
            ref = query if ref is embeddings else ref.to(wide)
            return self.values(replace(inputs, embeddings=query, ref_embeddings=ref))

    def values(self, inputs: Inputs) -> Tensor:
        """Value per query (B,) of float32 or float64 inputs; without a gallery both sides are one tensor."""
        raise NotImplementedError


def mean_violation(losses: Tensor, rows: Tensor, queries: int) -> Tensor:
    """The mean over the losses above 0, split by query: losses (M,), rows (M,) the query of each -> (queries,)."""
    total = losses.new_zeros(queries).index_add(0, rows, losses)
    return total / losses.gt(0).sum().clamp(min=1)


def split_library_loss(unreduced: dict[str, Any], embeddings: Tensor) -> Tensor:
    """Sum of the `mean_violation` of every part of an unreduced loss of pytorch-metric-learning -> (B,)."""
    total = embeddings.sum(1) * 0.0 + 0.0  # value 0, never -0, and part of the graph
    for part in unreduced.values():
        if isinstance(part["losses"], Tensor):  # a plain number where there are no pairs
            total = total + mean_violation(part["losses"], part["indices"][0], len(total))
    return total


@strict
class Calibration(_PairLoss):
    """Calibration, a contrastive loss on cosines that anchors the scores (ROADMAP).

    mean_{>0} relu(pos_margin - s+) + mean_{>0} relu(s- - neg_margin), each mean over the pairs that violate. The
    embeddings are normalised again, as in the published code: on unit vectors the value is the same, and the gradient
    has no component along the embedding. Source: Ramzi et al., NeurIPS 2021.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
        pos_margin: cosine that a positive shall reach (-1 to 1).
        neg_margin: cosine that a negative shall not exceed (-1 to 1).
    """

    RANGES: ClassVar = {"pos_margin": COSINE, "neg_margin": COSINE}
    pos_margin: float
    neg_margin: float

    def __init__(
        self, *, reduction: str = "mean", level: int = 0, pos_margin: float = 0.9, neg_margin: float = 0.6
    ) -> None:
        super().__init__(reduction=reduction, level=level, pos_margin=pos_margin, neg_margin=neg_margin)

    def values(self, inputs: Inputs) -> Tensor:
        """Each query's part (B,), never NaN."""
        scores = similarity(normalize(inputs.embeddings, dim=1), normalize(inputs.ref_embeddings, dim=1))
        positive = inputs.positives(self.level)
        pull = torch.relu(self.pos_margin - scores).masked_fill(~positive, 0.0)
        push = torch.relu(scores - self.neg_margin).masked_fill(positive, 0.0)
        parts = (loss.sum(1) / loss.gt(0).sum().clamp(min=1) for loss in (pull, push))
        total = sum(parts, scores.new_zeros(1))
        return total * len(total)


@strict
class Contrastive(_PairLoss):
    """Contrastive loss on the Euclidean distance d of unit vectors, with pytorch-metric-learning's defaults.

    mean_{>0} relu(d+ - pos_margin) + mean_{>0} relu(neg_margin - d-), each mean over the pairs that violate. Neither
    the query nor an exact duplicate of it is a positive: their distance is 0 but computes to 3e-4 in float32 (the root
    of a rounding error), which would count as a violation. Source: Hadsell et al., CVPR 2006.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
        pos_margin: distance that a positive shall not exceed (0 to 2).
        neg_margin: distance that a negative shall reach (0 to 2).
    """

    RANGES: ClassVar = {"pos_margin": MARGIN, "neg_margin": MARGIN}
    pos_margin: float
    neg_margin: float

    def __init__(
        self, *, reduction: str = "mean", level: int = 0, pos_margin: float = 0.0, neg_margin: float = 1.0
    ) -> None:
        super().__init__(reduction=reduction, level=level, pos_margin=pos_margin, neg_margin=neg_margin)

    def values(self, inputs: Inputs) -> Tensor:
        """Each query's part (B,), never NaN."""
        embeddings, ref = inputs.embeddings, inputs.ref_embeddings
        positive = inputs.positives(self.level)
        pulled = positive & ~equal_rows(embeddings, ref)
        pairs = *pulled.nonzero(as_tuple=True), *(~positive).nonzero(as_tuple=True)
        if max(len(index) for index in pairs) == 1:
            # The library ignores a single pair of either kind; the pair twice has the same mean.
            pairs = tuple(index.repeat(2) for index in pairs)
        library = ContrastiveLoss(pos_margin=self.pos_margin, neg_margin=self.neg_margin, reducer=DoNothingReducer())
        unreduced = library(embeddings, inputs.labels[:, 0], pairs, ref, inputs.ref_labels[:, 0])
        return split_library_loss(unreduced, embeddings) * len(embeddings)


@strict
class Triplet(_PairLoss):
    """Triplet margin loss on the cosine: mean_{>0} relu(s- - s+ + margin) over the triplets that violate.

    semihard: for each query its easiest positive, and the hardest negative that is less similar than that; otherwise
    all triplets, of which there are B P N. Computed by pytorch-metric-learning, by default with its
    BatchEasyHardMiner: the query itself is no positive, neither in the batch nor in a gallery that holds it.
    itself=True makes it an ordinary positive, as the three papers do. With `semihard` it is then the easiest positive
    of every query: all negatives below 1 - margin, which are nearly all, have no loss and no gradient. Source:
    Weinberger and Saul, JMLR 2009; mining as in Schroff et al., CVPR 2015.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
        margin: difference of cosines between positive and negative (0 to 2).
        semihard: one mined triplet per query; otherwise all.
        itself: whether the query is a positive of its own.
    """

    RANGES: ClassVar = {"margin": MARGIN}
    margin: float
    semihard: bool
    itself: bool

    def __init__(
        self,
        *,
        reduction: str = "mean",
        level: int = 0,
        margin: float = 0.05,
        semihard: bool = True,
        itself: bool = False,
    ) -> None:
        super().__init__(reduction=reduction, level=level, margin=margin, semihard=semihard, itself=itself)

    def values(self, inputs: Inputs) -> Tensor:
        """Each query's part (B,), NaN for a query without a positive or without a negative."""
        embeddings, ref = inputs.embeddings, inputs.ref_embeddings
        positive = inputs.positives(self.level)
        negative = ~positive
        if not self.itself:
            own = torch.eye(len(ref), dtype=torch.bool, device=ref.device)
            positive = positive & ~(own if ref is embeddings else equal_rows(embeddings, ref))
        with torch.no_grad():
            cosine = similarity(normalize(embeddings, dim=1), normalize(ref, dim=1))
            cosine = equalise_duplicates(cosine, ref)
            triplets = (
                semihard_triplets(cosine, positive, negative) if self.semihard else all_triplets(positive, negative)
            )
        library = TripletMarginLoss(margin=self.margin, distance=CosineSimilarity(), reducer=DoNothingReducer())
        unreduced = library(embeddings, inputs.labels[:, 0], triplets, ref, inputs.ref_labels[:, 0])
        defined = positive.any(1) & negative.any(1)
        return torch.where(defined, split_library_loss(unreduced, embeddings) * defined.sum(), torch.nan)


def equal_rows(embeddings: Tensor, ref: Tensor) -> Tensor:
    """Which pairs are one embedding: the query itself, in a gallery that holds it, and its duplicates. (B, N).

    Up to the rounding of float32, as one of the two may have been normalised before, and the other not.
    """
    query, gallery = (normalize(rows.detach().double(), dim=1) for rows in (embeddings, ref))
    return query @ gallery.T >= 1 - SAME


def all_triplets(positive: Tensor, negative: Tensor) -> tuple[Tensor, ...]:
    """All triplets of two masks (B, N): query, positive, negative, each (M,)."""
    return (positive[:, :, None] & negative[:, None, :]).nonzero(as_tuple=True)


def semihard_triplets(scores: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, ...]:
    """For each query its easiest positive and the hardest negative that scores less, where both exist.

    scores (B, N), two masks (B, N) -> query, positive, negative, each (M,), M <= B.
    """
    if not scores.shape[1]:
        nothing = torch.zeros(0, dtype=torch.long, device=scores.device)
        return nothing, nothing, nothing
    easiest = scores.masked_fill(~positive, -torch.inf)
    best = easiest.amax(1, keepdim=True)
    hardest = scores.masked_fill(~negative | (scores >= best), -torch.inf)
    query = (hardest > -torch.inf).any(1).nonzero()[:, 0]
    return query, easiest[query].argmax(1), hardest[query].argmax(1)


@strict
class XBMPair(_PairLoss):
    """The pair loss of cross-batch memory (Wang et al., CVPR 2020): sums per query, not means.

    sum_{s+ < 1 - 1e-5} (1 - s+) + sum_{s- > margin} s-. The first bound excludes the query itself, and every exact
    duplicate of it.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
        margin: cosine above which a negative counts (-1 to 1).
    """

    RANGES: ClassVar = {"margin": COSINE}
    margin: float

    def __init__(self, *, reduction: str = "mean", level: int = 0, margin: float = 0.5) -> None:
        super().__init__(reduction=reduction, level=level, margin=margin)

    def values(self, inputs: Inputs) -> Tensor:
        """The sums (B,), never NaN."""
        scores = similarity(inputs.embeddings, inputs.ref_embeddings)
        positive = inputs.positives(self.level)
        pull = (1.0 - scores).masked_fill(~(positive & (scores < OWN_SCORE)), 0.0)
        push = scores.masked_fill(positive | (scores <= self.margin), 0.0)
        return (pull + push).sum(1)
