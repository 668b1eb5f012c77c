"""Training and benchmark on the small world: it learns, chance does not, and equal inputs give equal bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from hgld.benchmarks.evaluation import benchmark
from hgld.benchmarks.training import train
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from tests.benchmarks.conftest import make_world, tiny


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Iterator[Path]:
    """The small world in the working folder, with the outputs of the stages train and benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("world"))
        make_world(settings.data)
        train.run(settings)
        benchmark.run(settings)
        yield settings.data


def test_trained_model_beats_untrained_one_and_chance(data: Path) -> None:
    metrics = json.loads((data / "benchmark" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["H-AP"] > metrics["untrained_H-AP"] + 0.05
    assert metrics["R@1_l0"] > 0.9
    # Five landmarks with eight images each: a random image shows the query's landmark with probability 1/5.
    assert metrics["chance_R@1_l0"] == pytest.approx(0.2, abs=0.12)
    assert metrics["chance_H-AP"] < metrics["untrained_H-AP"]
    counts = [metrics[name] for name in ("queries", "gallery", "left_out", "lists_differ")]
    assert counts == [29, 40, 1, 0]


def test_metrics_are_the_means_of_the_queries(data: Path) -> None:
    metrics = json.loads((data / "benchmark" / "metrics.json").read_text(encoding="utf-8"))
    per_query = pd.read_parquet(data / "benchmark" / "per_query.parquet")
    assert per_query["image_id"].is_monotonic_increasing
    assert per_query["H-AP"].mean() == pytest.approx(metrics["H-AP"], abs=1e-6)
    public = per_query.loc[per_query["usage"] == "Public", "mAP@100_l0"].mean()
    assert metrics["mAP@100_l0_Public"] == pytest.approx(public, abs=1e-6)


def test_report_is_complete_self_contained_and_leaves_other_files_alone(
    data: Path, settings: Params, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    result = benchmark.benchmark(data / "train" / "model.pt", settings, tmp_path)
    assert (tmp_path / "thesis.txt").exists()
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for external in ("http://", "https://", "<script", "url("):
        assert external not in html.replace("http://www.w3.org/2000/svg", "")
    assert html.count('<section class="query"') == 3
    assert html.count("data:image/jpeg;base64,") == 3 * 11
    assert "Blue Lake" in html and "same natural or human made" in html and "H-AP by hierarchical label" in html
    assert result.table().row_count == len(result.scores.columns)
    assert result.text() == (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert "H-AP" in result.text() and "untrained" in result.text()
    assert "29 queries against 40 index images; 1 test images left out" in result.note()
    assert html == (data / "benchmark" / "report.html").read_text(encoding="utf-8")


class BalancedTags(HTMLParser):
    """Raises when a closing tag does not match the last open one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()


def test_report_is_well_formed_and_escapes_names(
    data: Path, settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data, tmp_path / data)
    monkeypatch.chdir(tmp_path)
    for split in ("train", "index", "test"):
        path = data / "release" / f"{split}.parquet"
        table = pd.read_parquet(path)
        for column in ("category", "hierarchical_label"):
            table[column] = table[column].str.replace("Lake", "<b>&", regex=False)
        write_parquet(table, path)
    benchmark.run(settings)
    html = (data / "benchmark" / "report.html").read_text(encoding="utf-8")
    parser = BalancedTags()
    parser.feed(html)
    assert not parser.open
    assert "Blue &lt;b&gt;&amp;" in html
    assert "Blue <b>" not in html


def test_two_runs_give_equal_bytes(world: Params) -> None:
    world = tiny(world, epochs=2)
    hashes = []
    for _ in range(2):
        train.run(world)
        benchmark.run(world)
        paths = [path for stage in ("train", "benchmark") for path in sorted((world.data / stage).iterdir())]
        hashes.append({path.name: sha256(path) for path in paths})
    assert hashes[0] == hashes[1]
    assert set(hashes[0]) == {
        "curves.csv",
        "metrics.json",
        "model.pt",
        "per_query.parquet",
        "report.html",
        "table.txt",
    }


@pytest.mark.parametrize(
    ("change", "curves", "message"),
    [
        ({"metrics": ["H-PA"]}, "", "unknown metric 'H-PA'"),
        ({"metrics": ["AP_l7"]}, "", "level 7"),
        ({}, "epoch,loss\n1,high\n", "curves.csv: column 'loss'"),
        ({}, "", "curves.csv: not a table"),
    ],
)
def test_wrong_inputs_are_reported_before_the_model_is_read(
    tmp_path: Path, settings: Params, change: dict[str, object], curves: str, message: str
) -> None:
    (tmp_path / "curves.csv").write_text(curves, encoding="utf-8")
    changed = settings.model_copy(update={"benchmark": settings.benchmark.model_copy(update=change)})
    with pytest.raises(HgldError, match=message):
        benchmark.benchmark(tmp_path / "none.pt", changed, tmp_path / "out")


@pytest.mark.parametrize("seed", [2**70, True, "7", None, 1.5])
def test_a_seed_that_torch_does_not_accept_counts_as_none(seed: object) -> None:
    assert benchmark.initial_seed({"train": {"seed": seed}}) == 0
