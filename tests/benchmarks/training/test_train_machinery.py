"""The trainer's machinery: going on after a kill, several processes, memory, gradient caching, mixtures, bfloat16."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from hgld.benchmarks.models.network import Network, load
from hgld.benchmarks.training import train
from hgld.benchmarks.training.sampler import PerClass, Share
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.settings import LossTerm, Params
from tests.benchmarks.conftest import tiny

OUTPUTS = ("model.pt", "curves.csv", "metrics.json")
TIMEOUT = 120  # seconds, of a process that this test started


def sums(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in OUTPUTS}


def written(params: Params) -> Path:
    """The settings as a params.yaml here, for `hgld train` in another process."""
    path = Path("params.yaml")
    document = {
        "profile": params.profile,
        params.profile: params.model_dump(mode="json", exclude={"profile"}),
    }
    YAML(typ="safe").dump(document, path)
    return path


def started(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_fault_resume_is_broken_a_killed_training_goes_on_to_the_same_bytes(
    world: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tiny(world, epochs=6, memory=40, together=True)
    state, folder = params.data / "training" / "state.pt", params.data / "train"
    train.run(params)
    undisturbed = sums(folder)
    assert not state.exists()
    for name in OUTPUTS:
        (folder / name).unlink()
    written(params)
    process = started(sys.executable, "-m", "hgld.cli", "train")
    try:
        end = time.monotonic() + TIMEOUT
        while not state.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert state.exists() and not (folder / "model.pt").exists()
    capsys.readouterr()
    train.run(params)
    assert "going on after epoch" in capsys.readouterr().out
    assert sums(folder) == undisturbed
    assert not state.exists()


def test_what_was_kept_for_other_settings_is_not_taken_up(
    world: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tiny(world, epochs=2)
    state = params.data / "training" / "state.pt"
    train.run(params)
    expected = sums(params.data / "train")
    for spoil in (b"", b"no archive at all"):
        state.parent.mkdir(exist_ok=True)
        state.write_bytes(spoil)
        train.run(params)
        assert "cannot be read" in capsys.readouterr().out
    with pytest.raises(HgldError, match="not finite"):
        train.run(tiny(world, epochs=2, lr=1e30))
    other = tiny(world, epochs=2, seed=9)
    _stopped_after_one_epoch(other)
    assert state.exists()
    train.run(params)
    assert "made with other settings" in capsys.readouterr().out
    assert sums(params.data / "train") == expected


def _stopped_after_one_epoch(params: Params) -> None:
    """Leave the state of a training that was broken off after its first epoch."""
    kept = train.Training.keep

    def keep_and_stop(self: train.Training, path: Path, made_for: dict[str, object]) -> None:
        kept(self, path, made_for)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train.Training, "keep", keep_and_stop)
        train.run(params)


@pytest.mark.parametrize("chunk", [0, 4])
def test_two_processes_come_to_what_one_comes_to(world: Params, chunk: int) -> None:
    # test_vit: no batch statistics and, as timm makes it, no dropout
    settings = {"backbone": "test_vit", "image_size": 160, "memory": 30, "chunk": chunk, "epochs": 1}
    params = tiny(world, lr=1e-4, **settings)
    train.run(params)
    alone, _ = load(params.data / "train" / "model.pt")
    curves = pd.read_csv(params.data / "train" / "curves.csv")
    written(params)
    launcher = Path(sys.executable).with_name("torchrun")
    process = started(
        *(str(launcher), "--standalone", "--nproc-per-node", "2"),
        *("--no-python", sys.executable, "-m", "hgld.cli", "train"),
    )
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.count("images, loss") == 1
    together, _ = load(params.data / "train" / "model.pt")
    found = pd.read_csv(params.data / "train" / "curves.csv")
    assert found["loss"].tolist() == pytest.approx(curves["loss"].tolist(), abs=1e-4)
    for one, two in zip(alone.state_dict().values(), together.state_dict().values(), strict=True):
        # Adam divides by the gradient's size: where that is nought but for rounding, a step of lr may go either way
        assert (one - two).abs().mean() < 1e-5


def test_fault_gradient_caching_is_dead_code_but_changes_nothing_but_rounding(
    world: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"backbone": "test_vit", "image_size": 160, "lr": 1e-4, "epochs": 1}
    losses, sizes = [], []
    for chunk in (0, 7):
        with monkeypatch.context() as watched:
            seen: list[int] = []
            forward = Network.forward
            watched.setattr(Network, "forward", lambda self, x: seen.append(len(x)) or forward(self, x))  # noqa: B023
            train.run(tiny(world, chunk=chunk, **settings))
        sizes.append(sorted(set(seen)))
        losses.append(pd.read_csv(world.data / "train" / "curves.csv")["loss"].tolist())
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert sizes == [[20], [6, 7]]


@pytest.mark.parametrize(
    "change", [{"memory": 60}, {"pos_mixup": True}, {"precision": "bfloat16"}, {"together": True}]
)
def test_each_setting_changes_the_training_and_learns(world: Params, change: dict[str, object]) -> None:
    train.run(tiny(world, epochs=4))
    plain = sums(world.data / "train")
    train.run(tiny(world, epochs=4, **change))
    curves = pd.read_csv(world.data / "train" / "curves.csv")
    assert sums(world.data / "train")["model.pt"] != plain["model.pt"]
    assert curves["loss"].iloc[-1] < curves["loss"].iloc[0]


def test_the_memory_is_ranked_from_its_epoch_on(world: Params) -> None:
    curves = []
    for start in (1, 2, 3):
        train.run(tiny(world, epochs=3, memory=60, memory_from=start))
        curves.append(pd.read_csv(world.data / "train" / "curves.csv")["loss"].tolist())
    assert curves[1][0] == curves[2][0] != curves[0][0]
    assert curves[1][1] != curves[2][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk": 20}, r"train.chunk \(20\) must be smaller than train.batch_size \(20\)"),
        (
            {"memory": 9, "loss": [LossTerm(name="triplet", weight=1, settings={"itself": False})]},
            "itself: false has no meaning against a memory",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(world: Params, change: dict[str, object], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        train.run(tiny(world, **change))


def test_the_shares_of_a_batch_are_the_batch() -> None:
    labels = torch.arange(8).repeat_interleave(5)[:, None]
    sampler = PerClass(labels, batch_size=12, per_class=3, seed=1)
    for epoch in range(2):
        sampler.at_epoch(epoch)
        whole = list(Share(sampler, 0, 1))
        parts = [list(Share(sampler, rank, 3)) for rank in range(3)]
        assert [[*a, *b, *c] for a, b, c in zip(*parts, strict=True)] == whole
        numbers = [number for batch in whole for _, number in batch]
        assert numbers == list(range(epoch * 36, epoch * 36 + 36))
        assert [[row for row, _ in batch] for batch in whole] == list(sampler)
    with pytest.raises(HgldError, match="batches of 12 images cannot be shared by 5 processes"):
        Share(sampler, 0, 5)
