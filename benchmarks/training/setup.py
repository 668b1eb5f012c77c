"""What a training is assembled from: architecture, loss terms, optimisers with their schedules, augmentation."""

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
from hgld.benchmarks.models.network import Architecture, Network
from hgld.benchmarks.ranking.levels import UNKNOWN, check_hierarchy
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.settings import Train

MAX_MEMORY_NUMBERS = 2**34  # of the cross-batch memory: 64 GiB


@dataclass(frozen=True)
class WeightedLoss:
    """One weighted term of the training loss."""

    name: str
    weight: float
    loss: Loss


def architecture_of(settings: Train) -> Architecture:
    """The architecture of the settings; a pretrained backbone determines mean and std of the pixels."""
    normalisation: dict[str, Any] = {}
    if settings.pretrained and timm.is_model(settings.backbone):
        defaults = timm.get_pretrained_cfg(settings.backbone)
        normalisation = {"mean": tuple(defaults.mean), "std": tuple(defaults.std)} if defaults else {}
    return Architecture(
        backbone=settings.backbone,
        dim=settings.dim,
        pooling=settings.pooling,
        image_size=settings.image_size,
        **normalisation,
    )


def check_train_settings(settings: Train) -> None:
    """Raise HgldError for unknown losses or levels, and for settings that exclude each other; reads no data."""
    if settings.chunk >= settings.batch_size:
        raise HgldError(
            f"train.chunk ({settings.chunk}) must be smaller than train.batch_size ({settings.batch_size}); "
            "0 embeds the whole batch at once"
        )
    if settings.memory * settings.dim > MAX_MEMORY_NUMBERS:
        raise HgldError(
            f"train.memory ({settings.memory:,}) embeddings of train.dim ({settings.dim:,}) numbers need "
            f"{settings.memory * settings.dim * 4 / 2**30:,.0f} GiB, at most {MAX_MEMORY_NUMBERS * 4 >> 30} are allowed"
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


def contiguous_labels(labels: Tensor) -> Tensor:
    """Renumber every column from 0 without gaps, as proxies require; UNKNOWN stays. (n, L) -> (n, L).

    Raises HgldError for labels whose levels are in the wrong order.
    """
    check_hierarchy(labels, "labels of the train images")
    numbers = torch.stack([torch.unique(column, return_inverse=True)[1] for column in labels.T], dim=1)
    return numbers - (labels == UNKNOWN).any(0).long()  # where it occurs, it is the first


def loss_terms(settings: Train, labels: Tensor, device: str) -> list[WeightedLoss]:
    """The losses of the settings; proxy losses get the number of classes in labels (n, L) and the embedding width."""
    terms = []
    for term in settings.loss:
        arguments: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in term.settings.items()}
        if term.name in PROXY_LOSSES:
            level = term.settings.get("level", 0)
            column = labels[:, level if isinstance(level, int) else 0]
            classes = labels if term.name == "csl" else int(column.max()) + 1
            arguments = {"num_classes": classes, "dim": settings.dim, "seed": settings.seed, **arguments}
        loss = make_loss(term.name, **arguments)
        loss = loss.to(device) if isinstance(loss, nn.Module) else loss
        terms.append(WeightedLoss(term.name, term.weight, loss))
    if len({term.name for term in terms}) < len(terms):
        raise HgldError("train.loss: a loss is named twice; merge the terms into one")
    return terms


class CosineSchedule:
    """An optimiser whose learning rate falls from `peak` to 0 along half a cosine."""

    def __init__(self, optimiser: torch.optim.Optimizer, peak: float) -> None:
        self.optimiser, self.peak, self.lr = optimiser, peak, peak

    def set_progress(self, fraction: float) -> None:
        """Set the learning rate for this fraction of the training, 0..1."""
        self.lr = self.peak * 0.5 * (1.0 + math.cos(math.pi * fraction))
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr


def make_schedules(network: Network, terms: Sequence[WeightedLoss], settings: Train) -> list[CosineSchedule]:
    """AdamW for the network, and a separate Adam for the proxies of each loss that has some."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    proxies = [list(term.loss.parameters()) for term in terms if isinstance(term.loss, nn.Module)]
    return [
        CosineSchedule(optimiser, settings.lr),
        *(CosineSchedule(torch.optim.Adam(weights, lr=settings.proxy_lr), settings.proxy_lr) for weights in proxies),
    ]


def augmentation(size: int) -> v2.Transform:
    """Light augmentation of uint8 tensors (3, H, W): random crop to `size`, horizontal flip, colour jitter."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.6, 1.0), ratio=(0.85, 1.18), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )
