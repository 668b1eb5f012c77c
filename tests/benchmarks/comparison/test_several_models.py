"""`hgld benchmark A B C`: the same numbers as one after the other, names, and what stops before anything is scored."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hgld.benchmarks.comparison import several_models
from hgld.benchmarks.comparison.several_models import benchmark_all, named_models
from hgld.benchmarks.evaluation.benchmark import Choice
from hgld.benchmarks.evaluation.scoring import OtherRankError
from hgld.cli import main
from hgld.foundation.errors import HgldError


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A table of 24 images of six classes in two groups; embeddings of three qualities, one of them named alike."""
    home = tmp_path_factory.mktemp("several")
    paths = [f"{number}.png" for number in range(24)]
    for path in paths:
        Image.new("RGB", (8, 8), (int(path[:-4]) * 9, 40, 90)).save(home / path)
    fine = np.arange(24) % 6
    pd.DataFrame({"path": paths, "split": "test", "fine": fine, "coarse": fine % 2}).to_csv(home / "t.csv", index=False)
    rng = np.random.default_rng(0)
    for name, noise in (("good.npz", 0.1), ("poor.npz", 0.8), ("other/good.npz", 0.4)):
        (home / name).parent.mkdir(exist_ok=True)
        vectors = np.eye(6)[fine] + rng.normal(0, noise, (24, 6))
        np.savez(home / name, ids=np.array(paths), vectors=vectors.astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        yield home


def hgld(line: str) -> Result:
    return CliRunner().invoke(main, shlex.split(line))


DATA = "--data t.csv --levels fine,coarse"


def test_the_table_is_that_of_the_leaderboard_of_models_scored_one_by_one(tmp_path: Path) -> None:
    together = hgld(f"benchmark good.npz poor.npz {DATA} --out {tmp_path / 'all'} --format json")
    assert together.exit_code == 0, together.output
    for name in ("good", "poor"):
        assert hgld(f"benchmark {name}.npz {DATA} --out {tmp_path / name}").exit_code == 0
        for file in ("per_query.parquet", "report.html", "table.txt", "metrics.json"):
            assert (tmp_path / "all" / name / file).read_bytes() == (tmp_path / name / file).read_bytes()
    apart = hgld(f"leaderboard {tmp_path / 'good'} {tmp_path / 'poor'} --format json")
    assert json.loads(together.stdout) == json.loads(apart.stdout)
    assert (tmp_path / "all" / "leaderboard.json").read_text() == apart.stdout
    assert '<th scope="col">poor</th>' in (tmp_path / "all" / "leaderboard.html").read_text()
    best = next(cell for cell in json.loads(apart.stdout)["cells"] if cell["metric"] == "H-AP" and cell["best"])
    assert best["model"] == "good"


def test_without_a_folder_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = hgld(f"benchmark good.npz other/good.npz {DATA} --metrics H-AP")
    assert done.exit_code == 0, done.output
    assert "other-good" in done.stdout and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["a/model.pt", "b/model.pt"], ["a-model", "b-model"]),
        (["a/x/model.pt", "b/x/model.pt", "x.onnx"], ["a-x-model", "b-x-model", "x"]),
        (["good.npz", "other/good.npz"], ["good", "other-good"]),
        (["one=a.pt", "timm:resnet18"], ["one", "resnet18"]),
        (["open_clip:ViT-B-32/laion2b", "pkg.models:vit"], ["laion2b", "vit"]),
        (["timm:hf-hub:me/net.v2", "../x y.pt"], ["net.v2", "x_y"]),
        ([".pt", "ö/…"], ["pt", "ö"]),
    ],
)
def test_names(models: list[str], names: list[str]) -> None:
    assert list(named_models(models)) == names


@pytest.mark.parametrize("models", [["a.pt", "a.pt"], ["a=x.pt", "a=y.pt"], ["a=x.pt", "a.pt"]])
def test_equal_names_are_an_error(models: list[str]) -> None:
    with pytest.raises(HgldError, match="another model has the same name; give each a name: NAME="):
        named_models(models)


def test_a_model_that_does_not_exist_is_said_before_any_is_scored(tmp_path: Path) -> None:
    done = hgld(f"benchmark good.npz late=nothing.pt {DATA} --out {tmp_path / 'out'}")
    assert done.exit_code == 1 and done.output.startswith("Error: late: nothing.pt: no such file")
    assert not (tmp_path / "out").exists()


def test_an_error_names_the_model_and_the_finished_ones_stay(tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", ids=np.array(["0.png"]), vectors=np.ones((1, 3), np.float32))
    done = hgld(f"benchmark good.npz {tmp_path / 'few.npz'} {DATA} --out {tmp_path / 'out'}")
    assert done.exit_code == 1 and "Error: few: " in done.output and "23" in done.output
    assert (tmp_path / "out" / "good" / "metrics.json").is_file()
    assert not (tmp_path / "out" / "leaderboard.json").exists()


def test_results_never_take_the_place_of_a_model(tmp_path: Path) -> None:
    model = tmp_path / "good" / "report.html"
    model.parent.mkdir()
    model.write_bytes(Path("good.npz").read_bytes())
    done = hgld(f"benchmark {model.parent} poor.npz {DATA} --out {tmp_path}")
    assert done.exit_code == 1 and done.output.startswith("Error: good: ")
    model = tmp_path / "leaderboard.json"
    model.write_bytes(Path("good.npz").read_bytes())
    done = hgld(f"benchmark a={model} poor.npz {DATA} --out {tmp_path}")
    assert done.exit_code == 1 and str(model) in done.output
    assert model.read_bytes() == Path("good.npz").read_bytes()


def test_every_process_of_torchrun_takes_part_in_every_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes other than the first leave `benchmark` by an exception, after their part of the embeddings."""
    seen: list[str] = []

    def other_rank(model: str, *_: object) -> None:
        seen.append(model)
        raise OtherRankError("rank 1 of 2: its embeddings are in the cache")

    monkeypatch.setattr(several_models, "benchmark", other_rank)
    with pytest.raises(OtherRankError):
        benchmark_all(["good.npz", "poor.npz"], None, None, Choice(data="t.csv"))
    assert seen == ["good.npz", "poor.npz"]
