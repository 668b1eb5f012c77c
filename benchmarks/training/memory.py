"""Cross-batch memory (XBM, Wang et al., CVPR 2020): embeddings of the last batches, a gallery larger than the batch.

    memory = CrossBatchMemory(60_000, dim=512, levels=3).to(device)
    memory.add(embeddings, labels)
    value = loss(embeddings, labels, memory.embeddings, memory.labels)       gallery = memory, batch included

or, with gradients through the gallery as well, before the batch is added:

    value = loss(embeddings, labels, *memory.appended_to(embeddings, labels))      gallery = batch, then memory
    value.backward()
    memory.add(embeddings, labels)

The gallery of a loss is what it is given, and the batch only where nothing is given. A memory with as many rows as the
batch is therefore a gallery like any other (the published code takes it for the batch), and an `add` that wraps
overwrites only the oldest rows (the published code overwrites the newest).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hgld.benchmarks.ranking.levels import check_labels
from hgld.foundation.errors import HgldError

STATE = ("size", "seen", "embeddings", "labels")


class CrossBatchMemory:
    """A ring buffer of the newest `size` rows: embeddings (size, dim) and labels (size, levels).

    Embeddings are stored as float32 (from bfloat16 under autocast, or rounded from float64) and labels as int64, both
    detached. The i-th row added, counted from 0, is in slot i % size. Under torch.distributed every process must add
    the gathered batch; then all hold the same memory. Raises HgldError for a size, dim or levels below 1.

    >>> memory = CrossBatchMemory(3, dim=1, levels=1)
    >>> memory.add(torch.tensor([[1.0], [2.0]]), torch.tensor([[1], [2]]))
    >>> memory.add(torch.tensor([[3.0], [4.0]]), torch.tensor([[3], [4]]))
    >>> memory.labels.flatten().tolist()
    [4, 2, 3]
    """

    def __init__(self, size: int, dim: int, levels: int) -> None:
        for name, value in {"size": size, "dim": dim, "levels": levels}.items():
            if value < 1:
                raise HgldError(f"CrossBatchMemory: {name} must be 1 or more, got {value}")
        self.size, self.dim, self.levels = size, dim, levels
        self.seen = 0
        self._embeddings = torch.zeros(size, dim, dtype=torch.float32)
        self._labels = torch.zeros(size, levels, dtype=torch.int64)

    def __len__(self) -> int:
        return min(self.seen, self.size)

    @property
    def embeddings(self) -> Tensor:
        """The filled slots, (len, dim) float32: a view, not a copy.

        Slot order is insertion order until the buffer wraps. The next `add` modifies the view in place: run the
        backward pass of a loss computed on it first; afterwards autograd raises.
        """
        return self._embeddings[: len(self)]

    @property
    def labels(self) -> Tensor:
        """The labels of `embeddings`, (len, levels) int64: a view."""
        return self._labels[: len(self)]

    def appended_to(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A batch followed by the memory: a gallery in which the batch keeps its gradient.

        (B, dim), (B, levels) -> (B + len, dim), (B + len, levels). Call it before `add`, which would duplicate the
        batch.
        """
        self._check(embeddings, labels)
        return torch.cat([embeddings, self.embeddings]), torch.cat([labels, self.labels])

    @torch.no_grad()
    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        """Overwrite the oldest rows with a batch (B, dim), (B, levels); of more than `size` rows, with the last ones.

        Raises HgldError when width or levels differ, or the numbers of embeddings and labels.
        """
        self._check(embeddings, labels)
        count = min(len(embeddings), self.size)
        start = (self.seen + len(embeddings) - count) % self.size
        before_end = min(count, self.size - start)
        for ring, rows in ((self._embeddings, embeddings.detach()), (self._labels, labels)):
            newest = rows[len(rows) - count :].to(ring)
            ring[start : start + before_end] = newest[:before_end]
            ring[: count - before_end] = newest[before_end:]
        self.seen += len(embeddings)

    def to(self, device: torch.device | str) -> CrossBatchMemory:
        """Move to a device, in place; returns itself."""
        self._embeddings, self._labels = self._embeddings.to(device), self._labels.to(device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs, copied to the CPU: integers and tensors of the filled slots."""
        return {
            "size": self.size,
            "seen": self.seen,
            "embeddings": self.embeddings.to("cpu", copy=True),
            "labels": self.labels.to("cpu", copy=True),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved memory exactly. Raises HgldError, and changes nothing, when keys or shapes do not match."""
        if missing := [key for key in STATE if key not in state]:
            raise HgldError(f"the saved memory lacks {missing[0]!r}; expected {', '.join(STATE)}")
        size, seen, embeddings, labels = (state[key] for key in STATE)
        filled = min(seen, size)
        own = {"size": self.size, "embeddings": (filled, self.dim), "labels": (filled, self.levels)}
        for name, expected in own.items():
            value = tuple(state[name].shape) if isinstance(state[name], Tensor) else state[name]
            if value != expected:
                raise HgldError(
                    f"the saved memory has {name} {value}, this one needs {expected}; use the same settings"
                )
        self.seen = seen
        self._embeddings.zero_()[:filled] = embeddings
        self._labels.zero_()[:filled] = labels

    def _check(self, embeddings: Tensor, labels: Tensor) -> None:
        check_labels(labels, "labels")
        if embeddings.dim() != 2 or embeddings.shape[1] != self.dim:
            raise HgldError(f"expected embeddings (n, {self.dim}) for this memory; got {tuple(embeddings.shape)}")
        if labels.shape[1] != self.levels:
            raise HgldError(f"expected labels of {self.levels} levels for this memory; got {labels.shape[1]}")
        if len(embeddings) != len(labels):
            raise HgldError(f"expected one row of labels per embedding; got {len(embeddings)} and {len(labels)}")
