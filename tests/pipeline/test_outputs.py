"""--out, -o, --per-query, --freeze: no command writes where it reads, follows a link, or deletes what others made."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation import files
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import write_csv, write_parquet
from hgld.hierarchy.curated import CURATED
from hgld.pipeline.commands import assign, classify
from hgld.pipeline.stages import build, queue, release
from tests.paths import ROOT

SUBMISSION = "id,images\n" + "0" * 16 + "," + "1" * 16 + "\n"
SOLUTION = "id,images,Usage\n" + "0" * 16 + "," + "1" * 16 + ",Public\n"
LABELS = "landmark_id,category,hierarchical_label\n1,Lake,lake\n2,Dam,dam\n"


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Inputs of several commands, two releases, and links to them."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    for name, text in {"sub.csv": SUBMISSION, "sol.csv": SOLUTION, "a.csv": LABELS, "b.csv": LABELS}.items():
        Path(name).write_text(text)
    for name in ("mine", "old", "new"):
        Path(name).mkdir()
        for split in ("train", "index"):
            Path(name, f"{split}_label_to_hierarchical.csv").write_text(LABELS)
    Path("mine/report.html").write_text("my own report")
    Path("link").symlink_to("mine")
    Path("link.csv").symlink_to("mine/report.html")
    Path("same.csv").symlink_to("a.csv")
    Path("hard.csv").hardlink_to("a.csv")
    Path("linked").symlink_to(".")
    shutil.copytree(CURATED, "curated")
    for command in (assign, classify):  # so that a mistake cannot overwrite the real ones
        monkeypatch.setattr(command, "CURATED", Path("curated"))
    for name in ("model.pt", "report.html"):
        Path("run").mkdir(exist_ok=True)
        Path("run", name).write_bytes(b"a model")
    for stage in ("release", "refine"):
        Path("data/sample", stage).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "evaluate retrieval sub.csv sol.csv --per-query sub.csv",
        "evaluate retrieval sub.csv sol.csv --per-query sol.csv",
        "evaluate recognition sub.csv sol.csv --per-query ./sol.csv",
        "evaluate retrieval sub.csv sol.csv --index a.csv --per-query same.csv",
        "evaluate revisited sub.csv sol.csv --per-query sub.csv",
        "evaluate retrieval sub.csv sol.csv --per-query link.csv",
        "assign a.csv --endpoint http://127.0.0.1:9/q -o a.csv",
        "assign a.csv --endpoint http://127.0.0.1:9/q -o same.csv",
        "assign a.csv --endpoint http://127.0.0.1:9/q -o link.csv",
        "classify a.csv --column category -o a.csv",
        "classify a.csv --column category --labelled b.csv -o b.csv",
        "classify a.csv --column category -o link.csv",
        "classify a.csv --column category -o hard.csv",
        "classify a.csv --column category -o linked/a.csv",
        "classify a.csv --column category -o curated/name_words.csv",
        "assign a.csv --endpoint http://127.0.0.1:9/q -o curated/taxonomy.csv",
        "classify a.csv --column category -o params.yaml",
        "assign a.csv --endpoint http://127.0.0.1:9/q -o ./params.yaml",
        "compare a.csv b.csv --out link",
        "compare old new --out new",
        "compare old new --out old",
        "benchmark run/model.pt --out link",
        "benchmark run/report.html --out run",
        "benchmark run/model.pt --out data/sample/release",
        "benchmark run/model.pt --out data/sample/refine",
        "graph -o link",
        "graph -o data/sample/release",
        "wikidata --freeze link",
        "wikidata --freeze mine",
    ],
)
def test_no_command_writes_where_it_reads_or_through_a_link(words: str, folder: Path) -> None:
    before = _contents(folder)
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.output
    assert re.search("is the input|it is a link to|holds other files|belongs to the repository", done.output), (
        done.output
    )
    assert _contents(folder) == before


def test_a_report_beside_other_files_touches_none_of_them(folder: Path) -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    done = CliRunner().invoke(main, ["compare", "a.csv", "b.csv", "--out", "out"])
    assert done.exit_code == 0, done.output
    assert Path("out/notes.txt").read_text() == "mine" and Path("out/report.html").is_file()


@pytest.mark.parametrize("stage", [queue.run, release.run])
def test_no_stage_deletes_what_it_did_not_make(stage: Callable[..., None], proposed) -> None:
    """A linked output folder whose target is somebody's, and a note left beside the results."""
    Path("review").mkdir()
    output = proposed.params.data / stage.__module__.rsplit(".", 1)[1]
    Path("mine").mkdir()
    Path("mine/diary.txt").write_text("mine")
    output.symlink_to(Path("mine").resolve())
    with pytest.raises(HgldError, match="it is a link to"):
        stage(proposed.params)
    assert Path("mine/diary.txt").read_text() == "mine" and output.is_symlink()
    output.unlink()
    stage(proposed.params)
    before = _contents(output)
    write_csv(pd.DataFrame({"note": ["mine"]}), output / "notes.csv")
    with pytest.raises(HgldError, match=r"would be deleted: notes\.csv"):
        stage(proposed.params)
    (output / "notes.csv").unlink()
    assert _contents(output) == before


@pytest.mark.parametrize(("stage", "leftover"), [
    (queue.run, ".queue.x1.part/queue/queue.csv"), (release.run, ".release.x1.part/release/train.parquet"),
    (build.run, "build/.labels.parquet.x1.part/labels.parquet"),
])  # fmt: skip
def test_a_stage_sweeps_what_a_killed_run_left(stage: Callable[..., None], leftover: str, proposed) -> None:
    Path("review").mkdir()
    data = proposed.params.data
    write_parquet(pd.DataFrame({"child": ["Q1"], "parent": ["Q2"]}), data / "wikidata" / "class_edges.parquet")
    (data / leftover).parent.mkdir(parents=True)
    (data / leftover).write_text("half")
    # as in another process, which has not looked into these folders yet
    files._SWEPT.clear()
    stage(proposed.params)
    assert list(data.rglob("*.part")) == []
