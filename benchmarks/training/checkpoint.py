"""A training between two epochs, on disk: what a killed one is taken up from.

The file lies beside the stage's outputs, not in them: DVC deletes outputs before a run. It holds weights, optimisers,
proxies, the memory and the curves, and a hash of what they were made for (settings, images, labels). A file made for
something else, or one that cannot be read, is left aside, which is said; it never decides anything in silence.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hgld.benchmarks.models.network import Network
from hgld.benchmarks.training.memory import Memory
from hgld.benchmarks.training.setup import Cosine, Term
from hgld.foundation.files import replacing

FORMAT = "hgld-training/1"


@dataclass(frozen=True, kw_only=True)
class Training:
    """All that changes while a network is trained; `curves` has one entry a whole epoch."""

    network: Network
    schedules: Sequence[Cosine]
    terms: Sequence[Term]
    memory: Memory | None
    curves: list[dict[str, float]] = field(default_factory=list)

    def keep(self, path: Path, made_for: dict[str, Any]) -> None:
        """Write everything, atomically."""
        document = {
            "format": FORMAT,
            "made_for": _digest(made_for),
            "network": self.network.state_dict(),
            "optimisers": [schedule.optimiser.state_dict() for schedule in self.schedules],
            "losses": [loss.state_dict() for loss in self._losses()],
            "memory": None if self.memory is None else self.memory.state_dict(),
            "curves": self.curves,
        }
        buffer = io.BytesIO()
        torch.save(document, buffer)
        with replacing(path) as part:
            part.write_bytes(buffer.getvalue())

    def take_up(self, path: Path, made_for: dict[str, Any], device: str) -> None:
        """Become what was kept, if it was made for the same; otherwise stay as it is."""
        found = _read(path, device)
        if not found:
            return
        if found.get("format") != FORMAT or found["made_for"] != _digest(made_for):
            print(f"{path} was made with other settings or data; starting over", flush=True)
            return
        self.network.load_state_dict(found["network"])
        for schedule, state in zip(self.schedules, found["optimisers"], strict=True):
            schedule.optimiser.load_state_dict(state)
        for loss, state in zip(self._losses(), found["losses"], strict=True):
            loss.load_state_dict(state)
        if self.memory is not None:
            self.memory.load_state_dict(found["memory"])
        self.curves.extend(found["curves"])
        print(
            f"going on after epoch {len(self.curves)}, kept in {path} (delete it to start over)", flush=True
        )

    def _losses(self) -> list[nn.Module]:
        """The losses that have proxies."""
        return [term.loss for term in self.terms if isinstance(term.loss, nn.Module)]


def _digest(made_for: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(made_for, sort_keys=True).encode()).hexdigest()


def _read(path: Path, device: str) -> dict[str, Any]:
    """What the file holds, nothing executed; {} where there is none, or none that can be read."""
    if not path.exists():
        return {}
    try:
        document = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes lead it to
        print(f"{path} cannot be read ({type(error).__name__}); starting over", flush=True)
        return {}
    return document if isinstance(document, dict) else {}
