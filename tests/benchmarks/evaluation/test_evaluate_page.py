"""docs/evaluate.md: every command in it runs as written, on a table, a folder, embeddings, and the release."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from click.testing import CliRunner
from PIL import Image

from hgld.benchmarks.models.network import Architecture, build_network, save_checkpoint
from hgld.cli import main
from tests.benchmarks.conftest import make_world
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith(("    hgld ", "    torchrun "))]
CLASSES = ("cat", "dog", "oak", "elm")


def draw(number: int) -> Image.Image:
    """A noisy image of the colour of its class."""
    colour = np.array([(200, 60, 60), (160, 90, 60), (60, 200, 60), (60, 160, 110)][number % 4])
    noise = np.random.default_rng(number).normal(0, 30, (40, 48, 3))
    return Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder without params.yaml: a table, a nested folder, weights, and embeddings of both."""
    home = tmp_path_factory.mktemp("user")
    rows = []
    for number in range(28):
        fine = CLASSES[number % 4]
        coarse = "animal" if number % 4 < 2 else "tree"
        path = Path("photos") / ("train" if number < 12 else "test") / coarse / fine / f"{number}.png"
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(home / path)
        split = "train" if number < 12 else "query" if number < 16 else "gallery"
        rows.append({"path": str(path), "split": split, "fine": fine, "coarse": coarse})
    table = pd.DataFrame(rows)
    table.to_csv(home / "images.csv", index=False)
    torch.manual_seed(0)
    torch.save(timm.create_model("mobilenetv3_small_100").state_dict(), home / "weights.pt")
    vectors = np.stack([np.asarray(draw(number).resize((4, 4))).ravel() for number in range(28)]).astype(np.float32)
    np.savez(home / "embeddings.npz", ids=table["path"].to_numpy(dtype="U"), vectors=vectors - 120)
    np.savez(home / "other.npz", ids=table["path"].to_numpy(dtype="U"), vectors=vectors % 50)
    tests = table["split"] != "train"
    np.save(home / "embeddings.npy", vectors[tests] - 120)
    (home / "ids.txt").write_text("\n".join(table.loc[tests, "path"].str.removeprefix("photos/")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield home


def run(command: str) -> str:
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 8
    assert PAGE.index(COMMANDS[0]) < 100


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("hgld ") and "--data" in c])
def test_a_command_of_the_page_runs(folder: Path, command: str) -> None:
    output = run(command)
    assert "H-AP" in output and ("chance" in output or "later" in command)


def test_the_command_for_the_release_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hgld benchmark model.pt" in COMMANDS
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    make_world(tmp_path / "data" / "sample", per_split={"train": 2, "index": 3, "test": 2})
    network = build_network(Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=32), seed=0)
    save_checkpoint(network, {}, tmp_path / "model.pt")
    assert "untrained" in run("hgld benchmark model.pt")
    assert list((tmp_path / "data" / "sample" / "cache" / "embeddings").glob("*.npz"))


def test_torchrun_of_the_page_gives_what_one_process_gives(folder: Path) -> None:
    (command,) = [c for c in COMMANDS if c.startswith("torchrun ")]
    single = command[command.index("-m hgld.cli") :].replace("-m hgld.cli", "hgld") + " --cache one --out alone"
    run(single)
    words = [*shlex.split(command)[1:], "--cache", "shared", "--out", "together"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".typing")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("metrics.json", "per_query.parquet", "report.html"):
        assert Path("together", name).read_bytes() == Path("alone", name).read_bytes()
    assert {p.name for p in Path("shared").glob("*.npz")} == {p.name for p in Path("one").glob("*.npz")}


def test_metrics_of_the_levels_that_exist_are_computed(folder: Path) -> None:
    run("hgld benchmark embeddings.npz --data images.csv --levels fine,coarse --out two")
    run("hgld benchmark embeddings.npz --data images.csv --levels coarse --out one-level")
    names = {name for name in json.loads(Path("two/metrics.json").read_text()) if name.startswith(("AP_l", "R@1_l"))}
    assert names == {"AP_l0", "AP_l1", "R@1_l0", "R@1_l1"}
    coarse = json.loads(Path("one-level/metrics.json").read_text())
    assert coarse["AP_l0"] == pytest.approx(json.loads(Path("two/metrics.json").read_text())["AP_l1"])
    assert "AP_l1" not in coarse and "untrained_H-AP" not in coarse
    assert coarse["R@1_l0"] > 0.9 > coarse["chance_R@1_l0"]


def test_the_metrics_of_a_named_profile_apply_where_their_levels_exist(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = f"hgld benchmark {folder}/embeddings.npz --data {folder}/images.csv --levels fine,coarse --out out"
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("R@1_l1, ", "R@5_l1, "), encoding="utf-8")
    run(command + " --profile sample")
    named = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "R@5_l1" in named and "R@1_l1" not in named and "R@1_l2" not in named
    run(command)
    ours = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "R@1_l1" in ours and "R@5_l1" not in ours
    (tmp_path / "params.yaml").write_text("train:\n  lr: 0.1\n")  # of another project that uses DVC
    run(command)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == ours


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("embeddings.npz", "no params.yaml here, so no release: give the data"),
        ("embeddings.npz --data images.csv --levels fine,coarse --metrics R@1_l2", "level 2 does not exist"),
        ("embeddings.npz --data images.csv --levels fine,coarse --metrics H-PA", "unknown metric 'H-PA'"),
        ("embeddings.npz --data images.csv --levels fine,coarse --device cuda:99", "device 'cuda:99' cannot be used"),
        ("embeddings.npz --data images.csv --levels fine,coarse --whiten 99", "allow 1 to 11"),
        ("embeddings.npz --data photos", "of its 28 ids are not in the data"),
        ("embeddings.npy --ids ids.txt --data images.csv --levels fine,coarse", "images are missing"),
        (
            "embeddings.npz --data images.csv --levels fine,coarse --backbone mobilenetv3_small_100",
            "does not take --backbone",
        ),
        ("weights.pt --data images.csv --levels fine,coarse", "--backbone"),
        ("embeddings.npz --data images.csv --levels fine,coarse --out embeddings.npz", "is a file"),
    ],
)
def test_what_cannot_be_scored_is_one_line(folder: Path, command: str, message: str) -> None:
    result = CliRunner().invoke(main, ["benchmark", *shlex.split(command)])
    assert result.exit_code in (1, 2)
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and message in errors[0], result.output
