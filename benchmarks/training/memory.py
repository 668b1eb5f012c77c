"""Cross-batch memory (XBM): the embeddings of the last batches, as a gallery larger than the batch.

    memory = Memory(60_000, dim=512, levels=3).to(device)
    memory.add(embeddings, labels)
    value = loss(embeddings, labels, memory.embeddings, memory.labels)       gallery = memory with the batch in it

or, with gradients on the gallery's side too, before the batch is added:

    value = loss(embeddings, labels, *memory.after(embeddings, labels))      gallery = batch, then memory
    value.backward()
    memory.add(embeddings, labels)

A loss never guesses what its gallery is: it is the batch where none is given, and what is given otherwise. A memory
that happens to hold as many rows as the batch is therefore a gallery like any other (the published code took it for
the batch), and an `add` that wraps overwrites the oldest rows only (the published code overwrote the newest).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hgld.benchmarks.ranking.levels import check_labels
from hgld.foundation.errors import HgldError

STATE = ("size", "seen", "embeddings", "labels")


class Memory:
    """The newest `size` rows of all that was added: a ring of embeddings (size, dim) and labels (size, levels).

    Embeddings are kept in float32 whatever they come as (autocast gives bfloat16, and float64 is rounded), labels in
    int64, both without a graph. Row i ever added, counted from 0, lies in slot i % size. Under torch.distributed let
    every process add the gathered batch; then all hold the same memory.

    >>> memory = Memory(3, dim=1, levels=1)
    >>> memory.add(torch.tensor([[1.0], [2.0]]), torch.tensor([[1], [2]]))
    >>> memory.add(torch.tensor([[3.0], [4.0]]), torch.tensor([[3], [4]]))
    >>> memory.labels.flatten().tolist(), memory.oldest_first()[1].flatten().tolist()
    ([4, 2, 3], [2, 3, 4])
    """

    def __init__(self, size: int, dim: int, levels: int) -> None:
        for name, value in {"size": size, "dim": dim, "levels": levels}.items():
            if value < 1:
                raise HgldError(f"Memory: {name} must be 1 or more, got {value}")
        self.size, self.dim, self.levels = size, dim, levels
        self.seen = 0
        self._embeddings = torch.zeros(size, dim, dtype=torch.float32)
        self._labels = torch.zeros(size, levels, dtype=torch.int64)

    def __len__(self) -> int:
        return min(self.seen, self.size)

    @property
    def embeddings(self) -> Tensor:
        """What is filled, (len, dim) float32 in slot order: a view, nothing is copied.

        Slot order is insertion order until the ring wraps. The next `add` changes the view: where a loss was computed
        on it, run its backward pass first; autograd refuses it afterwards.
        """
        return self._embeddings[: len(self)]

    @property
    def labels(self) -> Tensor:
        """Labels of `embeddings`, row by row: (len, levels) int64, a view."""
        return self._labels[: len(self)]

    def oldest_first(self) -> tuple[Tensor, Tensor]:
        """Copies of embeddings and labels in insertion order."""
        turn = -(self.seen % self.size) if self.seen > self.size else 0
        return self.embeddings.roll(turn, 0), self.labels.roll(turn, 0)

    def after(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A batch followed by the memory: a gallery in which the batch keeps its gradient.

        (B, dim), (B, levels) -> (B + len, dim), (B + len, levels). Call it before `add`, or the batch is in it twice.
        """
        self._check(embeddings, labels)
        return torch.cat([embeddings, self.embeddings]), torch.cat([labels, self.labels])

    @torch.no_grad()
    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        """Put a batch (B, dim), (B, levels) in the place of the oldest rows; of more than `size` rows, the last ones.

        Raises HgldError for another width, other levels, or rows without a label each.
        """
        self._check(embeddings, labels)
        kept = min(len(embeddings), self.size)
        start = (self.seen + len(embeddings) - kept) % self.size
        before_end = min(kept, self.size - start)
        for ring, rows in ((self._embeddings, embeddings.detach()), (self._labels, labels)):
            newest = rows[len(rows) - kept :].to(ring)
            ring[start : start + before_end] = newest[:before_end]
            ring[: kept - before_end] = newest[before_end:]
        self.seen += len(embeddings)

    def to(self, device: torch.device | str) -> Memory:
        """Move to a device, in place; -> itself."""
        self._embeddings, self._labels = self._embeddings.to(device), self._labels.to(device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """Copies of all that a checkpoint needs, on the CPU: numbers and tensors, slots that are empty left out."""
        return {
            "size": self.size,
            "seen": self.seen,
            "embeddings": self.embeddings.to("cpu", copy=True),
            "labels": self.labels.to("cpu", copy=True),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the memory that was saved, bit for bit; HgldError, and no change, when it is of another shape."""
        if missing := [key for key in STATE if key not in state]:
            raise HgldError(f"the saved memory lacks {missing[0]!r}; it must hold {', '.join(STATE)}")
        size, seen, embeddings, labels = (state[key] for key in STATE)
        filled = min(seen, size)
        own = {"size": self.size, "embeddings": (filled, self.dim), "labels": (filled, self.levels)}
        for name, expected in own.items():
            found = tuple(state[name].shape) if isinstance(state[name], Tensor) else state[name]
            if found != expected:
                raise HgldError(
                    f"the saved memory has {name} {found}, this one needs {expected}: use the same settings"
                )
        self.seen = seen
        self._embeddings.zero_()[:filled] = embeddings
        self._labels.zero_()[:filled] = labels

    def _check(self, embeddings: Tensor, labels: Tensor) -> None:
        check_labels(labels, "labels")
        if embeddings.dim() != 2 or embeddings.shape[1] != self.dim:
            raise HgldError(f"this memory holds embeddings (n, {self.dim}); got {tuple(embeddings.shape)}")
        if labels.shape[1] != self.levels:
            raise HgldError(f"this memory holds labels of {self.levels} levels; got {labels.shape[1]}")
        if len(embeddings) != len(labels):
            raise HgldError(f"one row of labels an embedding: got {len(embeddings)} and {len(labels)}")
