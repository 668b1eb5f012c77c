"""The cross-batch memory: against a deque, through checkpoints, and as the gallery of a loss."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.foundation.errors import HgldError


def numbered(first: int, count: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Rows that hold their own number: embeddings (count, 2), labels (count, 3)."""
    rows = torch.arange(first, first + count)
    return torch.stack([rows, -rows], dim=1).to(dtype), torch.stack([rows, rows // 2, rows // 4], dim=1)


def unit(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Unit embeddings (n, 8) float64 and nested labels (n, 3)."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.nn.functional.normalize(torch.randn(n, 8, generator=generator, dtype=torch.float64), dim=1)
    fine = torch.randint(0, 6, (n,), generator=generator)
    return embeddings, torch.stack([fine, fine // 2, fine // 4], dim=1)


def oldest_first(memory: CrossBatchMemory) -> tuple[Tensor, Tensor]:
    """Copies of embeddings and labels in insertion order."""
    shift = -(memory.seen % memory.size) if memory.seen > memory.size else 0
    return memory.embeddings.roll(shift, 0), memory.labels.roll(shift, 0)


def restored(memory: CrossBatchMemory) -> CrossBatchMemory:
    """Saved to bytes like a checkpoint, read back with weights_only, and loaded into a memory with other contents."""
    buffer = io.BytesIO()
    torch.save(memory.state_dict(), buffer)
    buffer.seek(0)
    other = CrossBatchMemory(memory.size, memory.dim, memory.levels)
    other.add(*numbered(1000, memory.size + 1))
    other.load_state_dict(torch.load(buffer, weights_only=True))
    return other


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=12))
def test_memory_equals_a_deque(size: int, steps: list[tuple[int, bool]]) -> None:
    memory, model, first = CrossBatchMemory(size, dim=2, levels=3), deque[int](maxlen=size), 0
    for count, checkpoint in steps:
        memory.add(*numbered(first, count))
        model.extend(range(first, first + count))
        first += count
        if checkpoint:
            memory = restored(memory)
        embeddings, labels = oldest_first(memory)
        assert labels[:, 0].tolist() == list(model)
        assert embeddings.tolist() == [[row, -row] for row in model]
        assert len(memory) == len(memory.embeddings) == len(memory.labels) == len(model)
        for row in memory.labels[:, 0].tolist():
            assert memory.labels[row % size, 0] == row
        assert torch.equal(memory.embeddings[:, 0].long(), memory.labels[:, 0])


def test_memory_that_wraps_keeps_the_newest_rows() -> None:
    """The published code writes a batch that does not fit into the last slots, over the rows added before it."""
    memory = CrossBatchMemory(5, dim=2, levels=3)
    memory.add(*numbered(0, 4))
    memory.add(*numbered(4, 3))
    assert oldest_first(memory)[1][:, 0].tolist() == [2, 3, 4, 5, 6]


def test_batch_larger_than_the_memory_leaves_its_newest_rows() -> None:
    memory = CrossBatchMemory(3, dim=2, levels=3)
    memory.add(*numbered(0, 2))
    memory.add(*numbered(2, 8))
    assert oldest_first(memory)[1][:, 0].tolist() == [7, 8, 9]
    assert memory.seen == 10


def test_memory_of_the_batch_size_is_a_gallery() -> None:
    """Its loss is that of a reordered copy; the published code takes a gallery of B rows for the batch itself."""
    query, labels = unit(12, seed=0)
    memory = CrossBatchMemory(12, dim=8, levels=3)
    memory.add(*unit(12, seed=1))
    loss = LOSSES["sup_hap"]()
    value = loss(query, labels, memory.embeddings, memory.labels)
    reordered = loss(query, labels, memory.embeddings.roll(5, 0), memory.labels.roll(5, 0))
    torch.testing.assert_close(value, reordered)
    assert abs(float(value - loss(query, labels))) > 0.01
    # Also where the memory holds the batch itself.
    memory.add(query, labels)
    torch.testing.assert_close(
        loss(query, labels, memory.embeddings, memory.labels), loss(query, labels), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_embeddings_of_every_precision_are_stored_as_float32(dtype: torch.dtype) -> None:
    memory = CrossBatchMemory(4, dim=2, levels=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        memory.add(*numbered(0, 3, dtype))
    assert memory.embeddings.dtype == torch.float32
    assert memory.labels.dtype == torch.int64
    assert memory.embeddings[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_properties_are_views_and_states_are_copies() -> None:
    memory = CrossBatchMemory(4, dim=2, levels=3)
    memory.add(*numbered(0, 4))
    view, state, (copied, _) = memory.embeddings, memory.state_dict(), oldest_first(memory)
    memory.add(*numbered(4, 2))
    assert view[:, 0].tolist() == [4, 5, 2, 3]
    assert state["embeddings"][:, 0].tolist() == copied[:, 0].tolist() == [0, 1, 2, 3]


def test_batch_keeps_its_gradient_and_the_memory_has_none() -> None:
    query, labels = unit(8, seed=0)
    past, past_labels = unit(20, seed=1)
    query, past = query.float().requires_grad_(), past.float().requires_grad_()
    memory = CrossBatchMemory(20, dim=8, levels=3)
    memory.add(past, past_labels)
    gallery, gallery_labels = memory.appended_to(query, labels)
    LOSSES["sup_ap"]()(query, labels, gallery, gallery_labels).backward()  # type: ignore[no-untyped-call]
    copy = query.detach().clone().requires_grad_()
    whole = torch.cat([copy, past.detach()]), torch.cat([labels, past_labels])
    LOSSES["sup_ap"]()(copy, labels, *whole).backward()  # type: ignore[no-untyped-call]
    assert past.grad is None
    assert query.grad is not None
    assert torch.equal(query.grad, copy.grad)  # type: ignore[arg-type]


def test_add_before_the_backward_pass_raises() -> None:
    query, labels = unit(4, seed=0)
    query = query.float().requires_grad_()
    memory = CrossBatchMemory(6, dim=8, levels=3)
    memory.add(*unit(6, seed=1))
    value = LOSSES["smooth_ap"]()(query, labels, memory.embeddings, memory.labels)
    memory.add(query, labels)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()  # type: ignore[no-untyped-call]


def test_embeddings_and_labels_move_together() -> None:
    memory = CrossBatchMemory(4, dim=2, levels=3)
    assert memory.to("meta") is memory
    assert memory.embeddings.device.type == memory.labels.device.type == "meta"


def saved(**changes: Any) -> dict[str, Any]:
    """The state of another memory, with changes."""
    memory = CrossBatchMemory(4, dim=2, levels=3)
    memory.add(*numbered(0, 3))
    return {**memory.state_dict(), **changes}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda m: CrossBatchMemory(0, 2, 3), "size must be 1 or more, got 0"),
        (
            lambda m: m.add(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.long)),
            r"embeddings \(n, 2\) .* got \(2, 3\)",
        ),
        (lambda m: m.add(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.long)), "of 3 levels .* got 2"),
        (lambda m: m.add(torch.ones(2, 2), torch.ones(3, 3, dtype=torch.long)), "got 2 and 3"),
        (lambda m: m.add(torch.ones(2, 2), torch.ones(2, 3)), "must be integers"),
        (
            lambda m: m.appended_to(torch.ones(2), torch.ones(2, 3, dtype=torch.long)),
            r"embeddings \(n, 2\) .* got \(2,\)",
        ),
        (lambda m: m.load_state_dict({"size": 4}), "lacks 'seen'"),
        (lambda m: m.load_state_dict(saved(size=9)), "size 9, this one needs 4"),
        (
            lambda m: m.load_state_dict(saved(embeddings=torch.ones(3, 5))),
            r"embeddings \(3, 5\), this one needs \(3, 2\)",
        ),
        (lambda m: m.load_state_dict(saved(labels=torch.ones(2, 3))), r"labels \(2, 3\)"),
        (lambda m: m.load_state_dict(saved(labels=None)), "labels None"),
    ],
)
def test_wrong_arguments_raise_and_change_nothing(use: Callable[[CrossBatchMemory], object], message: str) -> None:
    memory = CrossBatchMemory(4, dim=2, levels=3)
    memory.add(*numbered(7, 2))
    with pytest.raises(HgldError, match=message):
        use(memory)
    assert memory.labels[:, 0].tolist() == [7, 8]
