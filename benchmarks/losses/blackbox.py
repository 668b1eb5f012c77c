"""AP with true ranks and a blackbox gradient (Rolinek et al., CVPR 2020; Vlastelica et al., ICLR 2020).

The forward pass sorts. The backward pass sorts once more, with the scores moved against the incoming gradient g, and
returns the difference: -(rank(s) - rank(s + lambda g)) / lambda, which is the gradient of a piecewise linear
interpolation of the loss. It is not linear in g: the same loss with another weight or batch size has another gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hgld.benchmarks.losses.reduction import gallery_of, known_reduction, reduced
from hgld.benchmarks.losses.strict import strict
from hgld.benchmarks.ranking.duplicates import equalised
from hgld.benchmarks.ranking.levels import agreement, reaches
from hgld.benchmarks.ranking.similarity import similarity
from hgld.foundation.errors import HgldError


def ranks_of(scores: Tensor) -> Tensor:
    """Rank over N of every item, score descending, then index ascending. (B, N) -> (B, N) in (0, 1].

    >>> ranks_of(torch.tensor([[0.1, 0.9, 0.9, 0.3]]))
    tensor([[1.0000, 0.2500, 0.5000, 0.7500]])
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype, device=scores.device)
    return torch.zeros_like(scores).scatter_(1, order, (place / scores.shape[1]).expand_as(scores))


class BlackboxRank(torch.autograd.Function):
    """`ranks_of`, differentiable by interpolation; see the module."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, lambda_val: float) -> Tensor:
        """Ranks (B, N)."""
        ranks = ranks_of(scores)
        ctx.lambda_val = lambda_val
        ctx.save_for_backward(scores, ranks)
        return ranks

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Difference of the ranks before and after a step against the gradient."""
        scores, ranks = ctx.saved_tensors
        moved = ranks_of(scores + ctx.lambda_val * gradients[0])
        return (moved - ranks) / ctx.lambda_val, None


@strict
@dataclass(frozen=True, kw_only=True, eq=False)
class BlackBoxAP:
    """1 - AP on one level with blackbox gradients. Call as the rank losses; NaN per query without a positive.

    margin > 0 makes the ranking harder: positives lose and others gain margin |noise| / 2, noise standard normal, drawn
    at every call unless `noise` (B, N) is given. The paper uses 0.02; the default has no noise. The sum is divided by
    |P| + 1e-5, as published: a perfect ranking has a loss of 1e-5 / |P|.
    """

    lambda_val: float = 4.0
    margin: float = 0.0
    noise: Tensor | None = None
    level: int = 0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        known_reduction(self.reduction)
        if self.lambda_val <= 0 or self.margin < 0:
            raise HgldError("BlackBoxAP: lambda_val must be above 0 and margin not negative")

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Value of the loss; see the module hgld.benchmarks.losses.rank_losses for shapes."""
        ref, ref_labels = gallery_of(embeddings, labels, ref_embeddings, ref_labels)
        scores = equalised(similarity(embeddings, ref), ref)
        positive = reaches(agreement(labels, ref_labels), self.level, labels.shape[1])
        ranks = BlackboxRank.apply(self._harder(scores, positive), self.lambda_val)
        with torch.no_grad():
            among = ranks_of(torch.where(positive, 2.0 - ranks, -ranks))
        total = positive.sum(1)
        ap = torch.where(positive, among / ranks, 0.0).sum(1) / (total.to(scores.dtype) + 1e-5)
        return reduced(torch.where(total > 0, 1.0 - ap, torch.nan), self.reduction, embeddings, ref)

    def _harder(self, scores: Tensor, positive: Tensor) -> Tensor:
        """The scores with the margin's noise; raises HgldError for noise of another shape."""
        if self.margin == 0:
            return scores
        noise = torch.randn_like(scores) if self.noise is None else self.noise.to(scores)
        if noise.shape != scores.shape:
            raise HgldError(f"BlackBoxAP: noise is {tuple(noise.shape)}, the scores {tuple(scores.shape)}")
        return scores - self.margin * noise.abs() * (positive.to(scores.dtype) - 0.5)
