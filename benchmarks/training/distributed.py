"""The batch of all processes: embeddings and labels gathered over torch.distributed, with gradients.

    embeddings = network(images)                     (n_r, d) on process r of W; n_r may differ
    value = loss(*gather(embeddings, labels))        every process ranks the whole batch

**Scale.** The backward pass of `gather` *sums* the gradients of all processes. Every process computes the same loss L
of the whole batch, and DistributedDataParallel averages the gradients of the parameters:

    average over r of  J_r^T  sum_s dL/de_r   =   dL/dtheta

The gradients are those of one process with the whole batch, whatever the shards, so the learning rate needs no scaling.
Parameters of the loss itself (proxies) get the same gradient on every process, with or without averaging.

Without torch.distributed, or with one process, all of this is the identity. Every process must take part in the forward
and the backward pass.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

from hgld.benchmarks.models.network import Network
from hgld.benchmarks.ranking.levels import check_labels
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, reason
from hgld.foundation.settings import Train, torchrun_variables

T = TypeVar("T")
# In the text of the errors of gloo, which have no class of their own, when another process has ended.
_LOST = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe")


def world_size() -> int:
    """The number of processes that share the batch; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process; 0 without torch.distributed."""
    return dist.get_rank() if world_size() > 1 else 0


@contextmanager
def process_group() -> Iterator[None]:
    """Inside the block, the processes started by torchrun form a group (nccl with one GPU each, otherwise gloo).

    Without torchrun, or where a group exists already, nothing happens. When a process fails, one line that says so
    comes before its traceback, and the others end with one line, as their connection to it is lost.
    """
    number, world, local = torchrun_variables()
    if world == 1 or dist.is_initialized():
        yield
        return
    gpu = torch.cuda.is_available()
    name = f"process {number} of {world}"
    try:
        if gpu:
            torch.cuda.set_device(local)
        _join("nccl" if gpu else "gloo")
        yield
    except HgldError as error:
        raise error.within(name) from None
    except Exception as error:
        lost = isinstance(error, RuntimeError) and any(text in str(error) for text in _LOST)
        if lost or isinstance(error, dist.DistError):
            raise HgldError(
                f"{name}: the connection to another process is lost; it has failed or was killed, and its own message, "
                "if any, says why. Start again: the training resumes after the last completed epoch"
            ) from None
        print(f"{name} failed: {type(error).__name__}: {visible(reason(error))}", file=sys.stderr, flush=True)
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _join(backend: str) -> None:
    """Form the group. Raises HgldError when the variables of torchrun lack, or no other process answers."""
    try:
        dist.init_process_group(backend)
    except (ValueError, RuntimeError) as error:
        raise HgldError(
            f"cannot reach the other processes ({reason(error)[:300]}); start all of them with torchrun"
        ) from None


def of_all_processes(value: T) -> list[T]:
    """The values of all processes, by rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def distributed_model(network: Network, settings: Train) -> nn.Module:
    """The network in DistributedDataParallel; with one process, the network itself."""
    if world_size() == 1:
        return network
    # A weight that gets no gradient, as those of a frozen backbone do, is not waited for.
    unused = settings.warmup_epochs > 0 or has_unused_weights(network)
    on_gpu = next(network.parameters()).is_cuda
    if on_gpu and not settings.chunk:  # with gradient caching, batch statistics are those of a chunk
        network.backbone = nn.SyncBatchNorm.convert_sync_batchnorm(network.backbone)  # type: ignore[no-untyped-call]
    return DistributedDataParallel(network, find_unused_parameters=unused)


def has_unused_weights(network: Network) -> bool:
    """Whether an embedding does not depend on some weight of the network, such as the norm of an unused classifier.

    Leaves weights, gradients, batch statistics and the random state as they are.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    size, training = network.architecture.image_size, network.training
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        embedding = network.eval()(torch.zeros(1, 3, size, size, device=weights[0].device))
        gradients = torch.autograd.grad(embedding.sum(), weights, allow_unused=True)
    network.train(training)
    return any(gradient is None for gradient in gradients)


def gather(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of all processes, in rank order; the backward pass sums the gradients over the processes.

    (n_r, d), (n_r, L) -> (N, d), (N, L) with N = sum of n_r; n_r = 0 is allowed. With two or more processes the
    embeddings become float32 (float64 stays) and the labels int64. Raises HgldError, on every process, when widths or
    levels differ between processes; and when the numbers of embeddings and labels differ.

    >>> gather(torch.ones(2, 3), torch.zeros(2, 1, dtype=torch.int64))[0].shape
    torch.Size([2, 3])
    """
    check_labels(labels, "labels")
    if embeddings.dim() != 2 or len(embeddings) != len(labels):
        raise HgldError(
            f"embeddings must be (n, d) with one row of labels each; "
            f"got {tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )
    if world_size() == 1:
        return embeddings, labels
    sizes = _shard_sizes(embeddings, labels)
    wide = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    rows: Tensor = _Gather.apply(wide, sizes)
    return rows, _all_gather(labels.long(), sizes)


class _Gather(torch.autograd.Function):
    """Rows of all processes; backward: the gradients of this process's rows, summed over the processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        return _all_gather(rows, sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return torch.split(total, ctx.sizes)[rank()], None


def _shard_sizes(embeddings: Tensor, labels: Tensor) -> list[int]:
    """The number of rows on every process. Raises HgldError on all of them when widths or levels differ."""
    own = torch.tensor([*embeddings.shape, labels.shape[1]], device=embeddings.device)
    gathered = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(gathered, own)
    shapes = torch.stack(gathered).tolist()
    if len({tuple(shape[1:]) for shape in shapes}) > 1:
        pairs = ", ".join(f"{width} and {levels}" for _, width, levels in shapes)
        raise HgldError(
            f"embedding width and number of levels differ between processes ({pairs}); "
            "start all of them with the same settings"
        )
    return [int(size) for size, _, _ in shapes]


def _all_gather(rows: Tensor, sizes: list[int]) -> Tensor:
    """(n_r, k) -> (N, k). Shards are padded to the largest, as all_gather requires equal ones, and trimmed again."""
    padded = rows.new_zeros(max(sizes), rows.shape[1])
    padded[: len(rows)] = rows
    gathered = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(gathered, padded)
    return torch.cat([shard[:size] for shard, size in zip(gathered, sizes, strict=True)])
