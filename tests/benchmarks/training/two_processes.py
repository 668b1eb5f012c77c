"""The script of test_distributed: `torchrun two_processes.py FOLDER`; process R writes FOLDER/R.pt.

Everything random has a fixed seed, so that the test can compute the same in one process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.training.distributed import gather, process_group, rank, world_size
from hgld.benchmarks.training.gradient_caching import cached_backward
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.cli import main as hgld
from hgld.foundation.errors import HgldError
from hgld.foundation.train_settings import PartOptimiser

SHARDS = {"equal": (12, 12), "unequal": (17, 7), "one row": (1, 23), "empty": (24, 0)}
NAMES = ("sup_ap", "sup_hap", "smooth_ndcg", "sup_recall", "calibration")
# Networks without batch statistics and dropout. ConvNeXt has a weight that gets no gradient.
TRAININGS: dict[str, dict[str, object]] = {
    "whole": {"backbone": "test_vit", "image_size": 160, "chunk": 0},
    "chunks": {"backbone": "test_vit", "image_size": 160, "chunk": 4},
    "parts": {
        **{"backbone": "test_vit", "image_size": 160, "ema": 0.9, "clip_norm": 1.0, "lr_warmup": 0.5},
        **{"validate_every": 1, "validation_classes": 0.4, "head": PartOptimiser(lr=3e-4, optimiser="adam")},
        **{"batch_size": 12, "freeze_batchnorm": True},
    },
    "convnext": {"backbone": "test_convnext", "image_size": 32, "chunk": 0, "pooling": "avg"},
}


def network(dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 8)).to(dtype)


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Inputs (24, 10) and labels (24, 3); the last two rows have no positive at any level."""
    generator = torch.Generator().manual_seed(1)
    fine = torch.randint(0, 6, (24,), generator=generator)
    fine[-2:] = torch.tensor([100, 200])
    labels = torch.stack([fine, fine // 2, fine // 4], dim=1)
    return torch.randn(24, 10, generator=generator, dtype=dtype), labels


def embed(model: nn.Module, inputs: Tensor) -> Tensor:
    return nn.functional.normalize(model(inputs), dim=1)


def outcome(model: nn.Module, value: Tensor) -> dict[str, Any]:
    """The value and the gradients, which are then cleared."""
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return {"value": value.detach(), "gradients": gradients}


def losses(inputs: Tensor, labels: Tensor, model: nn.Module) -> dict[str, Any]:
    """Value and gradients of every loss on the gathered batch."""
    outcomes = {}
    for name in NAMES:
        value = LOSSES[name]()(*gather(embed(model, inputs), labels))
        value.backward()  # type: ignore[no-untyped-call]
        outcomes[name] = outcome(model, value)
    return outcomes


def cached(inputs: Tensor, labels: Tensor, model: nn.Module) -> dict[str, Any]:
    """Gradient caching below the gathered loss; the processes have different numbers of chunks."""

    def loss(embeddings: Tensor) -> Tensor:
        return LOSSES["sup_hap"]()(*gather(nn.functional.normalize(embeddings, dim=1), labels))

    return outcome(model, cached_backward(model, inputs.split(4), loss))


@torch.no_grad()  # a forward pass with a graph but no backward pass leaves DistributedDataParallel waiting
def memory(inputs: Tensor, labels: Tensor, model: nn.Module) -> Tensor:
    """Embeddings and labels of a memory that every process fills with the gathered batch."""
    ring = CrossBatchMemory(20, dim=8, levels=3)
    for _ in range(2):
        ring.add(*gather(embed(model, inputs), labels))
    return torch.cat([ring.embeddings, ring.labels], dim=1)


def error_of_different_widths() -> str:
    try:
        gather(torch.ones(2, 4 + rank()), torch.ones(2, 1, dtype=torch.int64))
    except HgldError as error:
        return str(error)
    return "no error"


def main(folder: Path) -> None:
    """Run every case on this process's shard; then `hgld train` in the folders of TRAININGS."""
    torch.set_num_threads(1)
    with process_group():
        outcomes: dict[str, Any] = {"world": world_size(), "different widths": error_of_different_widths()}
        model = DistributedDataParallel(network())
        for name, shards in SHARDS.items():
            inputs, labels = (part.split(list(shards))[rank()] for part in batch())
            outcomes[name] = losses(inputs, labels, model)
            outcomes[name]["memory"] = memory(inputs, labels, model)
            if min(shards):
                outcomes[name]["cached"] = cached(inputs, labels, model)
        narrow = DistributedDataParallel(network(torch.float32))
        inputs, labels = (part.split(list(SHARDS["unequal"]))[rank()] for part in batch(torch.float32))
        outcomes["float32"] = losses(inputs, labels, narrow)
        outcomes["bfloat16"] = gather(embed(narrow, inputs).bfloat16(), labels)[0].dtype
        torch.save(outcomes, folder / f"{rank()}.pt")
        for name in TRAININGS:
            os.chdir(folder / name)
            hgld(["train"], standalone_mode=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
