"""Training and benchmark on a drawn world: it learns, chance does not, and equal inputs give equal bytes."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import torch

from hgld.benchmarks.evaluation import benchmark as evaluate
from hgld.benchmarks.training import train
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256
from hgld.foundation.settings import LossTerm, Params
from hgld.foundation.tables import write_parquet
from tests.benchmarks.conftest import make_world, tiny


def test_trained_beats_untrained_and_shuffled_labels_fall_to_chance(world: Params) -> None:
    train.run(world)
    evaluate.run(world)
    folder = world.data / "benchmark"
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert found["H-AP"] > found["untrained_H-AP"] + 0.05
    assert found["R@1_l0"] > 0.9
    # Five landmarks of eight images: one random image in five shows the query's landmark.
    assert found["chance_R@1_l0"] == pytest.approx(0.2, abs=0.12)
    assert found["chance_H-AP"] < found["untrained_H-AP"]
    assert (found["queries"], found["gallery"], found["left_out"], found["lists_differ"]) == (29, 40, 1, 0)
    per_query = pd.read_parquet(folder / "per_query.parquet")
    assert per_query["image_id"].is_monotonic_increasing
    assert per_query["H-AP"].mean() == pytest.approx(found["H-AP"], abs=1e-6)
    public = per_query.loc[per_query["usage"] == "Public", "mAP@100_l0"].mean()
    assert found["mAP@100_l0_Public"] == pytest.approx(public, abs=1e-6)


def test_the_report_is_self_contained_and_complete(world: Params) -> None:
    world = tiny(world, epochs=1)
    train.run(world)
    report = evaluate.benchmark(world.data / "train" / "model.pt", world, world.data / "benchmark")
    html = (world.data / "benchmark" / "report.html").read_text(encoding="utf-8")
    for outside in ("http://", "https://", "<script", "url("):
        assert outside not in html.replace("http://www.w3.org/2000/svg", "")
    assert html.count('<section class="query"') == 3
    assert html.count("data:image/jpeg;base64,") == 3 * 11
    assert "Blue Lake" in html and "same natural or human made" in html
    assert report.table().row_count == len(report.scores.columns)
    assert report.text() == (world.data / "benchmark" / "table.txt").read_text(encoding="utf-8")
    assert "H-AP" in report.text() and "untrained" in report.text()
    assert "29 queries against 40 index images; 1 test images left out" in report.note()


def test_two_runs_give_equal_bytes(world: Params) -> None:
    world = tiny(world, epochs=2)
    sums = []
    for _ in range(2):
        train.run(world)
        evaluate.run(world)
        files = [p for stage in ("train", "benchmark") for p in sorted((world.data / stage).iterdir())]
        sums.append({file.name: sha256(file) for file in files})
    assert sums[0] == sums[1]
    assert set(sums[0]) == {
        "curves.csv",
        "metrics.json",
        "model.pt",
        "per_query.parquet",
        "report.html",
        "table.txt",
    }


def test_training_leaves_the_global_state_alone(world: Params) -> None:
    before = torch.get_rng_state(), torch.get_num_threads()
    train.run(tiny(world, epochs=1))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == torch.get_num_threads()
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_broken_image_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Params
) -> None:
    monkeypatch.chdir(tmp_path)
    make_world(settings.data, per_split={"train": 4, "index": 2, "test": 2}, broken="0000000000000003")
    with pytest.raises(HgldError, match="image 0000000000000003: not a readable picture"):
        train.run(settings)
    assert not (settings.data / "train").exists()


def test_a_loss_that_diverges_is_an_error(world: Params) -> None:
    with pytest.raises(HgldError, match="the loss is not finite in epoch"):
        train.run(tiny(world, lr=1e30, epochs=3))


def test_the_curves_hold_every_term(world: Params) -> None:
    train.run(tiny(world, epochs=2))
    curves = pd.read_csv(world.data / "train" / "curves.csv")
    assert list(curves.columns) == ["epoch", "loss", "sup_hap", "cluster", "lr"]
    assert curves["epoch"].tolist() == [1, 2]
    weighted = 0.9 * curves["sup_hap"] + 0.1 * curves["cluster"]
    assert curves["loss"].tolist() == pytest.approx(weighted.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "curves", "message"),
    [
        ({"metrics": ["H-PA"]}, "", "unknown metric 'H-PA'"),
        ({"metrics": ["AP_l7"]}, "", "level 7"),
        ({}, "epoch,loss\n1,high\n", "curves.csv: column 'loss'"),
        ({}, "", "curves.csv: not a table"),
    ],
)
def test_what_cannot_be_reported_is_found_before_the_model_is_read(
    tmp_path: Path, settings: Params, change: dict[str, object], curves: str, message: str
) -> None:
    (tmp_path / "curves.csv").write_text(curves, encoding="utf-8")
    asked = settings.model_copy(update={"benchmark": settings.benchmark.model_copy(update=change)})
    with pytest.raises(HgldError, match=message):
        evaluate.benchmark(tmp_path / "none.pt", asked, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "level", "message"),
    [
        ("sup_hpa", 0, "unknown loss 'sup_hpa'; did you mean 'sup_hap'"),
        ("cluster", 9, "level must be .* found 9"),
    ],
)
def test_a_loss_that_is_not_there_is_found_before_anything_is_read(
    settings: Params, name: str, level: int, message: str
) -> None:
    with pytest.raises(HgldError, match=message):
        train.run(tiny(settings, loss=[LossTerm(name=name, weight=1.0, settings={"level": level})]))


@pytest.mark.parametrize("seed", [2**70, True, "7", None, 1.5])
def test_a_seed_that_torch_does_not_take_counts_as_none(seed: object) -> None:
    assert evaluate.first_seed({"train": {"seed": seed}}) == 0


class Balanced(HTMLParser):
    """Raises when a tag is closed that is not the last one open."""

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


def test_the_report_is_well_formed_and_escapes_names(world: Params) -> None:
    for split in ("train", "index", "test"):
        path = world.data / "release" / f"{split}.parquet"
        table = pd.read_parquet(path)
        for column in ("category", "hierarchical_label"):
            table[column] = table[column].str.replace("Lake", "<b>&", regex=False)
        write_parquet(table, path)
    train.run(tiny(world, epochs=1))
    evaluate.run(world)
    html = (world.data / "benchmark" / "report.html").read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(html)
    assert not parser.open
    assert "Blue &lt;b&gt;&amp;" in html
    assert "Blue <b>" not in html


def test_what_else_lies_in_the_output_folder_stays(world: Params, tmp_path: Path) -> None:
    train.run(tiny(world, epochs=1))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work", encoding="utf-8")
    evaluate.benchmark(world.data / "train" / "model.pt", world, mine)
    assert (mine / "thesis.txt").exists()
    assert (mine / "report.html").exists()
