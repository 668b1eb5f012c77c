"""Signs that a training learns nothing: a loss without gradient, equal embeddings, numbers that are not finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hgld.benchmarks.ranking.levels import UNKNOWN
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError

# The largest difference of a coordinate between unit vectors that count as equal; two different pictures of a network
# that works differ by 1e-3 or more.
EQUAL = 1e-5
# A gradient that trains nothing: Adam divides it by its size plus this number. SupAP of a batch without positives has
# 1e-12, from rounding.
NO_GRADIENT = 1e-8


@dataclass
class Health:
    """What is observed in the steps of an epoch; each sign is reported in the first epoch that shows it throughout."""

    idle: set[str] = field(default_factory=set)
    equal: bool = True
    alone: bool = True
    reported: set[str] = field(default_factory=set)

    def start_epoch(self, losses: Iterable[str]) -> None:
        """Begin to observe the losses of these names."""
        self.idle, self.equal, self.alone = set(losses), True, True

    def observe(self, values: Mapping[str, Tensor], rows: Tensor, labels: Tensor, gallery_labels: Tensor) -> None:
        """One step: the losses by name, the batch (n, d), (n, L) they were computed from, and its gallery's labels."""
        self.idle -= {name for name in self.idle if _has_gradient(values[name], rows)}
        self.equal = self.equal and float((rows - rows[:1]).detach().abs().amax()) < EQUAL
        if self.alone:
            # other landmarks of the gallery, and images of unknown ones, are no positives of the batch
            landmarks, gallery = torch.unique(labels[:, 0]), gallery_labels[:, 0]
            gallery = gallery[torch.isin(gallery, landmarks[landmarks != UNKNOWN])]
            self.alone = not bool((torch.unique(gallery, return_counts=True)[1] > 1).any())

    def report(self, epoch: int) -> None:
        """Print what the whole epoch, numbered from 0, has shown and no epoch before."""
        if self.equal:
            self._say(
                f"epoch {epoch + 1}: all images of a batch have the same embedding in every step: the network does not "
                "tell them apart; lower train.lr, or start from pretrained weights",
                "equal",
            )
        if self.alone:
            self._say(
                f"epoch {epoch + 1}: no batch has two images of one landmark, from which the finest level could be "
                "learned; raise train.per_class, or use a memory",
                "alone",
            )
        for name in sorted(self.idle):
            self._say(
                f"epoch {epoch + 1}: the gradient of the loss {name!r} was below {NO_GRADIENT:g} in every step, so it "
                "trains nothing; check its settings (margin, mining), batch_size and per_class (not reported again)",
                f"idle {name}",
            )

    def _say(self, line: str, sign: str) -> None:
        if sign not in self.reported:
            self.reported.add(sign)
            echo(line)


def check_finite(modules: Iterable[nn.Module], epoch: int, lr: float) -> None:
    """Raise HgldError unless all weights and statistics are finite: a finite loss may have a gradient that is not."""
    for module in modules:
        for name, value in module.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise HgldError(f"the weights {name!r} are not finite after epoch {epoch + 1}; lower train.lr ({lr})")


def _has_gradient(value: Tensor, rows: Tensor) -> bool:
    """Whether the gradient of a loss with respect to the embeddings is more than rounding somewhere."""
    if not (value.requires_grad and rows.requires_grad):
        return not rows.requires_grad
    (gradient,) = torch.autograd.grad(value, rows, retain_graph=True, allow_unused=True)
    return gradient is not None and not float(gradient.abs().amax()) < NO_GRADIENT
