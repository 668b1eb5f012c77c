"""`hgld train RUN --data DATA`: what it writes, resuming after a kill, and validation on held-out classes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from hgld.benchmarks.datasets.readable import ImageSubset
from hgld.benchmarks.datasets.registry import open_data
from hgld.benchmarks.datasets.tensor_images import TensorImages
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.models.network import load_checkpoint
from hgld.benchmarks.training.checkpoint import TrainingState
from hgld.cli import main
from tests.benchmarks.run_files.coloured_table import TINY, write_table
from tests.paths import ROOT

TIMEOUT = 120  # seconds
PARTS = [
    *("ema=0.9", "validate_every=1", "validation_classes=0.34", "schedule=multistep", "milestones=[2, 4]", "epochs=5"),
    *("head.lr=0.01", "proxies.optimiser=sgd", "proxies.lr=0.1", "clip_norm=1", "freeze_batchnorm=true"),
    *("lr_warmup=1", "precision=float16", "memory=20", "image_size=16"),  # float16 is slow on a CPU
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("colours"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a run file: no params.yaml, as after `pip install hgld`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return tmp_path


def hgld(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["train", *arguments])


def sets(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def test_data_of_ones_own_do_not_inherit_the_settings_of_the_release(here: Path, table: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("weight_decay: 1e-4", "weight_decay: 0.125")
    (here / "params.yaml").write_text(text, encoding="utf-8")
    data = ("tiny.yaml", "--data", str(table), "--levels", "shade,hue")
    result = hgld(*data, *sets("epochs=1"))
    assert result.exit_code == 0, result.output
    assert "tiny.yaml over the defaults: test_resnet" in result.output
    found = load_checkpoint(here / "trained" / "tiny-images" / "model.pt").config["train"]
    assert found["weight_decay"] == 1e-4
    result = hgld(*data, "--profile", "sample", "--out", "named", *sets("epochs=1"))
    assert result.exit_code == 0, result.output
    assert "tiny.yaml over params.yaml, profile sample: test_resnet" in result.output
    assert load_checkpoint(here / "named" / "model.pt").config["train"]["weight_decay"] == 0.125


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).network.state_dict()


def assert_equal(first: Path, second: Path) -> None:
    ours, theirs = weights(first), weights(second)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_training_on_a_table_needs_no_params_and_remembers_what_it_was(here: Path, table: Path) -> None:
    result = hgld("tiny.yaml", "--data", str(table), "--levels", "shade,hue", "--seed", "3", *sets("lr=2e-3"))
    assert result.exit_code == 0, result.output
    assert "tiny.yaml over the defaults: test_resnet (from scratch), 0.9 sup_hap + 0.1 cluster" in result.output
    out = here / "trained" / "tiny-images"
    assert sorted(path.name for path in out.iterdir()) == ["curves.csv", "metrics.json", "model.pt", "readable.json"]
    config = load_checkpoint(out / "model.pt").config
    assert config["levels"] == config["train"]["levels"] == ["shade", "hue"]
    assert (config["seed"], config["train"]["seed"], config["hgld"]) == (3, 3, version("hgld"))
    assert (config["train"]["lr"], config["train"]["ema"], config["run"]) == (2e-3, 0.0, "tiny")
    assert len(config["data"]["fingerprint"]) == 64 and config["data"]["images"] == 48
    curves = pd.read_csv(out / "curves.csv")
    assert list(curves.columns) == ["epoch", "loss", "sup_hap", "cluster", "lr", "lr_proxies", "images_per_s"]
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8"))["epochs"] == 2


def test_other_images_have_another_fingerprint(here: Path, table: Path, tmp_path: Path) -> None:
    other = write_table(tmp_path / "other")
    red, brown = (other.parent / name / "0.jpg" for name in ("scarlet", "brown"))
    red.write_bytes(brown.read_bytes())
    prints = set()
    for data in (table, other):
        assert hgld("tiny.yaml", "--data", str(data), "--levels", "shade,hue", *sets("epochs=1")).exit_code == 0
        prints.add(load_checkpoint(here / "trained" / "tiny-images" / "model.pt").config["data"]["fingerprint"])
    assert len(prints) == 2


def test_killed_training_with_all_parts_ends_with_the_same_weights(here: Path, table: Path) -> None:
    command = ["tiny.yaml", "--data", str(table), "--levels", "shade,hue", *sets(*PARTS)]
    whole = hgld(*command, "--out", "whole")
    assert whole.exit_code == 0, whole.output
    out = here / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "hgld.cli", "train", *command, "--out", "killed"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + TIMEOUT
        while not (out / "state.pt").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert (out / "state.pt").exists() and not (out / "model.pt").exists()
    result = hgld(*command, "--out", "killed")
    assert result.exit_code == 0, result.output
    assert "resuming after epoch" in result.output
    for name in ("model.pt", "best.pt"):
        assert_equal(here / "whole" / name, out / name)
    columns = ["epoch", "loss", "sup_hap", "cluster", "lr", "lr_head", "lr_proxies", "H-AP", "R@1_l0", "AP_l1"]
    curves = [pd.read_csv(here / name / "curves.csv")[columns] for name in ("whole", "killed")]
    pd.testing.assert_frame_equal(*curves)


def test_best_checkpoint_is_that_of_the_best_epoch_and_patience_stops(here: Path, table: Path) -> None:
    result = hgld(
        "tiny.yaml", "--data", str(table), "--levels", "shade,hue",
        *sets("epochs=30", "validate_every=1", "validation_classes=0.34", "patience=2", "best_metric=AP_l0"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    out = here / "trained" / "tiny-images"
    curves = pd.read_csv(out / "curves.csv")
    best = int(curves["AP_l0"].idxmax())
    assert len(curves) == best + 3 < 30, "stopped two epochs after the best one"
    validation = load_checkpoint(out / "best.pt").config["validation"]
    assert validation["epoch"] == best + 1
    assert validation["AP_l0"] == pytest.approx(curves["AP_l0"].max())
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["landmarks"] == 4 and metrics["images"] == 32, "two of six classes are held out"
    assert metrics["best_epoch"] == best + 1
    assert f"after epoch {best + 1}; stopped early after epoch {best + 3}" in result.output


def test_state_without_its_best_checkpoint_is_not_used(
    here: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hgld.benchmarks.training.checkpoint import TrainingState

    command = ["tiny.yaml", "--data", str(table), "--levels", "shade,hue"]
    command += sets("validate_every=1", "validation_classes=0.34")
    save = TrainingState.save_epoch

    def save_and_stop(self: TrainingState, *arguments: object) -> None:
        save(self, *arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "save_epoch", save_and_stop)
        assert hgld(*command).exit_code == 1
    out = here / "trained" / "tiny-images"
    (out / "best.pt").unlink()
    result = hgld(*command)
    assert "best.pt, which belongs to trained/tiny-images/state.pt, is missing; starting from" in result.output
    assert (out / "best.pt").exists() and "resuming" not in result.output


def validated(here: Path, *overrides: str) -> tuple[dict[str, float], pd.Series]:
    """metrics.json and the curves of one epoch on here/colours/images.csv."""
    command = ["tiny.yaml", "--data", "colours/images.csv", "--levels", "shade,hue", "--out", "out"]
    result = hgld(*command, *sets("epochs=1", "validate_every=1", *overrides))
    assert result.exit_code == 0, result.output
    (here / "output.txt").write_text(result.output, encoding="utf-8")
    metrics = json.loads((here / "out" / "metrics.json").read_text(encoding="utf-8"))
    return metrics, pd.read_csv(here / "out" / "curves.csv").iloc[0]


def test_split_that_is_named_is_validated_on_without_its_unreadable_image(here: Path) -> None:
    table = write_table(here / "colours")
    table.write_text(table.read_text().replace(",test,", ",dev,"), encoding="utf-8")
    (here / "colours" / "pink" / "9.jpg").write_bytes(b"not a picture")
    metrics, row = validated(here, "validation_split=dev")
    assert metrics["images"] == 48 and metrics["broken_validation_images"] == 1
    printed = (here / "output.txt").read_text(encoding="utf-8")
    assert "1 of 18 val images cannot be read and are left out:\n  image colours/pink/9.jpg: " in printed
    network = load_checkpoint(here / "out" / "best.pt").network
    with open_data("colours/images.csv", None, levels=("shade", "hue"), validation="dev") as data:
        assert data.val is not None
        left = ImageSubset(data.val, [n for n, name in enumerate(data.val.ids) if name != "pink/9.jpg"])
    assert len(left) == 17
    with torch.no_grad():
        embeddings = network.eval()(torch.stack([TensorImages(left, 32)[n] for n in range(17)]))
    names = ["H-AP", "R@1_l0", "AP_l1"]
    expected = evaluate(embeddings, left.labels, query_ids=left.ids, metrics=names)[names].mean()
    assert row[names].tolist() == pytest.approx(expected.tolist(), abs=2e-6)


def test_too_many_unreadable_validation_images_are_one_line(here: Path) -> None:
    table = write_table(here / "colours")
    table.write_text(table.read_text().replace(",test,", ",val,"), encoding="utf-8")
    for shade in ("pink", "navy"):
        (here / "colours" / shade / "8.jpg").write_bytes(b"not a picture")
    result = hgld("tiny.yaml", "--data", str(table), "--levels", "shade,hue", *sets("validate_every=1"))
    assert result.exit_code == 1
    assert "2 of 18 val images cannot be read, more than train.max_broken (0.1) allows; the first: " in result.output


def test_state_of_other_validation_images_is_not_used(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_table(here / "colours")
    save = TrainingState.save_epoch

    def save_and_stop(self: TrainingState, *arguments: object) -> None:
        save(self, *arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "save_epoch", save_and_stop)
        with pytest.raises(AssertionError):
            validated(here, "validation_split=test")
    (table.parent / "pink" / "9.jpg").write_bytes((table.parent / "navy" / "9.jpg").read_bytes())
    validated(here, "validation_split=test")
    printed = (here / "output.txt").read_text(encoding="utf-8")
    assert "was saved with other validation images; starting from the first epoch" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv"),
        ([], "no params.yaml here, so no release: give the data, such as --data images.csv"),
        (["happier"], "no params.yaml here, so no release"),
        (["tiny.yaml", "--data", "TABLE", "--set", "best_metric=AP_l7"], "AP_l7"),
        (["tiny.yaml", "--data", "TABLE", "--set", "patience=3"], "train.patience needs a validation"),
        (["tiny.yaml", "--data", "TABLE", "--set", "validation_split=test"], "validation_split needs a validation"),
        (
            ["tiny.yaml", "--data", "TABLE", "--set", "validate_every=1", "--set", "validation_split=dev"],
            "no split 'dev' to validate on; possible: test",
        ),
        (["tiny.yaml", "--data", "TABLE", "--set", "milestones=[1]"], "milestones are the epochs of a schedule"),
        (["tiny.yaml", "--data", "TABLE", "--set", "super_classes=3"], "super_classes 3 must divide the 4 classes"),
        (
            ["tiny.yaml", "--data", "TABLE", "--set", "validate_every=1", "--set", "validation_classes=0.9"],
            "6 classes cannot be divided into 5 for validation",
        ),
    ],
)
def test_faults_are_one_line(here: Path, table: Path, arguments: list[str], message: str) -> None:
    named = [
        part for given in arguments for part in ([str(table), "--levels", "shade,hue"] if given == "TABLE" else [given])
    ]
    result = hgld(*named)
    assert result.exit_code == 1 and message in result.output, result.output
    assert result.output.strip().splitlines()[-1].startswith("Error: ")
