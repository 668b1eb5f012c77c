"""The batch of all processes: embeddings and labels gathered over torch.distributed, with gradients.

    embeddings = network(images)                                     (n_r, d) on process r of W, n_r may differ
    value = loss(*gather(embeddings, labels))                        every process ranks the whole batch, or
    value = own_queries(loss, embeddings, labels)                    each its own queries against the whole batch

**Scale.** The gradient that comes out of `gather` is the *sum* over the processes of the gradients that went in. With
L_r the value that process r runs backward from, and gradients averaged as DistributedDataParallel does,

    average over r of  J_r^T  sum_s dL_s/de_r   =   d/dtheta  (1/W) sum_s L_s

that is, training descends the mean of the processes' values. Where all compute the same L (both ways above), that is L
itself: gradients are those of one process with the whole batch, whatever the shards, and no learning rate is to be
scaled. Parameters of the loss (proxies) see the whole batch in `loss(*gather(...))`: their gradients are the same on
every process and are right with or without averaging; with `own_queries` they must be averaged.

Without torch.distributed, or with one process, all of this is the identity. Every process must take part in the forward
and the backward pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from hgld.benchmarks.ranking.levels import check_labels
from hgld.foundation.errors import HgldError


def world_size(group: dist.ProcessGroup | None = None) -> int:
    """How many processes share the batch; 1 without torch.distributed."""
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1


def rank(group: dist.ProcessGroup | None = None) -> int:
    """The number of this process; 0 without torch.distributed."""
    return dist.get_rank(group) if world_size(group) > 1 else 0


@contextmanager
def joined() -> Iterator[None]:
    """Inside, the processes that torchrun started are one group (nccl with a GPU each, else gloo).

    Without torchrun, or where a group exists already, nothing happens.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def gather(
    embeddings: Tensor, labels: Tensor, group: dist.ProcessGroup | None = None
) -> tuple[Tensor, Tensor]:
    """Rows of all processes, in the order of their ranks; the gradient is summed over the processes.

    (n_r, d), (n_r, L) -> (N, d), (N, L) with N = sum of n_r; n_r = 0 is allowed. With two processes or more the
    embeddings come as float32 (float64 stays) and the labels as int64. Raises HgldError, on every process, when their
    widths or levels differ; and for rows without a label each.

    >>> gather(torch.ones(2, 3), torch.zeros(2, 1, dtype=torch.int64))[0].shape
    torch.Size([2, 3])
    """
    check_labels(labels, "labels")
    if embeddings.dim() != 2 or len(embeddings) != len(labels):
        raise HgldError(
            f"embeddings must be (n, d) with one row of labels each; "
            f"got {tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )
    if world_size(group) == 1:
        return embeddings, labels
    sizes = _sizes(embeddings, labels, group)
    wide = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    rows: Tensor = _Gather.apply(wide, sizes, group)
    return rows, _gathered(labels.long(), sizes, group)


def own_queries(
    loss: Callable[..., Tensor], embeddings: Tensor, labels: Tensor, group: dist.ProcessGroup | None = None
) -> Tensor:
    """Mean loss of all queries, of which each process computes its own against the gathered batch: 1/W of the work.

    loss: called as `loss(embeddings, labels, ref_embeddings, ref_labels)` -> (n_r,) with reduction="none", NaN where
    undefined; its mean must be the mean over queries (all rank losses; not Calibration, whose mean runs over pairs).
    -> scalar, the same on every process: the loss of the whole batch. Raises HgldError for another reduction.

    >>> own_queries(lambda e, l, r, s: (e @ r.T).sum(1), torch.eye(2), torch.tensor([[0], [1]]))
    tensor(1.)
    """
    gallery, gallery_labels = gather(embeddings, labels, group)
    values = loss(embeddings, labels, gallery, gallery_labels)
    if values.shape != embeddings.shape[:1]:
        raise HgldError(
            f'own_queries needs a loss with reduction="none": {len(embeddings)} values, got {tuple(values.shape)}'
        )
    undefined = values.isnan()
    own = torch.where(undefined, 0.0, values).sum()
    totals = torch.stack([own.detach(), (~undefined).sum().to(own)])
    world = world_size(group)
    if world > 1:
        dist.all_reduce(totals, group=group)
    total, count = totals[0], totals[1].clamp(min=1)
    # A process without a defined query must still take part in the backward pass of `gather`, or the others wait.
    share = own * (world / count) + 0.0 * gallery.sum()
    return share + (total / count - share).detach()


class _Gather(torch.autograd.Function):
    """Rows of all processes; backward, the sum of the processes' gradients for the own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int], group: dist.ProcessGroup | None) -> Tensor:
        ctx.sizes, ctx.group = sizes, group
        return _gathered(rows, sizes, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=ctx.group)
        return torch.split(total, ctx.sizes)[dist.get_rank(ctx.group)], None, None


def _sizes(embeddings: Tensor, labels: Tensor, group: dist.ProcessGroup | None) -> list[int]:
    """Rows of every process; raises HgldError on all of them when widths or levels differ."""
    own = torch.tensor([*embeddings.shape, labels.shape[1]], device=embeddings.device)
    every = [torch.empty_like(own) for _ in range(world_size(group))]
    dist.all_gather(every, own, group=group)
    shapes = torch.stack(every).tolist()
    if len({tuple(shape[1:]) for shape in shapes}) > 1:
        found = ", ".join(f"{width} and {levels}" for _, width, levels in shapes)
        raise HgldError(
            f"the processes disagree on width and levels ({found}): start all with the same settings"
        )
    return [int(shape[0]) for shape in shapes]


def _gathered(rows: Tensor, sizes: list[int], group: dist.ProcessGroup | None) -> Tensor:
    """(n_r, k) -> (N, k). Shards are filled up to the largest, since all_gather wants equal ones, and cut again."""
    filled = rows.new_zeros(max(sizes), rows.shape[1])
    filled[: len(rows)] = rows
    every = [torch.empty_like(filled) for _ in sizes]
    dist.all_gather(every, filled, group=group)
    return torch.cat([part[:size] for part, size in zip(every, sizes, strict=True)])
