"""What a training is made of: the shape of the network, the terms of the loss, the schedules, the augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from hgld.benchmarks.losses import LOSSES, PROXY_LOSSES, Loss, make_loss
from hgld.benchmarks.models.network import Network, Shape
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.settings import Train


def shape_of(settings: Train) -> Shape:
    """The network's shape; a pretrained backbone brings the mean and deviation of its pixels."""
    stated: dict[str, Any] = {}
    if settings.pretrained and timm.is_model(settings.backbone):
        defaults = timm.get_pretrained_cfg(settings.backbone)
        stated = {"mean": tuple(defaults.mean), "std": tuple(defaults.std)} if defaults else {}
    return Shape(
        backbone=settings.backbone,
        dim=settings.dim,
        pooling=settings.pooling,
        image_size=settings.image_size,
        **stated,
    )


@dataclass(frozen=True)
class Term:
    """One weighted loss of the sum."""

    name: str
    weight: float
    loss: Loss


def check_recipe(settings: Train) -> None:
    """Raise HgldError for settings that do not fit each other, or losses and levels that are not there.

    Done before anything is read.
    """
    if settings.chunk >= settings.batch_size:
        raise HgldError(
            f"train.chunk ({settings.chunk}) must be smaller than train.batch_size ({settings.batch_size}); "
            "0 embeds the batch at once"
        )
    for term in settings.loss:
        if term.name not in LOSSES:
            hint = suggest(term.name, LOSSES) or f"; known: {', '.join(LOSSES)}"
            raise HgldError(f"train.loss: unknown loss {term.name!r}{hint}")
        level = term.settings.get("level", 0)
        if not isinstance(level, int) or not 0 <= level < len(settings.levels):
            last = len(settings.levels) - 1
            raise HgldError(
                f"train.loss: {term.name}: level must be a number from 0 (finest) to {last}; found {level!r}"
            )
        if (settings.memory or settings.pos_mixup) and term.settings.get("itself") is False:
            raise HgldError(
                f"train.loss: {term.name}: itself: false has no meaning against a memory or mixtures, "
                "where the batch is but a part of the gallery; leave one of the two out"
            )


def loss_terms(settings: Train, labels: Tensor, device: str) -> list[Term]:
    """The losses of the settings; those with proxies get the number of classes and the width of the embedding."""
    terms = []
    for term in settings.loss:
        stated: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in term.settings.items()
        }
        if term.name in PROXY_LOSSES:
            level = term.settings.get("level", 0)
            column = labels[:, level if isinstance(level, int) else 0]
            classes = labels if term.name == "csl" else int(column.max()) + 1
            stated = {"num_classes": classes, "dim": settings.dim, "seed": settings.seed, **stated}
        loss = make_loss(term.name, **stated)
        terms.append(Term(term.name, term.weight, loss.to(device) if isinstance(loss, nn.Module) else loss))
    if len({term.name for term in terms}) < len(terms):
        raise HgldError("train.loss names a loss twice; the terms of the sum must differ")
    return terms


class Cosine:
    """An optimiser whose rate falls from `peak` to 0 along half a cosine."""

    def __init__(self, optimiser: torch.optim.Optimizer, peak: float) -> None:
        self.optimiser, self.peak, self.lr = optimiser, peak, peak

    def set(self, at: float) -> None:
        """Set the rate for the share `at` of the training, 0..1."""
        self.lr = self.peak * 0.5 * (1.0 + math.cos(math.pi * at))
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr


def schedules(network: Network, terms: Sequence[Term], settings: Train) -> list[Cosine]:
    """AdamW for the network, and an Adam of its own for the proxies of each loss that has some."""
    weights = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    proxies = [list(term.loss.parameters()) for term in terms if isinstance(term.loss, nn.Module)]
    return [
        Cosine(weights, settings.lr),
        *(Cosine(torch.optim.Adam(each, lr=settings.proxy_lr), settings.proxy_lr) for each in proxies),
    ]


def augmentation(size: int) -> v2.Transform:
    """Light: a crop of most of the image, a mirror, some light. On uint8 tensors (3, H, W)."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.6, 1.0), ratio=(0.85, 1.18), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )
