"""What a training is assembled from: architecture, loss terms, optimisers, augmentation; and whether they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor
from torchvision.transforms import v2

from hgld.benchmarks.losses import LOSSES, PROXY_LOSSES, Loss, make_loss
from hgld.benchmarks.metrics import parse
from hgld.benchmarks.models.network import Architecture, Network, build_network
from hgld.benchmarks.ranking.levels import UNKNOWN, check_hierarchy
from hgld.benchmarks.training.monitoring.loggers import check_loggers
from hgld.benchmarks.training.monitoring.validation import validation_metrics
from hgld.benchmarks.training.optimisation import schedules
from hgld.benchmarks.training.optimisation.schedules import Schedule
from hgld.benchmarks.training.sampler import MPerClassSampler
from hgld.foundation.errors import HgldError, lacks_memory, reason, suggest
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


def initial_network(settings: Train) -> Network:
    """The network before training. Raises HgldError where the pretrained weights cannot be fetched."""
    architecture = architecture_of(settings)
    if not settings.pretrained:
        return build_network(architecture, seed=settings.seed)
    try:
        return build_network(architecture, seed=settings.seed, pretrained=True)
    except HgldError:
        raise
    except Exception as error:  # of the hub's library, of the network, or of the file: no common class
        if lacks_memory(error):
            raise
        raise HgldError(
            f"the pretrained weights of {settings.backbone!r} cannot be fetched ({reason(error)[:160]}); check the "
            "connection, or train from scratch with train.pretrained: false"
        ) from None


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
    _check_combinations(settings)
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


def _check_combinations(settings: Train) -> None:
    """Raise HgldError for settings of schedules, validation and loggers that cannot have an effect."""
    if settings.milestones and settings.milestones != sorted(set(settings.milestones)):
        raise HgldError(f"train.milestones {settings.milestones} must be in ascending order, each once")
    parts = (settings.schedule, settings.head.schedule, settings.proxies.schedule)
    if ("multistep" in parts) != bool(settings.milestones):
        raise HgldError("train.milestones are the epochs of a schedule `multistep`: set both, or neither")
    if settings.best_metric == "ties":
        raise HgldError("train.best_metric must be a score of which more is better, such as H-AP; found 'ties'")
    for name in validation_metrics(settings, len(settings.levels)):
        parse(name, len(settings.levels))
    if settings.patience and not settings.validate_every:
        raise HgldError("train.patience needs a validation: set train.validate_every, or patience to 0")
    if settings.validation_split and not settings.validate_every:
        raise HgldError("train.validation_split needs a validation: set train.validate_every, or leave the split out")
    check_loggers(settings.loggers)


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
        terms.append(WeightedLoss(term.name, term.weight, make_loss(term.name, **arguments).to(device)))
    if len({term.name for term in terms}) < len(terms):
        raise HgldError("train.loss: a loss is named twice; merge the terms into one")
    return terms


def make_schedules(network: Network, terms: Sequence[WeightedLoss], settings: Train) -> list[Schedule]:
    """The optimisers of the network and of the proxies, with their learning rates (optimisation/schedules.py)."""
    return schedules.make_schedules(network, [term.loss for term in terms], settings)


def make_sampler(labels: Tensor, settings: Train) -> MPerClassSampler:
    """The batches that the settings ask for."""
    return MPerClassSampler(
        labels,
        batch_size=settings.batch_size,
        per_class=settings.per_class,
        seed=settings.seed,
        together=settings.together,
        super_classes=settings.super_classes,
    )


def augmentation(size: int) -> v2.Transform:
    """Light augmentation of uint8 tensors (3, H, W): random crop to `size`, horizontal flip, colour jitter."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.6, 1.0), ratio=(0.85, 1.18), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )
