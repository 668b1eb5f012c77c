"""Losses on single pairs: Calibration (ROADMAP)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hgld.benchmarks.levels import agreement, reaches
from hgld.benchmarks.rank_losses import gallery_of, known_reduction, similarity
from hgld.benchmarks.settings import strict


@strict
@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Positives above `pos_margin`, negatives below `neg_margin`: the contrastive loss that anchors the scores.

    mean_{>0} relu(pos_margin - s+) + mean_{>0} relu(s- - neg_margin), each mean over the pairs that violate (ROADMAP).
    Call as the rank losses -> scalar >= 0. With reduction="none" (B,): each query's share of the violations, scaled
    such that its mean is the scalar. The cosine is taken of the embeddings normalised once more, as in the published
    code: on unit vectors the value is the same, and the gradient has no component along the embedding.
    """

    pos_margin: float = 0.9
    neg_margin: float = 0.6
    level: int = 0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        known_reduction(self.reduction)

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Value of the loss; see the class for shapes."""
        ref_embeddings, ref_labels = gallery_of(embeddings, labels, ref_embeddings, ref_labels)
        scores = similarity(normalize(embeddings, dim=1), normalize(ref_embeddings, dim=1))
        positive = reaches(agreement(labels, ref_labels), self.level, labels.shape[1])
        pull = torch.relu(self.pos_margin - scores).masked_fill(~positive, 0.0)
        push = torch.relu(scores - self.neg_margin).masked_fill(positive, 0.0)
        share = sum(
            (loss.sum(1) / loss.gt(0).sum().clamp(min=1) for loss in (pull, push)), scores.new_zeros(1)
        )
        return share.sum() if self.reduction == "mean" else share * len(share)
