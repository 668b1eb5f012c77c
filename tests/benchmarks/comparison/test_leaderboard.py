"""`hgld leaderboard`: two models trained and scored on the small world, and results that do not belong together."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hgld.benchmarks.comparison.finished_runs import read_runs
from hgld.benchmarks.comparison.leaderboard import compare
from hgld.benchmarks.evaluation import benchmark
from hgld.benchmarks.evaluation.benchmark import Choice
from hgld.benchmarks.training import train
from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from tests.benchmarks.conftest import make_world, tiny
from tests.browser import browser, unreadable
from tests.paths import ROOT

METRICS = ("H-AP", "AP_l0", "R@1_l0", "AP_l0 macro", "AP_l1 macro")
ALSO = ("mAP@100_l0", "AP_l1")  # always computed; what a macro metric averages


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Iterator[Path]:
    """The working folder, with the results of a model trained for 12 epochs and of one trained for one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("world"))
        make_world(settings.data)
        for name, epochs in (("long", 12), ("short", 1)):
            train.run(tiny(settings, epochs=epochs))
            model = settings.data / "train" / "model.pt"
            benchmark.benchmark(model, settings, Path(name), Choice(metrics=METRICS))
        yield Path.cwd()


def leaderboard(*words: str) -> Result:
    return CliRunner().invoke(main, ["leaderboard", *words])


def cells(*words: str) -> dict[tuple[str, str], dict[str, str]]:
    done = leaderboard(*words, "--format", "csv", "--resamples", "2000")
    assert done.exit_code == 0, done.output
    return {(row["model"], row["metric"]): row for row in csv.DictReader(io.StringIO(done.output))}


def test_means_are_those_of_the_runs_and_intervals_surround_them() -> None:
    table = cells("short", "long")
    assert {metric for _, metric in table} == {*METRICS, *ALSO}
    for (model, metric), row in table.items():
        stated = json.loads(Path(model, "metrics.json").read_text())[metric.replace(" ", "_")]
        assert float(row["mean"]) == pytest.approx(stated, abs=2e-6)
        assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])
        assert row["count"] == ("29" if "macro" not in metric else "5" if "l0" in metric else "3")


def test_differences_are_to_the_best_model_and_significant_where_the_training_helped() -> None:
    table = cells("short", "long")
    assert next(iter(table))[0] == "long"  # best first
    best, other = table["long", "H-AP"], table["short", "H-AP"]
    assert (best["best"], best["reference"], best["p"], other["best"], other["reference"]) == (
        *("True", "", "", "False", "long"),
    )
    difference = float(other["mean"]) - float(best["mean"])
    assert float(other["difference"]) == pytest.approx(difference, abs=2e-6) and difference < -0.05
    assert float(other["difference_high"]) < 0 and float(other["p_holm"]) < 0.01
    # With 5 classes no more than 2 of 32 signings are as far from 0: 1/16 at least, whatever the models.
    assert float(table["short", "AP_l0 macro"]["p"]) == 2 / 32


def test_differences_are_paired() -> None:
    """Their interval is narrower than that of a comparison that forgets which query is which."""
    row, other = cells("short", "long")["short", "H-AP"], cells("short", "long")["long", "H-AP"]
    paired = float(row["difference_high"]) - float(row["difference_low"])
    widths = [float(cell["high"]) - float(cell["low"]) for cell in (row, other)]
    assert paired < float(np.hypot(*widths))


def test_baseline_takes_the_place_of_the_best() -> None:
    table = cells("short", "long", "--baseline", "short", "--metrics", "R@1_l0,H-AP")
    assert table["long", "H-AP"]["reference"] == "short" and float(table["long", "H-AP"]["difference"]) > 0.05
    assert {metric for _, metric in table} == {"R@1_l0", "H-AP"}


def test_text_and_json_and_latex_and_markdown_show_the_same_means(tmp_path: Path) -> None:
    board = compare(read_runs(["short", "long"]))
    means = {f"{cell.mean:.3f}" for cell in board.cells.values()}
    best = {f"{cell.mean:.3f}" for cell in board.cells.values() if cell.best}
    text, markdown, latex = (leaderboard("short", "long", "--format", form).output for form in ("table", "md", "latex"))
    for shown in (text, markdown, latex):
        assert all(mean in shown for mean in means)
    assert max(map(len, text.splitlines())) <= 100
    assert set(re.findall(r"(0\.\d{3}|1\.000)\*? best", text)) == best
    assert set(re.findall(r"\*\*([\d.]+)\*\*", markdown)) == best
    assert set(re.findall(r"\\textbf{([\d.]+)}", latex)) == best
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 9 for line in markdown.splitlines() if line.startswith("|"))
    assert all(line.count("&") == 7 for line in latex.splitlines() if line.endswith(r" \\"))
    assert r"R@1\_l0" in latex
    content = json.loads(leaderboard("short", "long", "--format", "json").output)
    assert (content["baseline"], content["queries"], len(content["cells"])) == (None, 29, 2 * 7)
    for row in content["cells"]:
        assert row["mean"] == round(board.cells[row["model"], row["metric"]].mean, 6)
    done = leaderboard("short", "long", "--format", "latex", "--out", str(tmp_path / "table.tex"))
    assert done.output == f"written to {tmp_path / 'table.tex'}\n"
    assert (tmp_path / "table.tex").read_text(encoding="utf-8") == latex


def test_same_seed_gives_same_output() -> None:
    assert leaderboard("short", "long").output == leaderboard("short", "long").output
    assert leaderboard("short", "long").output != leaderboard("short", "long", "--seed", "7").output


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count += tag == "td"


@browser
@pytest.mark.parametrize("dark", [False, True])
def test_page_has_a_column_per_model_and_is_legible(tmp_path: Path, dark: bool) -> None:
    page = tmp_path / "board.html"
    assert leaderboard("short", "<b>x</b>=long", "--format", "html", "--out", str(page)).exit_code == 0
    html, parser = page.read_text(encoding="utf-8"), Cells()
    parser.feed(html)
    assert parser.count == 2 * 7 and "<b>x</b>" not in html and "&lt;b&gt;x" in html
    assert unreadable(page, tmp_path, dark=dark) == []


def test_equal_models_are_both_best_and_do_not_differ(tmp_path: Path) -> None:
    shutil.copytree("long", tmp_path / "long")
    table = cells("long", str(tmp_path / "long"), "--metrics", "H-AP")
    names = [model for model, _ in table]
    assert len(set(names)) == 2 and all(name.endswith("/long") for name in names)
    assert [row["best"] for row in table.values()] == ["True", "True"]
    assert [row["p_holm"] for row in table.values()] == ["", "1.0"]


def test_every_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree("long", tmp_path / "results" / "vit")
    shutil.copytree("short", tmp_path / "results" / "resnet")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in page.splitlines() if line.startswith("    hgld leaderboard")]
    assert len(commands) == 3
    for _, *words in commands:
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
    assert Path("table.tex").exists() and "ours" in Path("leaderboard.html").read_text(encoding="utf-8")


def test_one_result_is_compared_with_nothing() -> None:
    done = leaderboard("long")
    assert done.exit_code == 0 and "Holm" not in done.output and "H-AP" in done.output


def test_a_query_where_a_metric_is_undefined_does_not_count(tmp_path: Path) -> None:
    for name in ("long", "short"):
        change(name, tmp_path / name, lambda table: table.assign(**{"R@1_l0": table["R@1_l0"].where(table.index > 3)}))
    board = compare(read_runs([str(tmp_path / "long"), str(tmp_path / "short")]), ["R@1_l0"], resamples=500)
    cell = board.cells["long", "R@1_l0"]
    table = pd.read_parquet(tmp_path / "long" / "per_query.parquet")
    assert cell.count == 25 and cell.mean == pytest.approx(table["R@1_l0"].iloc[4:].mean())
    for name in ("long", "short"):
        change(name, tmp_path / name, lambda table: table.assign(**{"R@1_l0": np.nan}))
    board = compare(read_runs([str(tmp_path / "long"), str(tmp_path / "short")]), ["R@1_l0", "H-AP"], resamples=500)
    assert board.cells["long", "R@1_l0"].count == 0 and not board.cells["long", "R@1_l0"].best
    assert board.cells["short", "H-AP"].p_holm == board.cells["short", "H-AP"].p  # one comparison


def change(source: str, target: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], **summary: object) -> None:
    """A copy of a result with other rows; metrics.json has their means."""
    table = edit(pd.read_parquet(Path(source) / "per_query.parquet"))
    write_parquet(table, target / "per_query.parquet")
    metrics = json.loads((Path(source) / "metrics.json").read_text())
    metrics |= {name: round(float(value), 6) for name, value in table.mean(numeric_only=True).items()}
    (target / "metrics.json").write_text(json.dumps({**metrics, **summary}).replace("NaN", "null"))


def other_ids(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(image_id=["x" + name if n < 2 else name for n, name in enumerate(table["image_id"])])


@pytest.mark.parametrize(
    ("edit", "summary", "message"),
    [
        (lambda t: t.iloc[1:], {}, r"\(29 and 28 queries\): 1 only in long, such as '20+'; score the models again"),
        (other_ids, {}, r"2 only in long, such as .*; 2 only in other, such as 'x2"),
        (lambda t: t, {"gallery": 39}, "scored against 40 and 39 index images"),
        (lambda t: t.assign(category="Lake"), {}, "the values of 'category' differ, 29 in all"),
        (lambda t: t.assign(**{"H-AP": t["H-AP"].where(t.index > 0)}), {}, "'H-AP' are defined for different queries"),
        (lambda t: t.assign(class_l0=t["class_l0"] + 1), {}, "the values of 'class_l0' differ"),
        (lambda t: t, {"H-AP": 0.123}, r"metrics.json beside it says 0.123000: the files are of different runs"),
        (lambda t: t.assign(**{"H-AP": 7.0}), {}, "values that are not scores from 0 to 1"),
        (lambda t: t.assign(**{"H-AP": "high"}), {}, "values that are not scores from 0 to 1"),
        (lambda t: t.assign(image_id="a"), {}, "expected a column image_id with one id per row"),
        (lambda t: t[["image_id"]], {}, "no column is a metric"),
        (lambda t: t.iloc[:0], {}, "no queries"),
        (lambda t: t[["image_id", "NDCG"]] if "NDCG" in t else t[["image_id", "ties"]], {}, "no column is a metric"),
    ],
)
def test_results_that_do_not_belong_together_are_refused(
    tmp_path: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], summary: dict[str, object], message: str
) -> None:
    change("long", tmp_path / "other", edit, **summary)
    with pytest.raises(HgldError, match=message) as error:
        read_runs(["long", str(tmp_path / "other")])
    assert len(error.value.args) == 1


def test_unfinished_and_damaged_results_are_refused(tmp_path: Path) -> None:
    shutil.copytree("long", tmp_path / "run")
    whole = (tmp_path / "run" / "per_query.parquet").read_bytes()
    (tmp_path / "run" / "per_query.parquet").write_bytes(whole[: len(whole) // 2])
    for words in ([str(tmp_path / "run")], [str(tmp_path)], ["nowhere"], ["long", "long"], ["a=long", "a=short"]):
        done = leaderboard(*words)
        assert done.exit_code == 1 and done.output.startswith("Error: ") and len(done.output.splitlines()) == 1, words
    (tmp_path / "run" / "per_query.parquet").write_bytes(whole)
    assert leaderboard(str(tmp_path / "run" / "per_query.parquet")).exit_code == 0
    (tmp_path / "run" / "metrics.json").unlink()
    assert "metrics.json: no such file" in leaderboard(str(tmp_path / "run")).output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metrics", "H-PA"], "long: has no metric 'H-PA'; did you mean 'H-AP'?"),
        (["--metrics", "AP_l2"], "others: hgld benchmark … --metrics"),
        (["--baseline", "shrot"], "no result is named 'shrot'; did you mean 'short'? (there are: long, short)"),
        (["--out", "long/metrics.json"], "is the input"),
    ],
)
def test_a_mistake_in_the_options_is_one_line(words: list[str], message: str) -> None:
    done = leaderboard("long", "short", *words)
    assert done.exit_code == 1 and message in done.output and len(done.output.splitlines()) == 1
    assert json.loads(Path("long/metrics.json").read_text())["queries"] == 29


def test_results_of_the_same_images_at_other_levels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AP_l0 of fine and coarse classes are two metrics; both are defined for every query."""
    monkeypatch.chdir(tmp_path)
    labels = [("oak", "tree"), ("elm", "tree"), ("cat", "animal"), ("dog", "animal")]
    rows = [(f"{n}.png", "query" if n < 8 else "gallery", *labels[n % 4], "living") for n in range(24)]
    pd.DataFrame(rows, columns=["path", "split", "fine", "coarse", "kingdom"]).to_csv("images.csv", index=False)
    for path, *_ in rows:
        Image.new("RGB", (4, 4)).save(path)
    vectors = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    np.savez("embeddings.npz", ids=np.array([row[0] for row in rows]), vectors=vectors)
    for out, levels in (
        ("both", "fine,coarse"),
        ("again", "fine,coarse"),
        ("fine", "fine"),
        ("other", "coarse,kingdom"),
    ):
        words = ["benchmark", "embeddings.npz", "--data", "images.csv", "--levels", levels, "--out", out]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
    assert leaderboard("both", "again").exit_code == 0
    assert "scored with 2 and 1 levels of labels" in leaderboard("both", "fine", "--metrics", "AP_l0").output
    done = leaderboard("both", "other", "--metrics", "AP_l0")
    assert done.exit_code == 1 and "the values of 'class_l0' differ, 6 in all" in done.output
