"""Gradient caching: batches whose graph does not fit into memory, in two passes over chunks that do.

A loss that ranks needs the whole batch, but only its *embeddings*. So (Gao et al. 2021, "Scaling deep contrastive
learning batch size under memory limited setup"):

    1  embed every chunk without a graph                       E = [e_1; ...; e_C]      (B, d), small
    2  the loss and its gradient on the whole batch            G = dL/dE                (B, d)
    3  embed every chunk again with a graph, and pull G back   grad += J_c^T G_c        one chunk's graph at a time

The sum over the chunks is the gradient of L by the chain rule; nothing is approximated, at the price of one more
forward pass. What must hold is that pass 3 repeats pass 1. Before each chunk the random state of torch (CPU and the
CUDA devices in use) and the buffers of the modules in training mode are noted and put back, so that random
augmentation, dropout, stochastic depth and layers that carry a state come out the same. Augmentation that draws from
numpy's or Python's own generators is not replayed; it shows as embeddings that differ, which raises.

What the result equals:

- *always*: one pass that embeds the same chunks in the same order, each with its graph;
- *also the batch embedded at once*, where a chunk's embeddings do not depend on the rest of the batch and nothing is
  drawn: LayerNorm, GroupNorm, BatchNorm in eval mode (frozen), no dropout;
- *not that*, with BatchNorm in training mode: its statistics are those of a chunk, as in any loop over chunks. Its
  running statistics (and their count) move once a chunk, in pass 1; what pass 3 does to them is undone.

Equal means to rounding. In float32 that is 2e-7 of the largest gradient against the same chunks (test_convnext, SupHAP,
256 images by 16), and 1e-5 against the batch at once, where the kernels for another batch size round the scores
differently and a steep loss magnifies it; in float64 both are below 1e-9. That run took 82 MiB instead of 604, and a
third more time.

Random numbers are used up once: after the call the random state is that after passes 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hgld.foundation.errors import HgldError

# Two forward passes differ by rounding (other kernels with a graph than without); a flip not replayed by far more.
TOLERANCE, TOLERANCE_HALF = 1e-3, 3e-2


def cached_backward(
    network: nn.Module,
    chunks: Sequence[Any],
    loss: Callable[[Tensor], Tensor],
    *,
    augment: Callable[[Any], Any] | None = None,
) -> Tensor:
    """Do what `value = loss(embeddings); value.backward()` does, with one chunk's graph in memory; -> value, detached.

    chunks: the batch in parts, e.g. `images.split(32)`, each an argument of `augment`, whose result goes to `network`
    -> (n, d). loss: (B, d), in the order of the chunks -> scalar; it is called once. `.grad` is added to, for the
    network and for what else the loss depends on (proxies).

    Autocast around the call, or in the network, acts on the forward passes; the backward passes run without. Scale for
    float16 inside `loss`. Of a DistributedDataParallel network only the last chunk exchanges gradients, so that the
    processes may have different numbers of chunks (not with SyncBatchNorm, which exchanges in every forward pass).

    Raises HgldError without chunks, for embeddings that are no matrix, and when the second pass does not repeat the
    first. The last leaves gradients behind: drop them.

    >>> network, images = nn.Linear(2, 2), torch.eye(4)[:, :2]
    >>> value = cached_backward(network, images.split(3), lambda embeddings: embeddings.square().sum())
    >>> cached = network.weight.grad.clone()
    >>> network.zero_grad()
    >>> network(images).square().sum().backward()
    >>> torch.allclose(cached, network.weight.grad)
    True
    """
    if not chunks:
        raise HgldError("gradient caching needs at least one chunk, got none")

    def embed(chunk: Any) -> Tensor:
        embeddings: Tensor = network(chunk if augment is None else augment(chunk))
        if embeddings.dim() != 2:
            raise HgldError(f"the network must give embeddings (n, d); got {tuple(embeddings.shape)}")
        return embeddings

    parts, moments = _first_pass(network, chunks, embed)
    embeddings = torch.cat(parts).requires_grad_()
    value = loss(embeddings)
    _backward(value, None)
    if embeddings.grad is not None and any(p.requires_grad for p in network.parameters()):
        gradients = torch.split(embeddings.grad, [len(part) for part in parts])
        again = _second_pass(network, chunks, embed, moments, gradients)
        _check_replay(embeddings.detach(), again)
    return value.detach()


@dataclass(frozen=True)
class _Moment:
    """All that a forward pass draws from or leaves behind: random states and the buffers of modules in training."""

    cpu: Tensor
    cuda: dict[int, Tensor]
    buffers: list[tuple[nn.Module, str, Tensor]]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back."""
        torch.set_rng_state(self.cpu)
        for device, state in self.cuda.items():
            torch.cuda.set_rng_state(state, device)
        for module, name, value in self.buffers:
            getattr(module, name).copy_(value)


def _moment(network: nn.Module) -> _Moment:
    """Note the present state."""
    devices = {p.device.index for p in network.parameters() if p.is_cuda and p.device.index is not None}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        devices.add(torch.cuda.current_device())
    buffers = [
        (module, name, buffer.detach().clone())
        for module in network.modules()
        if module.training
        for name, buffer in module.named_buffers(recurse=False)
    ]
    cuda = {device: torch.cuda.get_rng_state(device) for device in devices}
    return _Moment(torch.get_rng_state(), cuda, buffers)


def _first_pass(
    network: nn.Module, chunks: Sequence[Any], embed: Callable[[Any], Tensor]
) -> tuple[list[Tensor], list[_Moment]]:
    """Embeddings of every chunk without a graph, and the moment before each."""
    parts, moments = [], []
    with torch.no_grad():
        for chunk in chunks:
            moments.append(_moment(network))
            parts.append(embed(chunk))
    return parts, moments


def _second_pass(
    network: nn.Module,
    chunks: Sequence[Any],
    embed: Callable[[Any], Tensor],
    moments: Sequence[_Moment],
    gradients: Sequence[Tensor],
) -> Tensor:
    """Embed every chunk as in the first pass, pull its gradient back; -> the embeddings (B, d) without a graph."""
    after = _moment(network)
    again = []
    try:
        for at, (chunk, moment, gradient) in enumerate(zip(chunks, moments, gradients, strict=True)):
            moment.restore()
            # Older torch keeps autocast's copies of the weights from the first pass, which have no graph: no gradient.
            torch.clear_autocast_cache()
            last = at == len(chunks) - 1
            with nullcontext() if last else _without_exchange(network):
                embeddings = embed(chunk)
                _backward(embeddings, gradient)
            again.append(embeddings.detach())
    finally:
        after.restore()
    return torch.cat(again)


def _without_exchange(network: nn.Module) -> AbstractContextManager[None]:
    """Keep a DistributedDataParallel network from exchanging gradients."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()


def _backward(value: Tensor, gradient: Tensor | None) -> None:
    """`value.backward(gradient)` outside of autocast, which would round the sums of the backward pass too."""
    with torch.autocast(value.device.type, enabled=False):
        value.backward(gradient)  # type: ignore[no-untyped-call]


def _check_replay(first: Tensor, again: Tensor) -> None:
    """Raise HgldError when the passes differ by more than rounding; one look at the device a batch."""
    half = first.dtype.itemsize < 4 or torch.is_autocast_enabled(first.device.type)
    difference = (first - again).abs().amax() / first.abs().amax().clamp(min=1e-12)
    if float(difference) > (TOLERANCE_HALF if half else TOLERANCE):
        raise HgldError(
            f"the second pass gave other embeddings than the first (by {float(difference):.1e} of the largest): "
            "draw the augmentation from torch's own random numbers, or draw it before the call"
        )
