"""Training and benchmark on the small world: it learns, chance does not, and equal inputs give equal bytes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

from hgld.benchmarks.evaluation import benchmark
from hgld.benchmarks.evaluation.scoring import means_by_source
from hgld.benchmarks.models.sources.checkpoint import initial_seed
from hgld.benchmarks.training import train
from hgld.foundation.errors import HgldError
from hgld.foundation.files import sha256, write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.fusion.evidence_kinds import KINDS
from tests.benchmarks.conftest import add_places, make_world, tiny
from tests.browser import browser, unreadable

LEVELS = ("landmark", "hierarchical label", "natural or human made")


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


def test_class_averages_are_computed_by_name_and_change_nothing_else(
    data: Path, settings: Params, tmp_path: Path
) -> None:
    """Each class counts once; `AP_l1 macro` is over the classes of level 1."""
    asked = [*settings.benchmark.metrics, "AP_l1 macro", "NDCG macro"]
    changed = settings.model_copy(update={"benchmark": settings.benchmark.model_copy(update={"metrics": asked})})
    result = benchmark.benchmark(data / "train" / "model.pt", changed, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    before = json.loads((data / "benchmark" / "metrics.json").read_text(encoding="utf-8"))
    rows = pd.read_parquet(tmp_path / "per_query.parquet")
    for name, column in (("AP_l1", "hierarchical_label"), ("NDCG", "category")):
        expected = rows.groupby(column)[name].mean().mean()
        assert metrics[f"{name}_macro"] == pytest.approx(expected, abs=1e-6)
        assert result.scores.loc["model", f"{name} macro"] == pytest.approx(expected)
    assert metrics["untrained_AP_l1_macro"] != metrics["untrained_AP_l1"]  # labels have one landmark or two
    assert {name: value for name, value in metrics.items() if "_macro" not in name} == before
    own = pd.read_parquet(data / "benchmark" / "per_query.parquet")
    assert list(own) == [name for name in rows if name not in ("class_l1", "class_l0")]


def test_report_is_complete_self_contained_and_leaves_other_files_alone(
    data: Path, settings: Params, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    result = benchmark.benchmark(data / "train" / "model.pt", settings, tmp_path)
    assert (tmp_path / "thesis.txt").exists()
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for external in ("http://", "https://", "<script", "url("):
        assert external not in html.replace("http://www.w3.org/2000/svg", "")
    examples = html.count('<section class="query"')
    titles = re.findall("<h3>(.*?)</h3>", html)
    assert titles[:4] == [*LEVELS, "3 queries, evenly from the highest H-AP to the lowest"]
    assert titles[4] == "3 other queries with the lowest H-AP" and 6 <= examples <= 9
    assert html.count("data:image/jpeg;base64,") == examples * 11
    assert html.count('class="s0 points"') == len(LEVELS) + 1  # a map per level, AP against H-AP
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


def break_image(data: Path, image: str) -> None:
    """Overwrite the bytes of an image by zeros."""
    row = pd.read_parquet(data / "images" / "images.parquet").set_index("id").loc[image]
    with (data / "images" / row["tar"]).open("r+b") as handle:
        handle.seek(int(row["offset"]))
        handle.write(bytes(int(row["size"])))


def test_broken_images_are_left_out_of_queries_and_gallery_and_counted(
    data: Path, settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scores are those of a release without these images."""
    shutil.copytree(data, tmp_path / data)
    monkeypatch.chdir(tmp_path)
    query, gallery = "2" + "0" * 14 + "1", [f"1{number:015x}" for number in (0, 7)]
    for image in (query, *gallery):
        break_image(data, image)
    result = benchmark.benchmark(data / "train" / "model.pt", settings, tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    names = ("queries", "gallery", "broken_queries", "broken_gallery")
    assert [metrics[name] for name in names] == [28, 38, 1, 2]
    assert "1 queries and 2 index images cannot be read and are left out" in " ".join(result.text().split())
    printed = capsys.readouterr().out
    assert "1 of 29 query images cannot be read" in printed and "2 of 40 gallery images cannot be read" in printed
    assert query not in set(result.per_query["image_id"])

    for split, left_out in (("test", [query]), ("index", gallery)):
        path = data / "release" / f"{split}.parquet"
        table = pd.read_parquet(path)
        write_parquet(table[~table["image_id"].isin(left_out)], path)
    expected = benchmark.benchmark(data / "train" / "model.pt", settings, None)
    pd.testing.assert_frame_equal(result.scores, expected.scores)
    pd.testing.assert_frame_equal(result.per_query, expected.per_query)


def test_too_many_broken_images_are_an_error(
    data: Path, settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data, tmp_path / data)
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        break_image(data, f"1{number:015x}")
    with pytest.raises(HgldError, match=r"5 of 40 gallery images .* more than benchmark.max_broken \(0.1\) allows"):
        benchmark.benchmark(data / "train" / "model.pt", settings, None)


@pytest.mark.parametrize(
    ("change", "curves", "message"),
    [
        ({"metrics": ["H-PA"]}, "", "unknown metric 'H-PA'"),
        ({"metrics": ["AP_l7"]}, "", "level 7"),
        ({"metrics": ["AP_l0 marco"]}, "", "did you mean 'AP_l0 macro'"),
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


def test_report_names_checkpoint_and_release_and_what_has_no_label(
    data: Path, settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data, tmp_path / data)
    monkeypatch.chdir(tmp_path)
    release = data / "release"
    write_text('{"name": "H-World\\u202e", "version": "7.1", "made_with": "hgld 0.0.9"}', release / "metadata.json")
    for split in ("train", "index", "test"):
        table = pd.read_parquet(release / f"{split}.parquet")
        table.loc[table["category"] == "Blue Lake", ["hierarchical_label", "natural_or_human_made"]] = ""
        write_parquet(table, release / f"{split}.parquet")
    model = data / "train" / "model.pt"
    gallery = settings.benchmark.model_copy(update={"gallery_queries": 29})
    benchmark.benchmark(model, settings.model_copy(update={"benchmark": gallery}), Path("out"))
    html = Path("out/report.html").read_text(encoding="utf-8")
    facts = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", html))
    assert facts == {
        "checkpoint": f"model.pt, SHA-256 {sha256(model)[:16]}…",
        "release": r"H-World\u202e 7.1",
        "release made with": "hgld 0.0.9",
        "images": "29 queries, 40 in the index; 64 to train on",
        "scored with": f"hgld {version('hgld')}",
    }
    assert "<b>Blue Lake</b><br>no label<br>" in html and "<b>Green Lake</b><br>lake · natural<br>" in html
    assert "? Blue Lake" not in html
    assert "6 of 29 queries have no hierarchical label." in html


def test_report_has_the_scores_by_the_source_of_the_label(
    data: Path, settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data, tmp_path / data)
    monkeypatch.chdir(tmp_path)
    release = data / "release"
    test = pd.read_parquet(release / "test.parquet")
    sources = dict(zip(sorted(test["category"].unique()), ["wikidata", "review", "clip", "name", ""], strict=False))
    write_parquet(pd.DataFrame({"category": sources.keys(), "source": sources.values()}), release / "labels.parquet")
    result = benchmark.benchmark(data / "train" / "model.pt", settings, Path("out"))
    rows = result.per_query.assign(source=result.per_query["category"].map(sources).fillna(""))
    groups = {
        "all": rows,
        "Wikidata or a person": rows[rows["source"].isin(["wikidata", "review"])],
        "names or images": rows[rows["source"].isin(["clip", "name"])],
        "no label": rows[rows["source"] == ""],
    }
    groups = {name: group for name, group in groups.items() if len(group)}
    assert list(result.by_source.index) == list(groups) and len(groups) > 2
    for name, group in groups.items():
        assert result.by_source.loc[name, "queries"] == len(group)
        assert result.by_source.loc[name, "H-AP"] == pytest.approx(group["H-AP"].mean(), abs=1e-12)
    html = Path("out/report.html").read_text(encoding="utf-8")
    assert "<h2>By the source of the label</h2>" in html
    assert f'<th scope="row">names or images</th><td>{len(groups["names or images"])}</td>' in html


def test_report_has_the_scores_by_continent(
    data: Path, settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data, tmp_path / data)
    monkeypatch.chdir(tmp_path)
    add_places(data)
    levels = ("landmark", "country", "continent")
    result = benchmark.benchmark(data / "train" / "model.pt", settings, Path("out"), benchmark.Choice(levels=levels))
    rows = result.per_query
    groups = {
        "all": rows,
        "Asia": rows[rows["continent"] == "Asia"],
        "Europe": rows[rows["continent"] == "Europe"],
        "no continent": rows[rows["continent"] == ""],
    }
    assert list(result.by_continent.index) == list(groups)
    for name, group in groups.items():
        assert result.by_continent.loc[name, "queries"] == len(group) > 0
        assert result.by_continent.loc[name, "R@1_l0"] == pytest.approx(group["R@1_l0"].mean(), abs=1e-12)
    html = Path("out/report.html").read_text(encoding="utf-8")
    assert "<h2>By continent</h2>" in html
    assert f'<th scope="row">Europe</th><td>{len(groups["Europe"])}</td>' in html
    assert "<b>Grey Peak</b><br>FR · Europe<br>" in html or "<b>White Church</b><br>JP · Asia<br>" in html
    assert "<h2>By continent</h2>" not in (data / "benchmark" / "report.html").read_text(encoding="utf-8")


@browser
@pytest.mark.parametrize("dark", [False, True])
def test_report_is_legible_on_a_screen_and_on_a_phone(data: Path, tmp_path: Path, dark: bool) -> None:
    assert unreadable(data / "benchmark" / "report.html", tmp_path, dark=dark) == []


@pytest.mark.parametrize("seed", [2**70, True, "7", None, 1.5])
def test_a_seed_that_torch_does_not_accept_counts_as_none(seed: object) -> None:
    assert initial_seed({"train": {"seed": seed}}) == 0


def test_labels_that_people_gave_are_not_automatic() -> None:
    sources = [kind.source for kind in KINDS]
    table = means_by_source(pd.DataFrame({"H-AP": range(len(sources))}), sources)
    automatic = [place for place, kind in enumerate(KINDS) if kind.module]
    assert list(table.index) == ["all", "Wikidata or a person", "names or images"]
    assert table.loc["names or images", "queries"] == len(automatic)
    assert table.loc["names or images", "H-AP"] == sum(automatic) / len(automatic)
