"""The training state after each epoch, from which an interrupted run resumes.

The file lies beside the stage's outputs, as DVC deletes outputs before a run. It holds weights, optimisers, proxies,
memory and curves, and a fingerprint of the settings, images and labels. A file with another fingerprint, or one that
cannot be read, is reported and ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hgld.benchmarks.models.network import Network, torch_save
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.benchmarks.training.setup import CosineSchedule, WeightedLoss

FORMAT = "hgld-training/1"


@dataclass(kw_only=True)
class TrainingState:
    """Everything that training changes; `curves` has one entry per completed epoch."""

    network: Network
    schedules: Sequence[CosineSchedule]
    terms: Sequence[WeightedLoss]
    memory: CrossBatchMemory | None = None
    curves: list[dict[str, float]] = field(default_factory=list)

    def save_epoch(self, path: Path, inputs: dict[str, Any]) -> None:
        """Write the state atomically; `inputs` (JSON values) is what it is valid for."""
        document = {
            "format": FORMAT,
            "made_for": _fingerprint(inputs),
            "network": self.network.state_dict(),
            "optimisers": [schedule.optimiser.state_dict() for schedule in self.schedules],
            "losses": [loss.state_dict() for loss in self._proxy_losses()],
            "memory": None if self.memory is None else self.memory.state_dict(),
            "curves": self.curves,
        }
        torch_save(document, path)

    def resume(self, path: Path, inputs: dict[str, Any], device: str) -> None:
        """Load the state from `path` if it was saved for the same inputs; otherwise change nothing."""
        saved = _read(path, device)
        if not saved:
            return
        if saved.get("format") != FORMAT or saved["made_for"] != _fingerprint(inputs):
            print(f"{path} was saved with other settings or data; starting from the first epoch", flush=True)
            return
        self.network.load_state_dict(saved["network"])
        for schedule, state in zip(self.schedules, saved["optimisers"], strict=True):
            schedule.optimiser.load_state_dict(state)
        for loss, state in zip(self._proxy_losses(), saved["losses"], strict=True):
            loss.load_state_dict(state)
        if self.memory is not None:
            self.memory.load_state_dict(saved["memory"])
        self.curves.extend(saved["curves"])
        print(f"resuming after epoch {len(self.curves)} from {path} (delete it to start over)", flush=True)

    def _proxy_losses(self) -> list[nn.Module]:
        return [term.loss for term in self.terms if isinstance(term.loss, nn.Module)]


def _fingerprint(inputs: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _read(path: Path, device: str) -> dict[str, Any]:
    """The contents of the file, read without running code; {} where it is absent or unreadable."""
    if not path.exists():
        return {}
    try:
        document = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        print(f"{path} cannot be read ({type(error).__name__}); starting from the first epoch", flush=True)
        return {}
    return document if isinstance(document, dict) else {}
