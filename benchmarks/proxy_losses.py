"""Losses against learned proxies, one or several a class: Cluster (normalised softmax)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hgld.benchmarks.levels import check_labels
from hgld.benchmarks.rank_losses import known_reduction, similarity
from hgld.benchmarks.settings import strict
from hgld.hierarchy.errors import HgldError


@strict
class Cluster(nn.Module):
    """Cross entropy over cosine to the class proxies: CE(e . normalise(W) / temperature).

    `weight` (num_classes * num_centers, dim), class-major, is the learned parameter; give it its own optimiser.
    With several centres a class's logit is sum_c softmax(l / temperature_centers)_c l_c (SoftTriple). The embeddings
    are taken as they are (normalise them), labels (B, L) with column `level` in 0..num_classes-1. A gallery makes no
    difference: the proxies are the gallery. seed fixes the first proxies.
    """

    weight: nn.Parameter

    def __init__(
        self,
        *,
        num_classes: int,
        dim: int,
        temperature: float = 0.05,
        num_centers: int = 1,
        temperature_centers: float = 0.1,
        level: int = 0,
        reduction: str = "mean",
        seed: int = 0,
    ) -> None:
        super().__init__()
        known_reduction(reduction)
        if min(num_classes, dim, num_centers) < 1 or min(temperature, temperature_centers) <= 0:
            raise HgldError("Cluster: num_classes, dim, num_centers must be 1 or more, temperatures above 0")
        self.num_classes, self.num_centers = num_classes, num_centers
        self.temperature, self.temperature_centers = temperature, temperature_centers
        self.level, self.reduction = level, reduction
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(
            torch.randn(num_classes * num_centers, dim, generator=generator) / dim**0.5
        )

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Mean cross entropy, or (B,) with reduction="none"; raises HgldError for a label without a proxy."""
        check_labels(labels, "labels")
        target = labels[:, self.level].long()
        if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < self.num_classes:
            raise HgldError(
                f"Cluster: labels run from {int(target.min())} to {int(target.max())}, "
                f"proxies from 0 to {self.num_classes - 1}"
            )
        cosine = similarity(embeddings, nn.functional.normalize(self.weight, dim=1))
        logits = cosine.reshape(len(cosine), self.num_classes, self.num_centers)
        logits = (torch.softmax(logits / self.temperature_centers, dim=2) * logits).sum(2)
        return nn.functional.cross_entropy(logits / self.temperature, target, reduction=self.reduction)
