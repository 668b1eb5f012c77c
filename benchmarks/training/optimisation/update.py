"""One step of the optimisers, with gradient clipping, and with the loss scaled for float16."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hgld.benchmarks.models.network import Network
from hgld.benchmarks.training.optimisation.schedules import Schedule
from hgld.foundation.errors import HgldError, reason
from hgld.foundation.settings import Train

HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Update:
    """The step of all optimisers; `scaler` multiplies the loss, so that gradients do not vanish in float16."""

    def __init__(
        self,
        network: Network,
        schedules: Sequence[Schedule],
        settings: Train,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self.network, self.optimisers = network, [schedule.optimiser for schedule in schedules]
        self.clip_norm, self.scaler = settings.clip_norm, scaler

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to backpropagate."""
        return self.scaler.scale(loss) if self.scaler else loss

    def step(self) -> None:
        """Move the weights; a step whose float16 gradients overflow is left out, and the scale halved."""
        # A scaler refuses an optimiser without gradients, such as that of a frozen backbone.
        used = [optimiser for optimiser in self.optimisers if _has_gradients(optimiser)]
        if self.scaler:
            for optimiser in used:
                self.scaler.unscale_(optimiser)
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        for optimiser in used:
            if self.scaler:
                self.scaler.step(optimiser)
            else:
                optimiser.step()
        if self.scaler and used:
            self.scaler.update()


def _has_gradients(optimiser: torch.optim.Optimizer) -> bool:
    return any(weight.grad is not None for group in optimiser.param_groups for weight in group["params"])


def freeze_batchnorm(network: Network) -> None:
    """Keep statistics and affine weights of the backbone's batch norms as they are; after `train(True)`."""
    for module in network.backbone.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval().requires_grad_(False)


def compile_backbone(network: Network) -> None:
    """Compile the part of the backbone that the network calls; keys and weights stay.

    Its first call raises HgldError where torch.compile does not work.
    """
    compiled: Callable[[Tensor], Tensor] = torch.compile(network.backbone.forward_features)

    def checked(pixels: Tensor) -> Tensor:
        try:
            return compiled(pixels)
        except torch._dynamo.exc.TorchDynamoException as error:
            lines = [line for line in str(error).splitlines() if "error:" in line] or [reason(error)]
            raise HgldError(
                f"train.compile: the backbone cannot be compiled here ({lines[0].strip()[:160]}); torch.compile needs "
                "a C++ compiler and the headers of Python; or set it to false"
            ) from None

    network.backbone.forward_features = checked


def set_training_mode(network: Network, settings: Train, epoch: int) -> None:
    """During warm-up the backbone is frozen, with its batch statistics."""
    network.train()
    trainable = epoch >= settings.warmup_epochs
    network.backbone.requires_grad_(trainable).train(trainable)
    if settings.freeze_batchnorm:
        freeze_batchnorm(network)
