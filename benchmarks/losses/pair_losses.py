"""Losses on single pairs and triplets: Calibration, Contrastive, Triplet, XBM's pair loss.

Called as the rank losses (rank_losses.py); single-level, `level=0`. Contrastive and Triplet are those
of pytorch-metric-learning, here against a gallery too and per query.

The unit is the pair, not the query: where the published value is a mean over the pairs of the whole batch, the value
per query is that query's share, scaled such that the mean over the defined queries is the scalar. A query without
positives still has negatives and counts with them; only Triplet needs a positive, and is NaN for a query without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss, TripletMarginLoss
from pytorch_metric_learning.reducers import DoNothingReducer
from torch import Tensor
from torch.nn.functional import normalize

from hgld.benchmarks.losses.reduction import gallery_of, known_reduction, reduced
from hgld.benchmarks.losses.strict import strict
from hgld.benchmarks.ranking.duplicates import equalised, firsts
from hgld.benchmarks.ranking.levels import agreement, reaches
from hgld.benchmarks.ranking.similarity import similarity

# XBM's pair loss takes a positive of this score for the query itself.
ITSELF = 1 - 1e-5


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """What the pair losses share: a level, a reduction, and the call."""

    level: int = 0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        known_reduction(self.reduction)

    def values(self, embeddings: Tensor, labels: Tensor, ref: Tensor, ref_labels: Tensor) -> Tensor:
        """Value per query (B,), NaN where undefined; `ref` is `embeddings` where the gallery is the batch."""
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
        wide = torch.promote_types(torch.promote_types(embeddings.dtype, ref_embeddings.dtype), torch.float32)
        with torch.autocast(embeddings.device.type, enabled=False):
            query = embeddings.to(wide)
            ref = query if ref_embeddings is embeddings else ref_embeddings.to(wide)
            per_query = self.values(query, labels, ref, ref_labels)
        return reduced(per_query, self.reduction, embeddings, ref_embeddings)


def mean_violation(losses: Tensor, rows: Tensor, queries: int) -> Tensor:
    """The mean over the losses above 0, as shares of the queries whose sum it is.

    losses (M,), rows (M,) the query of each -> (queries,), 0 where a query has none.
    """
    total = losses.new_zeros(queries).index_add(0, rows, losses)
    return total / losses.gt(0).sum().clamp(min=1)


def library_share(found: dict[str, Any], embeddings: Tensor) -> Tensor:
    """`mean_violation` of every part of what the library returns without reducing it -> (B,)."""
    share = embeddings.sum(1) * 0.0 + 0.0  # of value 0, never -0, and in the graph
    for part in found.values():
        if isinstance(part["losses"], Tensor):  # a number where there is nothing to sum
            share = share + mean_violation(part["losses"], part["indices"][0], len(share))
    return share


def without_itself(positive: Tensor, batch: bool) -> Tensor:
    """The mask of the positives (B, N) without the diagonal where the gallery is the batch."""
    return (
        positive & ~torch.eye(len(positive), dtype=torch.bool, device=positive.device) if batch else positive
    )


@strict
@dataclass(frozen=True, kw_only=True)
class Calibration(_Pairs):
    """Positives above `pos_margin`, negatives below `neg_margin`: the contrastive loss that anchors the scores.

    mean_{>0} relu(pos_margin - s+) + mean_{>0} relu(s- - neg_margin), each mean over the pairs that violate (ROADMAP).
    The cosine is taken of the embeddings normalised once more, as in the published code: on unit vectors the value is
    the same, and the gradient has no component along the embedding.
    """

    pos_margin: float = 0.9
    neg_margin: float = 0.6

    def values(self, embeddings: Tensor, labels: Tensor, ref: Tensor, ref_labels: Tensor) -> Tensor:
        """Each query's share (B,), never NaN."""
        scores = similarity(normalize(embeddings, dim=1), normalize(ref, dim=1))
        positive = reaches(agreement(labels, ref_labels), self.level, labels.shape[1])
        pull = torch.relu(self.pos_margin - scores).masked_fill(~positive, 0.0)
        push = torch.relu(scores - self.neg_margin).masked_fill(positive, 0.0)
        share = sum(
            (loss.sum(1) / loss.gt(0).sum().clamp(min=1) for loss in (pull, push)), scores.new_zeros(1)
        )
        return share * len(share)


@strict
@dataclass(frozen=True, kw_only=True)
class Contrastive(_Pairs):
    """Contrastive loss on the Euclidean distance d of unit vectors (pytorch-metric-learning's defaults).

    mean_{>0} relu(d+ - pos_margin) + mean_{>0} relu(neg_margin - d-), each mean over the pairs that violate. The query
    is no positive of itself, nor is an exact copy of it: their distance is 0, but comes out as 3e-4 in float32 (the
    root of a rounding), a violation to the mean.
    """

    pos_margin: float = 0.0
    neg_margin: float = 1.0

    def values(self, embeddings: Tensor, labels: Tensor, ref: Tensor, ref_labels: Tensor) -> Tensor:
        """Each query's share (B,), never NaN."""
        positive = reaches(agreement(labels, ref_labels), self.level, labels.shape[1])
        first = firsts(normalize(torch.cat([embeddings, ref]).detach(), dim=1))
        pulled = positive & (first[: len(embeddings), None] != first[None, len(embeddings) :])
        pairs = *pulled.nonzero(as_tuple=True), *(~positive).nonzero(as_tuple=True)
        if max(len(index) for index in pairs) == 1:
            # The library takes a lone pair of either kind for nothing; twice the pair has the same mean.
            pairs = tuple(index.repeat(2) for index in pairs)
        library = ContrastiveLoss(
            pos_margin=self.pos_margin, neg_margin=self.neg_margin, reducer=DoNothingReducer()
        )
        found = library(embeddings, labels[:, 0], pairs, ref, ref_labels[:, 0])
        return library_share(found, embeddings) * len(embeddings)


@strict
@dataclass(frozen=True, kw_only=True)
class Triplet(_Pairs):
    """Triplet margin loss on the cosine: mean_{>0} relu(s- - s+ + margin) over the triplets that violate.

    semihard: for each query its easiest positive, and the hardest negative that is less similar than that; otherwise
    all triplets, of which there are B P N. As published, and as in the rank losses, the query itself is an ordinary
    positive when the gallery is the batch: semihard then takes it for the easiest, and only negatives above
    1 - margin count. itself=False leaves it out.
    """

    margin: float = 0.05
    semihard: bool = True
    itself: bool = True

    def values(self, embeddings: Tensor, labels: Tensor, ref: Tensor, ref_labels: Tensor) -> Tensor:
        """Each query's share (B,), NaN for a query without a positive or without a negative."""
        positive = reaches(agreement(labels, ref_labels), self.level, labels.shape[1])
        negative = ~positive
        positive = without_itself(positive, ref is embeddings and not self.itself)
        with torch.no_grad():
            cosine = equalised(similarity(normalize(embeddings, dim=1), normalize(ref, dim=1)), ref)
            triplets = semihard(cosine, positive, negative) if self.semihard else every(positive, negative)
        library = TripletMarginLoss(
            margin=self.margin, distance=CosineSimilarity(), reducer=DoNothingReducer()
        )
        found = library(embeddings, labels[:, 0], triplets, ref, ref_labels[:, 0])
        defined = positive.any(1) & negative.any(1)
        return torch.where(defined, library_share(found, embeddings) * defined.sum(), torch.nan)


def every(positive: Tensor, negative: Tensor) -> tuple[Tensor, ...]:
    """All triplets of two masks (B, N): query, positive, negative, each (M,)."""
    return (positive[:, :, None] & negative[:, None, :]).nonzero(as_tuple=True)


def semihard(scores: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each query its easiest positive and the hardest negative that scores less; none where there is none such.

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
@dataclass(frozen=True, kw_only=True)
class XBMPair(_Pairs):
    """The pair loss of cross-batch memory (Wang et al., CVPR 2020): sums a query, not means.

    sum_{s+ < 1 - 1e-5} (1 - s+) + sum_{s- > margin} s-. The first bound leaves the query itself out, and every exact
    copy of it. The scores are those of the embeddings as they are (normalise them).
    """

    margin: float = 0.5

    def values(self, embeddings: Tensor, labels: Tensor, ref: Tensor, ref_labels: Tensor) -> Tensor:
        """The sums (B,), never NaN."""
        scores = similarity(embeddings, ref)
        positive = reaches(agreement(labels, ref_labels), self.level, labels.shape[1])
        pull = (1.0 - scores).masked_fill(~(positive & (scores < ITSELF)), 0.0)
        push = scores.masked_fill(positive | (scores <= self.margin), 0.0)
        return (pull + push).sum(1)
