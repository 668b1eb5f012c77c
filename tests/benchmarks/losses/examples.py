"""Small batches, and an example of every loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hgld.benchmarks.losses import LOSSES, Loss
from hgld.benchmarks.ranking.similarity import AsGiven

DIM = 8
CLASSES = 8
PROXIES = ("cluster", "csl", "arcface", "proxy_nca")
PAIRS = ("calibration", "contrastive", "xbm_pair")
RANKED = tuple(name for name in LOSSES if name.split("_")[0] in ("smooth", "sup"))
# These are undefined for a query without positives.
NEEDS_POSITIVE = (*RANKED, "soft_bin_ap", "fast_ap", "blackbox_ap", "triplet")


def nested(fine: Tensor, levels: int = 3) -> Tensor:
    """Labels (n, levels) of a binary tree: the class, its parent, its grandparent ..."""
    return torch.stack([fine // 2**column for column in range(levels)], dim=1)


def batch(n: int, levels: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Unit embeddings (n, 8) and nested labels of 8 classes, of unequal sizes."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = nn.functional.normalize(torch.randn(n, DIM, generator=generator, dtype=torch.float64), dim=1)
    return embeddings.to(dtype), nested(torch.randint(0, CLASSES, (n,), generator=generator), levels)


def with_scores(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Query and gallery embeddings whose products are these scores (B, N), which need not be cosines."""
    return scores.as_subclass(AsGiven), torch.eye(scores.shape[1], dtype=scores.dtype)


def example(name: str, levels: int = 3, **settings: Any) -> Loss:
    """The loss of that name for `batch`."""
    if name in PROXIES:
        table = nested(torch.arange(CLASSES), levels)
        settings = {"num_classes": table if name == "csl" else CLASSES, "dim": DIM, **settings}
    return LOSSES[name](**settings)


def gradient(loss: Loss, embeddings: Tensor, *others: Tensor) -> Tensor:
    """Gradient of the loss in its first embeddings."""
    leaf = embeddings.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, *others), leaf)[0]
