"""Batches of m images of each of several classes, so that every image has positives in its batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from hgld.foundation.errors import HgldError


class MPerClassSampler(Sampler[list[int]]):
    """Batches of batch_size / m classes with m images each; an epoch is about one pass over the images.

    labels (n, L), column 0 the finest. Classes are dealt from a shuffled deck, so that their counts differ by at most
    one; a class with fewer than m images repeats them. With `together`, half of the classes of a batch share their
    label at level 1, which yields hard negatives (hierarchical sampling). The order depends only on seed and epoch:
    call `set_epoch` before each epoch. Raises HgldError when the batch size does not fit m or there is only one class.
    """

    def __init__(self, labels: Tensor, *, batch_size: int, per_class: int, seed: int, together: bool = False) -> None:
        if batch_size % per_class or batch_size < 2 * per_class:
            raise HgldError(
                f"batch_size {batch_size} must be a multiple of per_class {per_class}, and at least twice as large"
            )
        classes = labels[:, 0]
        self.members = [(classes == number).nonzero().flatten() for number in torch.unique(classes)]
        parent_level = min(1, labels.shape[1] - 1)
        self.parents = torch.stack([labels[rows[0], parent_level] for rows in self.members])
        self.classes_per_batch = min(batch_size // per_class, len(self.members))
        if self.classes_per_batch < 2:
            raise HgldError("all training images show one landmark; a batch needs at least two")
        self.per_class, self.seed, self.together, self.epoch = per_class, seed, together, 0
        self.images_per_batch = self.classes_per_batch * per_class
        self.batches = max(1, len(classes) // self.images_per_batch)

    def __len__(self) -> int:
        return self.batches

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        deck: list[int] = []
        for _ in range(self.batches):
            if len(deck) < self.classes_per_batch:
                shuffled = torch.randperm(len(self.members), generator=generator).tolist()
                deck += [c for c in shuffled if c not in deck] + [c for c in shuffled if c in deck]
            chosen = self._deal(deck)
            yield [row for c in chosen for row in self._draw(self.members[c], generator)]

    def _deal(self, deck: list[int]) -> list[int]:
        """Remove the next classes from the deck; with `together`, half of them siblings of the first."""
        chosen = [deck.pop(0)]
        if self.together:
            siblings = [c for c in deck if self.parents[c] == self.parents[chosen[0]] and c not in chosen]
            chosen += list(dict.fromkeys(siblings))[: self.classes_per_batch // 2 - 1]
            for c in chosen[1:]:
                deck.remove(c)
        while len(chosen) < self.classes_per_batch:
            chosen.append(deck.pop(next(index for index, c in enumerate(deck) if c not in chosen)))
        return chosen

    def _draw(self, rows: Tensor, generator: torch.Generator) -> list[int]:
        """M different rows; where there are fewer, all of them in turn."""
        order = torch.randperm(len(rows), generator=generator)
        return [int(rows[order[n % len(rows)]]) for n in range(self.per_class)]


class ProcessShard(Sampler[list[tuple[int, int]]]):
    """The slice of every batch that one of `world` processes loads, as (row, draw).

    Draws are numbered through all batches and epochs, and seed the augmentation: it does not depend on the number of
    processes and workers, and an image that occurs twice in a batch is augmented differently. Raises HgldError when
    the batch cannot be divided evenly.
    """

    def __init__(self, batches: MPerClassSampler, rank: int, world: int) -> None:
        size = batches.images_per_batch
        if size % world:
            raise HgldError(
                f"batches of {size} images cannot be divided evenly among {world} processes; change batch_size"
            )
        self.batches = batches
        self.slice = slice(rank * size // world, (rank + 1) * size // world)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        size = self.batches.images_per_batch
        first = self.batches.epoch * len(self.batches) * size
        for batch in self.batches:
            yield list(zip(batch, range(first, first + size), strict=True))[self.slice]
            first += size
