"""Resuming: a killed training ends with the bytes of an undisturbed one, and unsuitable states are ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from hgld.benchmarks.models.network import Architecture, build_network
from hgld.benchmarks.training import checkpoint, train
from hgld.benchmarks.training.checkpoint import FORMAT, TrainingState, code_and_libraries
from hgld.benchmarks.training.memory import CrossBatchMemory
from hgld.benchmarks.training.setup import loss_terms, make_schedules
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.lock import exclusive
from hgld.foundation.settings import Params
from tests.benchmarks.conftest import tiny
from tests.fault_table import FaultTable

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


def test_state_of_other_settings_is_not_used(world: Params, capsys: pytest.CaptureFixture[str]) -> None:
    params = tiny(world, epochs=2)
    train.run(params)
    expected = hashes(params.data / "train")
    interrupted(tiny(world, epochs=2, seed=9))
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
    state.resume(path, {"ids": ["a"]})
    assert saved(state, tmp_path / "again.pt") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read: it is empty"),
        (b"not an archive", "cannot be read: it is a text"),
        ({"format": "hgld-training/0"}, "saved with other settings or data"),
        ({"format": FORMAT}, "saved with other settings or data"),
        ({"format": FORMAT, "made_for": [1]}, "saved with other settings or data"),
        (["a list"], "is not the state of a training"),
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
    state.resume(path, {"ids": ["a"]})
    printed = capsys.readouterr().out
    assert message in printed and bool(message) == bool(printed)
    assert saved(state, tmp_path / "after.pt") == before


def test_state_of_other_inputs_says_which(settings: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "state.pt"
    state = training_state(settings, seed=1)
    inputs = {"settings": 1, "images": ["a", 5], "labels": [0], "code": "x", "libraries": {"torch": "2"}}
    state.save_epoch(path, inputs)
    for name in inputs:
        state.resume(path, {**inputs, name: "other"})
        assert f"was saved with other {name}; starting from the first epoch" in capsys.readouterr().out
    state.resume(path, {**inputs, "images": 0, "code": 0})
    assert "was saved with other images and code;" in capsys.readouterr().out


def test_code_and_libraries_are_part_of_what_a_state_is_valid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_and_libraries("cpu")
    assert before == code_and_libraries("cpu")
    assert before["libraries"]["torch"] == version("torch")
    assert before["libraries"] != code_and_libraries("cuda")["libraries"]
    read_bytes = Path.read_bytes
    changed = "benchmarks/losses/rank_losses.py"
    monkeypatch.setattr(Path, "read_bytes", lambda self: read_bytes(self) + b"#" * self.as_posix().endswith(changed))
    assert before["code"] != code_and_libraries("cpu")["code"]


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a missing part": (lambda saved: saved.pop("network"), "is damaged ('network')"),
    "weights of another shape": (
        lambda saved: saved["network"].update({"head.bias": torch.zeros(3)}),
        "is damaged (Error(s) in loading state_dict for Network: size mismatch for head.bias",
    ),
    "a missing optimiser": (lambda saved: saved["optimisers"].pop(), "is damaged (zip()"),
    "averages of another shape": (
        lambda saved: saved["optimisers"][0]["state"].update({0: {"step": torch.ones(()), "exp_avg": torch.ones(7)}}),
        "is damaged (exp_avg of the optimiser is (7,), expected ",
    ),
    "memory of another width": (
        lambda saved: saved["memory"].update(embeddings=torch.zeros(2, 3)),
        "is damaged (the saved memory has embeddings (2, 3)",
    ),
    "no memory": (lambda saved: saved.update(memory=None), "is damaged ("),
    "curves that skip an epoch": (
        lambda saved: saved["curves"].append({"epoch": 7, "loss": 1.0}),
        "is damaged (its curves do not count the epochs)",
    ),
    "curves that are no list": (lambda saved: saved.update(curves=3), "is damaged ("),
    "proxies of another shape": (lambda saved: saved["losses"][0].update(weight=torch.zeros(1)), "is damaged ("),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_state_is_reported_and_changes_nothing(
    settings: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault_table: FaultTable, name: str
) -> None:
    damage, message = DAMAGES[name]
    path = tmp_path / "state.pt"
    saved(training_state(settings, seed=2), path)
    document = torch.load(path, weights_only=True)
    damage(document)
    torch.save(document, path)
    state = training_state(settings, seed=1)
    before = saved(state, tmp_path / "before.pt")
    state.resume(path, {"ids": ["a"]})
    printed = capsys.readouterr().out
    assert message in printed and printed.count("\n") == 1 and "starting from the first epoch" in printed
    assert saved(state, tmp_path / "after.pt") == before
    fault_table.add("train", f"state.pt: {name}", printed.replace(str(tmp_path), "…"))


def interrupted(params: Params) -> None:
    """A training that ends after its first epoch, and leaves its state."""
    save_epoch = TrainingState.save_epoch

    def save_and_stop(self: TrainingState, path: Path, inputs: dict[str, Any]) -> None:
        save_epoch(self, path, inputs)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingState, "save_epoch", save_and_stop)
        train.run(params)


def test_state_of_other_images_is_not_used(world: Params, capsys: pytest.CaptureFixture[str]) -> None:
    """Other pixels under the same ids, as after a new download; the settings and labels are the same."""
    params = tiny(world, epochs=2)
    interrupted(params)
    tar = params.data / "images" / "train" / "images_000.tar"
    with tarfile.open(tar) as archive:
        first, second = archive.getmembers()[:2]
    content = bytearray(tar.read_bytes())
    size = min(first.size, second.size)
    content[first.offset_data : first.offset_data + size] = content[second.offset_data : second.offset_data + size]
    tar.write_bytes(bytes(content))
    capsys.readouterr()
    train.run(params)
    assert "was saved with other images; starting from the first epoch" in capsys.readouterr().out


def test_two_trainings_in_one_folder_run_one_at_a_time(world: Params) -> None:
    params = tiny(world, epochs=1)
    with exclusive(params.data / "train"), pytest.raises(HgldError, match="train: another run is writing there"):
        train.run(params)
    assert not (params.data / "train").exists() and not (params.data / "training").exists()


@pytest.mark.parametrize("change", ["number of processes", "initial weights"])
def test_state_of_other_weights_or_processes_is_not_used(
    world: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """Such as other pretrained weights under the same name; batch statistics differ between numbers of processes."""
    params = tiny(world, epochs=2)
    interrupted(params)
    fingerprints = checkpoint._fingerprints
    monkeypatch.setattr(checkpoint, "_fingerprints", lambda inputs: fingerprints({**inputs, change: "other"}))
    capsys.readouterr()
    train.run(params)
    assert f"was saved with other {change}; starting from the first epoch" in capsys.readouterr().out


def test_digest_of_weights_differs_when_one_does(settings: Params) -> None:
    network = training_state(settings, seed=1).network
    before = checkpoint.weights_digest(network)
    assert before == checkpoint.weights_digest(training_state(settings, seed=1).network)
    with torch.no_grad():
        network.head.bias[0] += 1e-6
    assert checkpoint.weights_digest(network) != before


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), KeyboardInterrupt()])
def test_lack_of_memory_does_not_make_a_state_damaged(
    settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Hours of training would start over."""
    path = tmp_path / "state.pt"
    saved(training_state(settings, seed=1), path)

    calls = iter([error])

    def fail_once(*_: object) -> None:
        for first in calls:
            raise first

    monkeypatch.setattr(TrainingState, "_load", fail_once)
    with pytest.raises(type(error)):
        training_state(settings, seed=2).resume(path, {"ids": ["a"]})


def test_images_are_decoded_once_for_several_trainings(world: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is the same; the training alone decodes them again."""
    params = tiny(world, epochs=1)
    train.run(params)
    expected = hashes(params.data / "train")
    monkeypatch.setattr(train, "survey", lambda *_: pytest.fail("decoded again"))
    train.run(params)
    assert hashes(params.data / "train") == expected
