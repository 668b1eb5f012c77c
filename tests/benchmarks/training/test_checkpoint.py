"""Resuming: a killed training ends with the bytes of an undisturbed one, and unsuitable states are ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from hgld.benchmarks.models.network import Architecture, build_network
from hgld.benchmarks.training import train
from hgld.benchmarks.training.checkpoint import TrainingState
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.benchmarks.training.setup import loss_terms, make_schedules
from hgld.foundation.files import sha256
from hgld.foundation.settings import Params
from tests.benchmarks.conftest import tiny

OUTPUTS = ("model.pt", "curves.csv", "metrics.json")
TIMEOUT = 120  # seconds, for a process started by a test


def hashes(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in OUTPUTS}


def write_params(params: Params, folder: Path) -> None:
    """A params.yaml for `hgld train` in another process."""
    section = params.model_dump(mode="json", exclude={"profile"})
    YAML(typ="safe").dump({"profile": params.profile, params.profile: section}, folder / "params.yaml")


def test_killed_training_resumes_and_ends_with_the_same_bytes(
    world: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the published code resuming fails: it looks up keys that were never saved."""
    params = tiny(world, epochs=6, memory=40, together=True)
    state, folder = params.data / "training" / "state.pt", params.data / "train"
    train.run(params)
    undisturbed = hashes(folder)
    assert not state.exists()
    for name in OUTPUTS:
        (folder / name).unlink()
    write_params(params, tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "hgld.cli", "train"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + TIMEOUT
        while not state.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert state.exists() and not (folder / "model.pt").exists()
    capsys.readouterr()
    train.run(params)
    assert "resuming after epoch" in capsys.readouterr().out
    assert hashes(folder) == undisturbed
    assert not state.exists()


def test_state_of_other_settings_is_not_used(
    world: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tiny(world, epochs=2)
    train.run(params)
    expected = hashes(params.data / "train")
    save_epoch = TrainingState.save_epoch

    def save_and_stop(self: TrainingState, path: Path, inputs: dict[str, Any]) -> None:
        save_epoch(self, path, inputs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingState, "save_epoch", save_and_stop)
        train.run(tiny(world, epochs=2, seed=9))
    assert (params.data / "training" / "state.pt").exists()
    train.run(params)
    assert "saved with other settings" in capsys.readouterr().out
    assert hashes(params.data / "train") == expected


def training_state(settings: Params, seed: int) -> TrainingState:
    """A state with all its parts; different seeds differ in every part."""
    params = tiny(settings, dim=8, seed=seed).train
    architecture = Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=32)
    network = build_network(architecture, seed=seed)
    labels = torch.tensor([[0, 0], [1, 0], [2, 1]])
    terms = loss_terms(params, labels, "cpu")
    memory = CrossBatchMemory(5, dim=8, levels=2)
    memory.add(torch.full((2, 8), float(seed)), torch.full((2, 2), seed))
    curves = [{"epoch": 1, "loss": float(seed)}]
    return TrainingState(
        network=network,
        schedules=make_schedules(network, terms, params),
        terms=terms,
        memory=memory,
        curves=curves,
    )


def saved(state: TrainingState, path: Path) -> bytes:
    state.save_epoch(path, {"ids": ["a"]})
    return path.read_bytes()


def test_state_comes_back_whole(settings: Params, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    expected = saved(training_state(settings, seed=1), path)
    state = training_state(settings, seed=2)
    state.curves.clear()
    state.resume(path, {"ids": ["a"]}, "cpu")
    assert saved(state, tmp_path / "again.pt") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"not an archive", "cannot be read"),
        ({"format": "hgld-training/0"}, "saved with other settings or data"),
        (["a list"], ""),
        (None, ""),
    ],
)
def test_unsuitable_state_is_reported_and_changes_nothing(
    settings: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, message: str
) -> None:
    path = tmp_path / "state.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    state = training_state(settings, seed=1)
    before = saved(state, tmp_path / "before.pt")
    state.resume(path, {"ids": ["a"]}, "cpu")
    printed = capsys.readouterr().out
    assert message in printed and bool(message) == bool(printed)
    assert saved(state, tmp_path / "after.pt") == before
