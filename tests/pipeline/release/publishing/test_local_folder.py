"""folder:PATH: a copy in one step, and no version with two contents."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.cli import main
from tests.pipeline.release.conftest import rewrite
from tests.pipeline.release.publishing.conftest import Publish, contents

TO = ("--to", "folder:published")
COPY = Path("published/H-GLDv2-sample-0.1")


def test_without_yes_it_shows_every_file_and_writes_nothing(publish: Publish, folder: Path) -> None:
    done = publish(*TO)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == f"target    folder:published ({COPY})"
    for name, data in contents(folder).items():
        assert re.search(rf"^send +{re.escape(name)} +{len(data):,} bytes  [0-9a-f]{{64}}$", done.output, re.M)
    assert not Path("published").exists()


def test_yes_copies_it_and_a_second_time_changes_nothing(publish: Publish, folder: Path) -> None:
    done = publish(*TO, "--yes")
    assert done.exit_code == 0, done.output
    assert contents(COPY) == contents(folder)
    assert [path.name for path in Path("published").iterdir()] == [COPY.name]
    before = COPY.stat().st_mtime_ns
    done = publish(*TO, "--yes")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "nothing to send: folder:published has version 0.1 with the same content"
    assert COPY.stat().st_mtime_ns == before


def test_of_an_archive_the_files_are_sent(publish: Publish, folder: Path) -> None:
    done = CliRunner().invoke(main, ["archive", "--out", "packed", str(folder)])
    assert done.exit_code == 0, done.output
    archive = Path("packed/H-GLDv2-sample-0.1.zip")
    done = CliRunner().invoke(main, ["verify", str(archive)])
    assert done.exit_code == 0 and done.output.startswith(f"{archive}: no fault found"), done.output
    done = CliRunner().invoke(main, ["publish", str(archive), *TO, "--yes"])
    assert done.exit_code == 0, done.output
    assert contents(COPY) == contents(folder)
    archive.write_bytes(archive.read_bytes()[:5000])
    for command in (["verify", str(archive)], ["publish", str(archive), "--to", "folder:other", "--yes"]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 1
        assert f"{archive}: not an archive of a release: " in done.output
    assert not Path("other").exists()


def test_other_content_under_the_same_version_is_refused(publish: Publish, proposed) -> None:
    assert publish(*TO, "--yes").exit_code == 0
    before = contents(COPY)
    rewrite(proposed, note="Another text.")
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    assert f"{COPY} is there already with other content: " in done.output
    assert contents(COPY) == before


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda copy: (copy / "labels.parquet").write_bytes(b"x"), "labels.parquet differs"),
        (lambda copy: (copy / "train.parquet").unlink(), "train.parquet is not in it"),
        (lambda copy: (copy / "more.csv").write_text("a"), "more.csv is in it, and not in the release"),
        (lambda copy: (shutil.rmtree(copy), copy.mkdir()), ".parquet is not in it (and "),
        (lambda copy: (shutil.rmtree(copy), copy.write_text("")), "is no folder; move it away"),
    ],
)
def test_a_damaged_copy_is_named_and_kept(publish: Publish, damage, text: str) -> None:
    assert publish(*TO, "--yes").exit_code == 0
    damage(COPY)
    done = publish(*TO, "--yes")
    assert done.exit_code == 1
    assert text in done.output.splitlines()[-1], done.output


def test_a_copy_inside_the_release_is_refused(publish: Publish, folder: Path) -> None:
    before = contents(folder)
    done = publish("--to", f"folder:{folder}", "--yes")
    assert done.exit_code == 1 and "is inside the release" in done.output
    assert contents(folder) == before


def test_a_place_that_is_a_file_is_one_line(publish: Publish) -> None:
    Path("published").write_text("mine")
    done = publish(*TO, "--yes")
    assert done.exit_code == 1 and "cannot write" in done.output.splitlines()[-1]
    assert Path("published").read_text() == "mine"


def test_concept_belongs_to_zenodo(publish: Publish) -> None:
    done = publish(*TO, "--concept", "1")
    assert done.exit_code == 1 and "--concept belongs to --to zenodo" in done.output
