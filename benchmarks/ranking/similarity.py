"""Cosine similarity of embeddings, given as tensors or NumPy arrays, in float32 at least.

The rule for every embedding, of a query, a batch or a gallery: a row of length 1 (to 1e-5, the rounding of float32) is
used as it is, bit for bit, with its gradient; any other row is divided by its length first. So a value never depends on
the lengths of the rows. Rows rounded to half precision are off by up to 4e-3, and are normalised again in float32. A
zero row has no direction and is an error; on a GPU the losses, which must not wait for it, become NaN instead.

The one exception are rows marked `AsGiven`: averages of unit rows, which are shorter on purpose.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hgld.benchmarks.ranking.threads import allowed_threads, one_core
from hgld.foundation.errors import HgldError

TOLERANCE = 1e-5
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# Rows whose lengths are computed at a time, in float32 at least.
CHUNK = 1 << 16


class AsGiven(Tensor):
    """Rows whose lengths count: a loss takes `rows.as_subclass(AsGiven)` as they are, with scores that are no cosines.

    What torch computes from them (`torch.cat` with other rows) is of this class too.
    """


def as_tensor(value: Any, name: str) -> Tensor:
    """A dense tensor of numbers as it is, such a NumPy array as a tensor. Raises HgldError for anything else.

    >>> as_tensor(np.eye(2, dtype=">f4"), "query").dtype
    torch.float32
    """
    if isinstance(value, Tensor):
        dense = value.layout is torch.strided and not value.is_quantized and not value.is_meta
        if not dense or value.is_complex() or (value.is_floating_point() and value.dtype not in FLOATS):
            kind = "meta" if value.is_meta else str(value.layout).removeprefix("torch.")
            raise HgldError(f"{name} must be a dense tensor of numbers; got {value.dtype} ({kind})")
        return value
    if not isinstance(value, np.ndarray):
        raise HgldError(f"{name} must be a torch tensor or a NumPy array; got {type(value).__name__}")
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            raise HgldError(f"{name} has masked values; fill them, or leave their rows out")
        value = value.data
    if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
        raise HgldError(f"{name} must be numbers that torch knows; got an array of {value.dtype}")
    # torch shares the memory of arrays in the machine's byte order that it may write to
    native = np.require(value, value.dtype.newbyteorder("="), ["C", "W"])
    return torch.from_numpy(native)


def unit_rows(rows: Tensor, name: str) -> Tensor:
    """Rows (n, d) at unit length, by the rule of the module; the same tensor if all are, otherwise float32 at least.

    Raises HgldError for a zero row (NaN on a GPU). A row that is not finite becomes NaN.

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), "embeddings")
    tensor([[0.6000, 0.8000],
            [0.0000, 1.0000]])
    """
    if isinstance(rows, AsGiven):
        return rows.as_subclass(Tensor)
    on_cpu = rows.device.type == "cpu"
    with torch.autocast(rows.device.type, enabled=False):
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
        unit = _is_unit(torch.linalg.vector_norm(wide.detach(), dim=1))
        if on_cpu and bool(unit.all()):  # a GPU would have to wait
            return rows
        peak = wide.detach().abs().amax(1, keepdim=True)
        if on_cpu and bool((zero := peak[:, 0] == 0).any()):
            raise _zero_row(zero, name)
        scaled = wide / peak  # the squares neither overflow nor vanish
        return torch.where(unit[:, None], wide, scaled / torch.linalg.vector_norm(scaled, dim=1, keepdim=True))


def similarity(embeddings: Tensor, ref_embeddings: Tensor) -> Tensor:
    """Dot products (B, N) of rows (B, d) and (N, d), in float32 at least; half-precision scores collide (78 % tie)."""
    wide = torch.promote_types(torch.promote_types(embeddings.dtype, ref_embeddings.dtype), torch.float32)
    with torch.autocast(embeddings.device.type, enabled=False):
        rows, refs = embeddings.to(wide), ref_embeddings.to(wide)
        if allowed_threads() == torch.get_num_threads():
            return rows @ refs.T
        product: Tensor = _OneCoreProduct.apply(rows, refs)
        return product


class _OneCoreProduct(torch.autograd.Function):
    """rows (B, d) @ refs (N, d).T inside `one_core`, where its derivatives are computed too."""

    @staticmethod
    def forward(rows: Tensor, refs: Tensor) -> Tensor:
        return rows @ refs.T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (back,), (rows, refs), (for_rows, for_refs) = gradients, ctx.saved_tensors, ctx.needs_input_grad
        with one_core():
            return back @ refs if for_rows else None, back.T @ rows if for_refs else None


def inverse_lengths(rows: Tensor, name: str) -> Tensor | None:
    """By what to multiply the scores of rows (n, d), so that they are cosines, (n,); None where all rows are unit ones.

    Raises HgldError for a row that is zero or not finite.
    """
    lengths = torch.cat([_lengths(part) for part in torch.split(rows, CHUNK)])
    if bool((bad := ~lengths.isfinite()).any()):
        raise HgldError(
            f"{name}: the embedding of row {int(bad.nonzero()[0])} is not finite; "
            "the model has diverged or the image is bad"
        )
    if bool((zero := lengths == 0).any()):
        raise _zero_row(zero, name)
    unit = _is_unit(lengths)
    return None if bool(unit.all()) else torch.where(unit, 1.0, 1.0 / lengths)


def _lengths(rows: Tensor) -> Tensor:
    """Euclidean lengths, (n,) in float32 at least; float64 for lengths that float32 cannot hold or square."""
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    lengths: Tensor = torch.linalg.vector_norm(wide, dim=1)
    if bool(((lengths > 1e-15) & lengths.isfinite()).all()):
        return lengths
    peak = wide.double().abs().amax(1, keepdim=True)
    scaled = wide / torch.where(peak > 0, peak, 1.0)
    lengths = torch.linalg.vector_norm(scaled, dim=1)
    return lengths * peak[:, 0]


def _is_unit(lengths: Tensor) -> Tensor:
    return (lengths - 1.0).abs() <= TOLERANCE


def _zero_row(zero: Tensor, name: str) -> HgldError:
    count = int(zero.sum())
    more = f" ({count} such rows)" if count > 1 else ""
    return HgldError(
        f"{name}: the embedding of row {int(zero.nonzero()[0])} is zero{more}: it has no direction, and no cosine; "
        "remove the image, or look why the network gives nothing"
    )
