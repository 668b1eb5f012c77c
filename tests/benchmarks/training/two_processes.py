"""One of the processes of test_distributed: `python two_processes.py RANK WORLD FOLDER`, writes FOLDER/RANK.pt.

Everything random is drawn from fixed seeds, so that the test can compute the same in one process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.training.distributed import gather, own_queries
from hgld.benchmarks.training.gradient_caching import cached_backward
from hgld.benchmarks.training.memory import Memory
from hgld.foundation.errors import HgldError

TIMEOUT = 60  # seconds, of a process that waits for another
SHARDS = {"equal": (12, 12), "unequal": (17, 7), "one row": (1, 23), "empty": (24, 0)}
RANKED = ("sup_ap", "sup_hap", "smooth_ndcg", "sup_recall")
WHOLE = (*RANKED, "calibration")


def network(dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 8)).to(dtype)


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Inputs (24, 10) and labels (24, 3); the last two rows are alone on every level."""
    generator = torch.Generator().manual_seed(1)
    fine = torch.randint(0, 6, (24,), generator=generator)
    fine[-2:] = torch.tensor([100, 200])
    labels = torch.stack([fine, fine // 2, fine // 4], dim=1)
    return torch.randn(24, 10, generator=generator, dtype=dtype), labels


def embed(model: nn.Module, inputs: Tensor) -> Tensor:
    return nn.functional.normalize(model(inputs), dim=1)


def outcome(model: nn.Module, value: Tensor) -> dict[str, Any]:
    """Value and gradients, which are then dropped."""
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return {"value": value.detach(), "gradients": gradients}


def _stepped(model: nn.Module, value: Tensor) -> dict[str, Any]:
    value.backward()  # type: ignore[no-untyped-call]
    return outcome(model, value)


def losses(inputs: Tensor, labels: Tensor, model: nn.Module) -> dict[str, Any]:
    """Both ways to share a loss, for every loss."""
    done: dict[str, Any] = {}
    for name in WHOLE:
        done[f"whole/{name}"] = _stepped(model, LOSSES[name]()(*gather(embed(model, inputs), labels)))
    for name in RANKED:
        loss: Callable[..., Tensor] = LOSSES[name](reduction="none")
        done[f"own/{name}"] = _stepped(model, own_queries(loss, embed(model, inputs), labels))
    return done


def cached(inputs: Tensor, labels: Tensor, model: nn.Module) -> dict[str, Any]:
    """Gradient caching below the gathered loss; the processes have different numbers of chunks."""

    def loss(embeddings: Tensor) -> Tensor:
        return LOSSES["sup_hap"]()(*gather(nn.functional.normalize(embeddings, dim=1), labels))

    return outcome(model, cached_backward(model, inputs.split(4), loss))


@torch.no_grad()  # a forward pass with a graph and no backward pass leaves DistributedDataParallel waiting
def remembered(inputs: Tensor, labels: Tensor, model: nn.Module) -> Tensor:
    """Labels in a memory that every process fills with the gathered batch."""
    memory = Memory(20, dim=8, levels=3)
    for _ in range(2):
        memory.add(*gather(embed(model, inputs), labels))
    return torch.cat([memory.embeddings, memory.labels], dim=1)


def refused(rank: int) -> str:
    """What is said when the processes embed to different widths."""
    try:
        gather(torch.ones(2, 4 + rank), torch.ones(2, 1, dtype=torch.int64))
    except HgldError as error:
        return str(error)
    return "nothing"


def main(rank: int, world: int, folder: Path) -> None:
    """Run every case on this process's shard."""
    torch.set_num_threads(1)
    address = f"file://{folder / 'meeting'}"
    dist.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=world, timeout=timedelta(seconds=TIMEOUT)
    )
    done: dict[str, Any] = {"refused": refused(rank)}
    model = DistributedDataParallel(network())
    for name, shards in SHARDS.items():
        inputs, labels = (part.split(list(shards))[rank] for part in batch())
        done[name] = losses(inputs, labels, model)
        done[name]["memory"] = remembered(inputs, labels, model)
        if min(shards):
            done[name]["cached"] = cached(inputs, labels, model)
    narrow = DistributedDataParallel(network(torch.float32))
    inputs, labels = (part.split(list(SHARDS["unequal"]))[rank] for part in batch(torch.float32))
    done["float32"] = losses(inputs, labels, narrow)
    half = embed(narrow, inputs).bfloat16()
    done["bfloat16"] = gather(half, labels)[0].dtype
    torch.save(done, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
