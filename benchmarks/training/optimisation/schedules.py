"""The optimisers of backbone, head and proxies, each with its learning rate over the training.

    cosine      peak · (1 + cos(π · progress)) / 2             progress from 0 to 1 over all epochs
    multistep   peak · gamma ^ (number of milestones passed)   milestones in epochs
    constant    peak

During the first `lr_warmup` epochs the rate is multiplied by a factor that rises linearly from 0 to 1. Where a part is
not set, the head is trained with the backbone, and the proxies of each loss by Adam with `proxy_lr` and without decay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from hgld.benchmarks.models.network import Network
from hgld.foundation.settings import Train
from hgld.foundation.train_settings import OptimiserName, PartOptimiser, ScheduleName


@dataclass
class Schedule:
    """An optimiser and its learning rate: `peak` by the schedule of `settings`; `lr` is the one that is set."""

    optimiser: torch.optim.Optimizer
    peak: float
    kind: ScheduleName
    settings: Train
    name: str = "lr"

    def __post_init__(self) -> None:
        self.lr = self.peak

    def set_progress(self, fraction: float) -> None:
        """Set the learning rate for this fraction of the training, 0..1."""
        self.lr = self.peak * self._factor(fraction)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr

    def _factor(self, fraction: float) -> float:
        settings = self.settings
        epoch = fraction * settings.epochs
        factor = 1.0
        if self.kind == "cosine":
            factor = 0.5 * (1.0 + math.cos(math.pi * fraction))
        elif self.kind == "multistep":
            # 1e-9: an epoch computed as a fraction may be a rounding below its whole number
            factor = settings.gamma ** sum(epoch + 1e-9 >= milestone for milestone in settings.milestones)
        return factor * min(1.0, epoch / settings.lr_warmup) if settings.lr_warmup else factor


def make_schedules(network: Network, losses: Iterable[object], settings: Train) -> list[Schedule]:
    """One optimiser for the network, or two where the head has its own, and one for the proxies of each loss."""
    head = settings.head
    schedules = []
    if head == PartOptimiser():
        parts: list[tuple[str, Sequence[nn.Parameter], PartOptimiser]] = [("lr", list(network.parameters()), head)]
    else:
        backbone = list(network.backbone.parameters())
        own = {id(weight) for weight in backbone}
        others = [weight for weight in network.parameters() if id(weight) not in own]
        parts = [("lr", backbone, PartOptimiser()), ("lr_head", others, head)]
    for name, weights, part in parts:
        peak = part.lr or settings.lr
        decay = settings.weight_decay if part.weight_decay is None else part.weight_decay
        optimiser = make_optimiser(part.optimiser or settings.optimiser, weights, peak, decay, settings.momentum)
        schedules.append(Schedule(optimiser, peak, part.schedule or settings.schedule, settings, name))
    part = settings.proxies
    for loss in losses:
        weights = list(loss.parameters()) if isinstance(loss, nn.Module) else []
        if weights:
            peak = part.lr or settings.proxy_lr
            optimiser = make_optimiser(
                part.optimiser or "adam", weights, peak, part.weight_decay or 0.0, settings.momentum
            )
            schedules.append(Schedule(optimiser, peak, part.schedule or settings.schedule, settings, "lr_proxies"))
    return schedules


def make_optimiser(
    name: OptimiserName, weights: Sequence[nn.Parameter], lr: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """Torch's optimiser of that name."""
    if name == "sgd":
        return torch.optim.SGD(weights, lr=lr, weight_decay=weight_decay, momentum=momentum)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(weights, lr=lr, weight_decay=weight_decay)
