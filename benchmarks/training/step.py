"""One batch: the embeddings of all processes, ranked against the batch, its mixtures and the memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hgld.benchmarks.training.checkpoint import TrainingState
from hgld.benchmarks.training.distributed import gather
from hgld.benchmarks.training.gradient_caching import cached_backward
from hgld.benchmarks.training.health import Health
from hgld.benchmarks.training.optimisation.update import HALF, Update
from hgld.benchmarks.training.pos_mixup import mixed_gallery
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Train


class TrainingStep:
    """One batch: the embeddings of all processes, ranked against the batch, its mixtures and the memory."""

    def __init__(
        self,
        state: TrainingState,
        update: Update,
        settings: Train,
        targets: Tensor,
        place: tuple[int, int],
        health: Health,
    ) -> None:
        self.update = update
        self.terms, self.memory, self.settings = state.terms, state.memory, settings
        self.targets, (self.epoch, self.step) = targets, place
        self.values: dict[str, float] = {}
        self.health = health

    def backward(self, model: nn.Module, images: Tensor) -> None:
        """Compute the gradients of the weighted sum; `values` then holds the sum and its terms."""
        half = HALF.get(self.settings.precision)
        with torch.autocast(images.device.type, dtype=half or torch.bfloat16, enabled=half is not None):
            if self.settings.chunk:
                chunks = torch.split(images, self.settings.chunk)
                cached_backward(model, chunks, lambda embeddings: self.update.scaled(self.loss(embeddings)))
            else:
                loss = self.update.scaled(self.loss(model(images)))
                with torch.autocast(images.device.type, enabled=False):
                    loss.backward()  # type: ignore[no-untyped-call]

    def loss(self, embeddings: Tensor) -> Tensor:
        """The weighted sum of the losses, a scalar. Raises HgldError when it is not finite."""
        rows, labels = gather(embeddings, self.targets)
        gallery = self.gallery(rows, labels)
        values = {term.name: term.loss(rows, labels, *gallery) for term in self.terms}
        loss = torch.stack([term.weight * values[term.name] for term in self.terms]).sum()
        self.health.observe(values, rows, labels, gallery[1] if gallery else labels)
        self.values = {name: float(value.detach()) for name, value in {"loss": loss, **values}.items()}
        if not bool(loss.detach().isfinite()):
            raise HgldError(
                f"the loss is not finite in epoch {self.epoch + 1}, step {self.step + 1}; "
                f"lower train.lr ({self.settings.lr})"
            )
        if self.memory is not None:
            self.memory.add(rows, labels)
        return loss

    def gallery(self, rows: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """The gallery of the losses: batch, mixtures and memory, in this order; empty for the batch alone."""
        use_memory = self.memory is not None and self.epoch + 1 >= self.settings.memory_from
        if not use_memory and not self.settings.pos_mixup:
            return ()
        gallery, gallery_labels = rows, labels
        if self.settings.pos_mixup:
            # seeded alike on every process
            generator = torch.Generator(rows.device).manual_seed(self.settings.seed + self.step)
            gallery, gallery_labels = mixed_gallery(rows, labels, generator)
        if use_memory and self.memory is not None and len(self.memory):
            gallery, gallery_labels = self.memory.appended_to(gallery, gallery_labels)
        return gallery, gallery_labels
