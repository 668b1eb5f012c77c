"""Batches of m images of each of several classes, so that every image has positives in its batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from hgld.foundation.errors import HgldError


class MPerClassSampler(Sampler[list[int]]):
    """Batches of batch_size / m classes with m images each; an epoch is about one pass over the images.

    labels (n, L), column 0 the finest. Classes are dealt from a shuffled deck, so that their counts differ by at most
    one; a class with fewer than m images repeats them. With `together`, half of the classes of a batch share their
    label at level 1, which yields hard negatives. With `super_classes` = s (hierarchical sampling), the classes of a
    batch are those of s labels at level 1, equally many of each; a label with fewer classes leaves its places to
    another label. The order depends only on seed and epoch: call `set_epoch` before each epoch. Raises HgldError when
    the batch size does not fit, or there is only one class.
    """

    def __init__(
        self,
        labels: Tensor,
        *,
        batch_size: int,
        per_class: int,
        seed: int,
        together: bool = False,
        super_classes: int = 0,
    ) -> None:
        if batch_size % per_class or batch_size < 2 * per_class:
            raise HgldError(
                f"batch_size {batch_size} must be a multiple of per_class {per_class}, and at least twice as large"
            )
        classes, rows = labels[:, 0].sort(stable=True)
        counts = torch.unique_consecutive(classes, return_counts=True)[1]
        self.members: list[list[int]] = [own.tolist() for own in torch.split(rows, counts.tolist())]
        parent_level = min(1, labels.shape[1] - 1)
        self.parents: list[int] = labels[[own[0] for own in self.members], parent_level].tolist()
        self.classes_per_batch = min(batch_size // per_class, len(self.members))
        if self.classes_per_batch < 2:
            raise HgldError("all training images show one landmark; a batch needs at least two")
        self.per_class, self.seed, self.together, self.epoch = per_class, seed, together, 0
        self.images_per_batch = self.classes_per_batch * per_class
        self.batches = max(1, len(classes) // self.images_per_batch)
        self.super_classes = super_classes
        if super_classes:
            _check_super_classes(super_classes, batch_size // per_class, labels.shape[1], together)
        self.children: dict[int, list[int]] = {}
        for number, parent in enumerate(self.parents):
            self.children.setdefault(parent, []).append(number)

    def __len__(self) -> int:
        return self.batches

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        deck = _Deck([], self.parents)
        for _ in range(self.batches):
            if len(deck) < self.classes_per_batch:
                shuffled = torch.randperm(len(self.members), generator=generator).tolist()
                left = list(deck)
                there = set(left)
                fresh = [c for c in shuffled if c not in there]
                deck = _Deck([*left, *fresh, *(c for c in shuffled if c in there)], self.parents)
            chosen = self._families(deck, generator) if self.super_classes else self._deal(deck)
            yield [row for c in chosen for row in self._draw(self.members[c], generator)]

    def _deal(self, deck: _Deck) -> list[int]:
        """Remove the next classes from the deck; with `together`, half of them siblings of the first."""
        chosen = [deck.next_except(())]
        if self.together:
            chosen += deck.siblings(chosen[0], self.classes_per_batch // 2 - 1, chosen)
        taken = set(chosen)
        while len(chosen) < self.classes_per_batch:
            chosen.append(deck.next_except(taken))
            taken.add(chosen[-1])
        return chosen

    def _families(self, deck: _Deck, generator: torch.Generator) -> list[int]:
        """The next classes by families: siblings from the deck, then siblings that were dealt before."""
        chosen: list[int] = []
        size = max(2, self.classes_per_batch // self.super_classes)
        while len(chosen) < self.classes_per_batch:
            places = min(size, self.classes_per_batch - len(chosen))
            family = [deck.next_except(chosen)]
            family += deck.siblings(family[0], places - 1, [*chosen, *family])
            if len(family) < places:
                taken = {*chosen, *family}
                others = [c for c in self.children[self.parents[family[0]]] if c not in taken]
                order = torch.randperm(len(others), generator=generator).tolist()
                family += [others[n] for n in order[: places - len(family)]]
            chosen += family
        return chosen

    def _draw(self, rows: list[int], generator: torch.Generator) -> list[int]:
        """M different rows; where there are fewer, all of them in turn."""
        drawn = [rows[n] for n in torch.randperm(len(rows), generator=generator)[: self.per_class].tolist()]
        while len(drawn) < self.per_class:
            drawn += drawn[: self.per_class - len(drawn)]
        return drawn


def _check_super_classes(count: int, classes: int, levels: int, together: bool) -> None:
    if together:
        raise HgldError("train.together and train.super_classes exclude each other; set one of them")
    if levels < 2:
        raise HgldError("train.super_classes needs labels of two levels or more; set it to 0")
    if classes % count or classes < 2 * count:
        raise HgldError(
            f"train.super_classes {count} must divide the {classes} classes of a batch (batch_size / per_class) into "
            "families of two or more"
        )


class _Deck:
    """Classes in the order in which they are dealt; every operation takes constant time on average."""

    def __init__(self, classes: list[int], parents: list[int]) -> None:
        self._classes, self._parents = classes, parents
        self._there = [True] * len(classes)
        self._first, self._left = 0, len(classes)
        self._families: dict[int, deque[int]] = {}
        for position, c in enumerate(classes):
            self._families.setdefault(parents[c], deque()).append(position)

    def __len__(self) -> int:
        return self._left

    def __iter__(self) -> Iterator[int]:
        return (c for c, there in zip(self._classes, self._there, strict=True) if there)

    def _take(self, position: int) -> int:
        self._there[position] = False
        self._left -= 1
        while self._first < len(self._there) and not self._there[self._first]:
            self._first += 1
        return self._classes[position]

    def next_except(self, chosen: Collection[int]) -> int:
        """Remove the first class that is not among the chosen ones."""
        position = self._first
        while not self._there[position] or self._classes[position] in chosen:
            position += 1
        return self._take(position)

    def siblings(self, of: int, count: int, chosen: Iterable[int]) -> list[int]:
        """Remove up to `count` different classes with the parent of the class `of` that are not among the chosen."""
        family, without = self._families[self._parents[of]], set(chosen)
        found: list[int] = []
        while family and not self._there[family[0]]:
            family.popleft()
        for position in family:
            if len(found) >= count:
                break
            if self._there[position] and self._classes[position] not in without:
                found.append(self._take(position))
                without.add(found[-1])
        return found


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
