"""Losses that estimate AP from soft histograms of the scores: FastAP and SoftBinAP.

A score is divided between the two nearest bins by linear interpolation, which is the triangular kernel of both papers;
every bin is then one cut of the ranking. Called as all losses (registry.py), on one level; NaN for a query without
positives, which the mean leaves out. Memory O(B N), whatever the number of bins.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hgld.benchmarks.losses.base import GalleryLoss, Inputs
from hgld.benchmarks.losses.strict import COSINE, LEVEL, Range, strict
from hgld.benchmarks.ranking.similarity import similarity
from hgld.foundation.errors import HgldError


def soft_histogram(position: Tensor, weight: Tensor, bins: int) -> Tensor:
    """Histogram with linear interpolation between neighbouring bins.

    position (B, N) in bin widths, clamped to 0..bins - 1; weight (B, N) -> (B, bins). Exactly at a bin's centre the
    kernel has a kink, where the gradient is the published one: 0, and half the slope in an end bin. This matters
    because the query's own score is exactly 1 unless rounding prevents it.

    >>> soft_histogram(torch.tensor([[0.0, 1.25]]), torch.ones(1, 2), bins=3)
    tensor([[1.0000, 0.7500, 0.2500]])
    """
    # At a tie, maximum and minimum pass on half the gradient; relu passes on none at 0.
    position = torch.minimum(torch.maximum(position, position.new_zeros(())), position.new_tensor(bins - 1.0))
    left = position.detach().nan_to_num(0.0).floor().clamp(max=bins - 2).long()
    right = position - left
    right = torch.where((right == 0) & (left > 0), right.detach(), right)
    near, far = torch.relu(1.0 - right) * weight, torch.relu(right) * weight
    return position.new_zeros(len(position), bins).scatter_add(1, left, near).scatter_add(1, left + 1, far)


def _precision(hits: Tensor, items: Tensor) -> Tensor:
    """Precision after each bin, from the histograms (B, bins) of positives and of all items."""
    seen = items.cumsum(1)
    # An empty cut has no hits either: 0 / 1 there, and no NaN in the gradient.
    return hits.cumsum(1) / torch.where(seen > 0, seen, 1.0)


def _as_float32(embeddings: Tensor) -> Tensor:
    """The embeddings in float32 at least, so that they are not normalised in half precision."""
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


@strict
class FastAP(GalleryLoss):
    """FastAP: 1 - 1/|P| sum_b h+_b H+_b / H_b over squared distances 2 - 2s in [0, 4].

    h+ and H+ are the histogram of the positives and its cumulative sum, H the cumulative sum over all items. When the
    gallery is the batch the query is not ranked, as published: a query alone in its class is undefined. Equal to
    pytorch-metric-learning's, which has no gallery. Source: Cakir et al., CVPR 2019.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        num_bins: number of bins, of width 4 / num_bins in the squared distance (1 to 100000).
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
    """

    RANGES: ClassVar = {"num_bins": Range(1, 100_000, whole=True), "level": LEVEL}
    num_bins: int
    level: int

    def __init__(self, *, reduction: str = "mean", num_bins: int = 10, level: int = 0) -> None:
        super().__init__(reduction=reduction, num_bins=num_bins, level=level)

    def per_query(self, inputs: Inputs) -> Tensor:
        """1 - AP (B,)."""
        sides = (_as_float32(side) for side in (inputs.embeddings, inputs.ref_embeddings))
        scores = similarity(*(normalize(side, dim=1) for side in sides))
        positive = inputs.positives(self.level)
        ranked = torch.ones_like(positive)
        if inputs.own_gallery:
            ranked.fill_diagonal_(False)
        position = (2.0 - 2.0 * scores) * (self.num_bins / 4.0)
        hits = soft_histogram(position, (positive & ranked).to(scores.dtype), self.num_bins + 1)
        items = soft_histogram(position, ranked.to(scores.dtype), self.num_bins + 1)
        total = (positive & ranked).sum(1)
        ap = (hits * _precision(hits, items)).sum(1) / total.clamp(min=1)
        return torch.where(total > 0, 1.0 - ap, torch.nan)


@strict
class SoftBinAP(GalleryLoss):
    """AP of scores quantised to `nq` bins between `max` and `min`: 1 - sum_b precision_b recall_b.

    precision_b is that of the cut after bin b, recall_b the fraction of the positives in the bin. Scores beyond the
    ends belong to the end bins. Source: Revaud et al., ICCV 2019.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        nq: number of bins (2 to 100000).
        min: cosine of the last bin (-1 to 1).
        max: cosine of the first bin, above min (-1 to 1).
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
    """

    RANGES: ClassVar = {"nq": Range(2, 100_000, whole=True), "min": COSINE, "max": COSINE, "level": LEVEL}
    nq: int
    min: float
    max: float
    level: int

    def __init__(
        self, *, reduction: str = "mean", nq: int = 20, min: float = -1.0, max: float = 1.0, level: int = 0
    ) -> None:
        super().__init__(reduction=reduction, nq=nq, min=min, max=max, level=level)
        if self.max <= self.min:
            raise HgldError(f"SoftBinAP: max must be above min, got max {self.max} and min {self.min}")

    def per_query(self, inputs: Inputs) -> Tensor:
        """1 - AP (B,)."""
        scores = similarity(inputs.embeddings, inputs.ref_embeddings)
        positive = inputs.positives(self.level)
        position = (self.max - scores) * ((self.nq - 1) / (self.max - self.min))
        hits = soft_histogram(position, positive.to(scores.dtype), self.nq)
        items = soft_histogram(position, torch.ones_like(scores), self.nq)
        precision = _precision(hits, items)
        total = positive.sum(1)
        # Divided by the sum over the bins instead of |P|, as published: the same value, but another gradient at a kink.
        recall = hits / torch.where(total > 0, hits.sum(1), 1.0)[:, None]
        return torch.where(total > 0, 1.0 - (precision * recall).sum(1), torch.nan)
