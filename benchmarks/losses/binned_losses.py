"""Losses that estimate AP from soft histograms of the scores: FastAP and SoftBinAP.

A score is shared out between the two nearest bins by linear interpolation, which is the triangular kernel of both
papers; every bin is then one cut of the ranking. Called as the rank losses (rank_losses.py), on one
level; NaN per query where there is no positive, left out of the mean. Memory O(B N), however many bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hgld.benchmarks.losses.reduction import gallery_of, known_reduction, reduced
from hgld.benchmarks.losses.strict import strict
from hgld.benchmarks.ranking.levels import agreement, reaches
from hgld.benchmarks.ranking.similarity import similarity
from hgld.foundation.errors import HgldError


def soft_histogram(place: Tensor, weight: Tensor, bins: int) -> Tensor:
    """Histogram with linear interpolation between neighbouring bins.

    place (B, N) in bin widths, clamped to 0..bins - 1; weight (B, N) -> (B, bins). Exactly on a bin's middle the
    kernel has a kink and the gradient is the published one: 0, and half the slope in an end bin. It matters, as the
    query's own score is 1 exactly where rounding does not prevent it.

    >>> soft_histogram(torch.tensor([[0.0, 1.25]]), torch.ones(1, 2), bins=3)
    tensor([[1.0000, 0.7500, 0.2500]])
    """
    # maximum and minimum pass half the gradient at a tie, relu none at 0.
    place = torch.minimum(torch.maximum(place, place.new_zeros(())), place.new_tensor(bins - 1.0))
    left = place.detach().nan_to_num(0.0).floor().clamp(max=bins - 2).long()
    right = place - left
    right = torch.where((right == 0) & (left > 0), right.detach(), right)
    near, far = torch.relu(1.0 - right) * weight, torch.relu(right) * weight
    return place.new_zeros(len(place), bins).scatter_add(1, left, near).scatter_add(1, left + 1, far)


def widened(embeddings: Tensor) -> Tensor:
    """The embeddings in float32 at least, so that normalising them is not done in half precision."""
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


@dataclass(frozen=True, kw_only=True)
class _Binned:
    level: int = 0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        known_reduction(self.reduction)

    def _finish(self, ap: Tensor, positives: Tensor, embeddings: Tensor, ref: Tensor) -> Tensor:
        """1 - AP, NaN where there is no positive, reduced."""
        return reduced(torch.where(positives > 0, 1.0 - ap, torch.nan), self.reduction, embeddings, ref)


@strict
@dataclass(frozen=True, kw_only=True)
class FastAP(_Binned):
    """FastAP (Cakir et al., CVPR 2019): 1 - 1/|P| sum_b h+_b H+_b / H_b over squared distances 2 - 2s in [0, 4].

    h+ and H+ are the histogram of the positives and its running sum, H the running sum over all items. Equal to the
    one of pytorch-metric-learning, which has no gallery. When the gallery is the batch the query is not ranked, as
    published: a query alone in its class is undefined.
    """

    num_bins: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_bins < 1:
            raise HgldError(f"FastAP: num_bins must be 1 or more, got {self.num_bins}")

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Value of the loss; see the module for shapes."""
        ref, ref_labels = gallery_of(embeddings, labels, ref_embeddings, ref_labels)
        scores = similarity(normalize(widened(embeddings), dim=1), normalize(widened(ref), dim=1))
        positive = reaches(agreement(labels, ref_labels), self.level, labels.shape[1])
        ranked = torch.ones_like(positive)
        if ref_embeddings is None:
            ranked.fill_diagonal_(False)
        place = (2.0 - 2.0 * scores) * (self.num_bins / 4.0)
        hits = soft_histogram(place, (positive & ranked).to(scores.dtype), self.num_bins + 1)
        items = soft_histogram(place, ranked.to(scores.dtype), self.num_bins + 1).cumsum(1)
        # An empty cut has no hits either: 0 / 1 there, and no NaN in the gradient.
        precision = hits.cumsum(1) / torch.where(items > 0, items, 1.0)
        total = (positive & ranked).sum(1)
        return self._finish((hits * precision).sum(1) / total.clamp(min=1), total, embeddings, ref)


@strict
@dataclass(frozen=True, kw_only=True)
class SoftBinAP(_Binned):
    """AP of scores quantised to `nq` bins between `max` and `min` (Revaud et al., ICCV 2019): 1 - sum_b prec_b rec_b.

    prec_b is the precision of the cut after bin b, rec_b the share of the positives in it. Scores beyond the ends
    belong to the end bins. The embeddings are taken as they are (normalise them).
    """

    nq: int = 20
    min: float = -1.0
    max: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nq < 2 or self.max <= self.min:
            raise HgldError("SoftBinAP: nq must be 2 or more and max above min")

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Value of the loss; see the module for shapes."""
        ref, ref_labels = gallery_of(embeddings, labels, ref_embeddings, ref_labels)
        scores = similarity(embeddings, ref)
        positive = reaches(agreement(labels, ref_labels), self.level, labels.shape[1])
        place = (self.max - scores) * ((self.nq - 1) / (self.max - self.min))
        hits = soft_histogram(place, positive.to(scores.dtype), self.nq)
        items = soft_histogram(place, torch.ones_like(scores), self.nq).cumsum(1)
        precision = hits.cumsum(1) / torch.where(items > 0, items, 1.0)
        total = positive.sum(1)
        # The sum over the bins for |P|, as published: the same value, but on a kink (see soft_histogram) a gradient.
        share = hits / torch.where(total > 0, hits.sum(1), 1.0)[:, None]
        return self._finish((precision * share).sum(1), total, embeddings, ref)
