"""Batches of m images of each of several classes, so that every image has positives in its batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from hgld.foundation.errors import HgldError


class PerClass(Sampler[list[int]]):
    """m images a class, batch_size / m classes a batch; about one pass over the images an epoch.

    labels (n, L), column 0 the finest. Classes are dealt out of one shuffled deck, so that all come up equally often
    (give or take one); a class with fewer than m images repeats them. With `together`, every batch draws half of its
    classes from one class of level 1, which puts hard negatives into the batch (a hierarchical sampler).
    The order depends on seed and epoch only: call `at_epoch` before each.
    """

    def __init__(
        self, labels: Tensor, *, batch_size: int, per_class: int, seed: int, together: bool = False
    ) -> None:
        if batch_size % per_class or batch_size < 2 * per_class:
            raise HgldError(
                f"batch_size {batch_size} must be a multiple of per_class {per_class}, and at least twice as large"
            )
        codes = labels[:, 0]
        self.members = [(codes == code).nonzero().flatten() for code in torch.unique(codes)]
        self.parents = torch.stack(
            [labels[rows[0], -1 if labels.shape[1] == 1 else 1] for rows in self.members]
        )
        self.classes = min(batch_size // per_class, len(self.members))
        if self.classes < 2:
            raise HgldError("the training images show a single landmark: a batch needs at least two")
        self.per_class, self.seed, self.together, self.epoch = per_class, seed, together, 0
        self.batches = max(1, len(codes) // (self.classes * per_class))

    def __len__(self) -> int:
        return self.batches

    def at_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        deck: list[int] = []
        for _ in range(self.batches):
            if len(deck) < self.classes:
                fresh = torch.randperm(len(self.members), generator=generator).tolist()
                deck += [c for c in fresh if c not in deck] + [c for c in fresh if c in deck]
            chosen = self._choose(deck)
            yield [row for c in chosen for row in self._draw(self.members[c], generator)]

    def _choose(self, deck: list[int]) -> list[int]:
        """Take the next classes off the deck; with `together`, half of them kin of the first."""
        chosen = [deck.pop(0)]
        if self.together:
            kin = [c for c in deck if self.parents[c] == self.parents[chosen[0]] and c not in chosen]
            chosen += list(dict.fromkeys(kin))[: self.classes // 2 - 1]
            for c in chosen[1:]:
                deck.remove(c)
        while len(chosen) < self.classes:
            chosen.append(deck.pop(next(at for at, c in enumerate(deck) if c not in chosen)))
        return chosen

    def _draw(self, rows: Tensor, generator: torch.Generator) -> list[int]:
        """M different rows, or all of them over and over."""
        order = torch.randperm(len(rows), generator=generator)
        return [int(rows[order[n % len(rows)]]) for n in range(self.per_class)]


class Share(Sampler[list[tuple[int, int]]]):
    """What one of `world` processes draws of each batch: (row, number), numbered through all batches and epochs.

    A picture's number is the seed of its augmentation: neither the processes nor the workers that share the batches
    change what is drawn, and a class that repeats an image within a batch shows it differently each time.
    """

    def __init__(self, batches: PerClass, rank: int, world: int) -> None:
        size = batches.classes * batches.per_class
        if size % world:
            raise HgldError(f"batches of {size} images cannot be shared by {world} processes evenly")
        self.batches, self.size = batches, size
        self.part = slice(rank * size // world, (rank + 1) * size // world)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.batches.epoch * len(self.batches) * self.size
        for batch in self.batches:
            yield list(zip(batch, range(first, first + self.size), strict=True))[self.part]
            first += self.size
