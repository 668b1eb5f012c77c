"""AP with true ranks and a blackbox gradient (Rolinek et al., CVPR 2020; Vlastelica et al., ICLR 2020).

The forward pass sorts. The backward pass sorts again, with the scores moved along the incoming gradient g, and returns
the difference -(rank(s) - rank(s + lambda g)) / lambda: the gradient of a piecewise linear interpolation of the loss.
It is not linear in g: the same loss with another weight or batch size has another gradient.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from hgld.benchmarks.losses.base import GalleryLoss, Inputs
from hgld.benchmarks.losses.strict import LEVEL, MARGIN, POSITIVE, strict
from hgld.benchmarks.ranking.duplicates import equalise_duplicates
from hgld.benchmarks.ranking.similarity import similarity
from hgld.foundation.errors import HgldError


def normalised_ranks(scores: Tensor) -> Tensor:
    """Rank / N of every item, score descending, then index ascending. (B, N) -> (B, N) in (0, 1].

    >>> normalised_ranks(torch.tensor([[0.1, 0.9, 0.9, 0.3]]))
    tensor([[1.0000, 0.2500, 0.5000, 0.7500]])
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    rank = torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype, device=scores.device)
    return torch.zeros_like(scores).scatter_(1, order, (rank / scores.shape[1]).expand_as(scores))


class BlackboxRank(torch.autograd.Function):
    """`normalised_ranks` with a gradient by interpolation; see the module."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, lambda_val: float) -> Tensor:
        """Ranks (B, N)."""
        ranks = normalised_ranks(scores)
        ctx.lambda_val = lambda_val
        ctx.save_for_backward(scores, ranks)
        return ranks

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Difference of the ranks after and before a step along the gradient."""
        scores, ranks = ctx.saved_tensors
        moved = normalised_ranks(scores + ctx.lambda_val * gradients[0])
        return (moved - ranks) / ctx.lambda_val, None


@strict
class BlackBoxAP(GalleryLoss):
    """1 - AP on one level with blackbox gradients; NaN for a query without positives.

    margin > 0 makes the ranking harder: positives lose and negatives gain margin |noise| / 2, noise standard normal,
    drawn at every call unless `noise` (B, N) is given. The paper uses 0.02; the default is no noise. The sum is divided
    by |P| + 1e-5, as published: a perfect ranking has a loss of 1e-5 / |P|.

    embeddings (B, d), labels (B, L), and a gallery (N, d), (N, L) or none -> scalar; (B,) with reduction="none".

    Args:
        reduction: "mean" over the defined queries, or "none".
        lambda_val: step along the gradient, in units of 1 / gradient: the larger, the smoother (1e-9 to 1e6).
        margin: of the noise, a difference of cosines (0 to 2).
        noise: standard normal numbers (B, N) instead of new ones at every call.
        level: column of the labels that makes a positive, 0 the finest (0 to 63).
    """

    RANGES: ClassVar = {"lambda_val": POSITIVE, "margin": MARGIN, "level": LEVEL}
    lambda_val: float
    margin: float
    noise: Tensor | None
    level: int

    def __init__(
        self,
        *,
        reduction: str = "mean",
        lambda_val: float = 4.0,
        margin: float = 0.0,
        noise: Tensor | None = None,
        level: int = 0,
    ) -> None:
        super().__init__(reduction=reduction, lambda_val=lambda_val, margin=margin, level=level)
        if noise is not None and not isinstance(noise, Tensor):
            raise HgldError(f"BlackBoxAP: noise must be a tensor of the shape of the scores, got {noise!r}")
        if noise is not None and self.margin == 0:
            raise HgldError("BlackBoxAP: noise has no effect with margin 0; set a margin, the paper's is 0.02")
        # a copy, which the caller cannot change; a buffer, which `.to` moves; no part of the state dict
        self.register_buffer("noise", None if noise is None else noise.detach().clone(), persistent=False)

    def per_query(self, inputs: Inputs) -> Tensor:
        """1 - AP (B,). Raises HgldError for noise of another shape than the scores."""
        scores = similarity(inputs.embeddings, inputs.ref_embeddings)
        scores = equalise_duplicates(scores, inputs.ref_embeddings)
        positive = inputs.positives(self.level)
        ranks = BlackboxRank.apply(self._with_margin(scores, positive), self.lambda_val)
        with torch.no_grad():
            ranks_among_positives = normalised_ranks(torch.where(positive, 2.0 - ranks, -ranks))
        total = positive.sum(1)
        precisions = torch.where(positive, ranks_among_positives / ranks, 0.0)
        ap = precisions.sum(1) / (total.to(scores.dtype) + 1e-5)
        return torch.where(total > 0, 1.0 - ap, torch.nan)

    def _with_margin(self, scores: Tensor, positive: Tensor) -> Tensor:
        """The scores with the noise of the margin."""
        if self.margin == 0:
            return scores
        noise = torch.randn_like(scores) if self.noise is None else self.noise.to(scores)
        if noise.shape != scores.shape:
            raise HgldError(f"BlackBoxAP: noise is {tuple(noise.shape)}, the scores {tuple(scores.shape)}")
        return scores - self.margin * noise.abs() * (positive.to(scores.dtype) - 0.5)
