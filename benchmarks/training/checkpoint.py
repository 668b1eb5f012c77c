"""The training state after each epoch, from which an interrupted run resumes.

The file lies beside the stage's outputs, as DVC deletes outputs before a run. It holds weights, optimisers, proxies,
memory and curves, and fingerprints of all that the result depends on: settings, images, labels, code and libraries. A
file with other fingerprints, or one that is damaged, is reported and ignored.
"""

from __future__ import annotations

import copy
import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hgld.benchmarks.models.network import Network, torch_save
from hgld.benchmarks.models.torch_file import read_torch_file
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.benchmarks.training.optimisation.moving_average import MovingAverage
from hgld.benchmarks.training.optimisation.schedules import Schedule
from hgld.benchmarks.training.setup import WeightedLoss
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError, lacks_memory, reason

FORMAT = "hgld-training/3"
# The folders of `benchmarks` that a training runs, and the libraries. How images are decoded shows in their pixels.
CODE = ("datasets", "losses", "metrics", "models", "ranking", "training")
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pillow")
# What loading a document of another shape raises. Not MemoryError: no fault of the file.
_DAMAGED = (ArithmeticError, AttributeError, HgldError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(kw_only=True)
class TrainingState:
    """Everything that training changes; `curves` has one entry per completed epoch."""

    network: Network
    schedules: Sequence[Schedule]
    terms: Sequence[WeightedLoss]
    memory: CrossBatchMemory | None = None
    average: MovingAverage | None = None
    scaler: torch.amp.GradScaler | None = None
    curves: list[dict[str, float]] = field(default_factory=list)

    def save_epoch(self, path: Path, inputs: dict[str, Any]) -> None:
        """Write the state atomically; `inputs` (JSON values by name) is what it is valid for."""
        torch_save({"format": FORMAT, "made_for": _fingerprints(inputs), **self._parts()}, path)

    def _parts(self) -> dict[str, Any]:
        """The parts of the state; tensors are not copied."""
        return {
            "network": self.network.state_dict(),
            "optimisers": [schedule.optimiser.state_dict() for schedule in self.schedules],
            "losses": [loss.state_dict() for loss in self.proxy_losses()],
            "memory": None if self.memory is None else self.memory.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "curves": self.curves,
        }

    def resume(self, path: Path, inputs: dict[str, Any]) -> None:
        """Load the state from `path` if it was saved for the same inputs; otherwise change nothing."""
        saved = _read(path)
        if not saved:
            return
        if differing := _differing(saved, inputs):
            echo(f"{path} was saved with other {differing}; starting from the first epoch")
            return
        before = copy.deepcopy(self._parts())
        try:
            self._load(saved)
        except _DAMAGED as error:
            if lacks_memory(error):
                raise
            self._load(before)
            echo(f"{path} is damaged ({reason(error)[:200]}); starting from the first epoch")
            return
        echo(f"resuming after epoch {len(self.curves)} from {path} (delete it to start over)")

    def _load(self, parts: dict[str, Any]) -> None:
        """Set all parts of the state. Raises an error, and may have set some of them, when they do not fit."""
        curves = parts["curves"]
        if [entry["epoch"] for entry in curves] != list(range(1, len(curves) + 1)):
            raise HgldError("its curves do not count the epochs")
        self.network.load_state_dict(parts["network"])
        for schedule, state in zip(self.schedules, parts["optimisers"], strict=True):
            schedule.optimiser.load_state_dict(state)
            _check_optimiser(schedule.optimiser)
        for loss, state in zip(self.proxy_losses(), parts["losses"], strict=True):
            loss.load_state_dict(state)
        if self.memory is not None:
            self.memory.load_state_dict(parts["memory"])
        if self.average is not None:
            self.average.load_state_dict(parts["average"])
        if self.scaler is not None:
            self.scaler.load_state_dict(parts["scaler"])
        self.curves[:] = curves

    def proxy_losses(self) -> list[nn.Module]:
        """The losses with weights of their own."""
        losses = [term.loss for term in self.terms if isinstance(term.loss, nn.Module)]
        return [loss for loss in losses if any(True for _ in loss.parameters())]


def code_and_libraries(device: str) -> dict[str, Any]:
    """What the result of a training depends on besides its settings and data, as fingerprints and versions."""
    digest = hashlib.sha256()
    for folder in CODE:
        for name, module in _modules(files("hgld.benchmarks").joinpath(folder), folder):
            digest.update(name.encode() + module.read_bytes())
    libraries = {name: version(name) for name in LIBRARIES}
    return {"code": digest.hexdigest(), "libraries": {**libraries, "device": device, "machine": platform.machine()}}


def _modules(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    """The modules in a folder and those below it, sorted by name."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".py"):
            yield f"{name}/{entry.name}", entry
        elif entry.is_dir():
            yield from _modules(entry, f"{name}/{entry.name}")


def data_digest(ids: Iterable[str], labels: Tensor, pixels: int = 0) -> str:
    """A hash of ids, labels (n, L), and the digest of the pixels (datasets/readable.py); a second for a million."""
    digest = hashlib.sha256(f"{pixels:x} {tuple(labels.shape)} ".encode())
    digest.update(labels.long().contiguous().numpy().tobytes())
    for part in ids:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.hexdigest()


def weights_digest(network: Network) -> str:
    """A hash of all weights and statistics of a network: another pretrained network, or another initialisation."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} ".encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _fingerprints(inputs: dict[str, Any]) -> dict[str, str]:
    """One hash per input."""
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest() for name, value in inputs.items()
    }


def _differing(saved: dict[str, Any], inputs: dict[str, Any]) -> str:
    """The names of the inputs for which the state was not saved; "" when it fits."""
    own, other = _fingerprints(inputs), saved.get("made_for")
    if saved.get("format") != FORMAT or not isinstance(other, dict) or own.keys() != other.keys():
        return "settings or data"
    return " and ".join(name for name in own if own[name] != other[name])


def _check_optimiser(optimiser: torch.optim.Optimizer) -> None:
    """Raise HgldError unless the optimiser's averages have the shapes of the weights: it does not check them itself."""
    for weight, state in optimiser.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.dim() and value.shape != weight.shape:
                raise HgldError(f"{name} of the optimiser is {tuple(value.shape)}, expected {tuple(weight.shape)}")


def _read(path: Path) -> dict[str, Any]:
    """The contents of the file, read without running code; {} where it is absent or unreadable."""
    if not path.exists():
        return {}
    try:
        document = read_torch_file(path)
    except HgldError as error:
        echo(f"{path} cannot be read: it {error}; starting from the first epoch")
        return {}
    if not isinstance(document, dict):
        echo(f"{path} is not the state of a training; starting from the first epoch")
        return {}
    return document
