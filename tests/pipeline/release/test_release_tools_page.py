"""Every command of docs/release_tools.md works as the page shows it, on the world of eight landmarks."""

import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.tables import write_parquet
from hgld.pipeline.commands import cite
from hgld.pipeline.release.export import export
from hgld.pipeline.stages.release import run
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "release_tools.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"^    (hgld (?:verify|export|cite|report) [^\n#]+)", re.MULTILINE)
COMMANDS = sorted({match[1].strip() for text in (PAGE, README) for match in SHOWN.finditer(text)})
# Names of the sample, and those that stand for them here.
HERE = {
    "003720a4e8b1494e": "a000000100000000",
    "00aff3e34d66ad2a": "a000000100000001",
    "Hoover Dam": "Blue Lake",
    "--evidence URL": "--evidence https://example.org",
}


@pytest.fixture
def user(pictured, proposed) -> Iterator[Path]:
    """A checkout with a release, images and attributions."""
    run(proposed.params)
    shutil.copy(ROOT / "params.yaml", proposed.folder)
    rows = [(f"a00000010000000{n}", "https://example.org/x", "Ana", "CC BY 4.0", "File:X.jpg") for n in range(2)]
    columns = ["id", "url", "author", "license", "title"]
    write_parquet(pd.DataFrame(rows, columns=columns), proposed.data / "metadata/train_attribution.parquet")
    Path("figure.csv").write_text("image_id,figure\na000000100000000,1\n")
    yield proposed.folder


def test_the_page_shows_every_command() -> None:
    assert len(COMMANDS) >= 9
    assert {command.split()[1] for command in COMMANDS} == {"verify", "export", "cite", "report"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_works(user: Path, command: str) -> None:
    for name, here in HERE.items():
        command = command.replace(name, here)
    done = CliRunner().invoke(main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    out = re.search(r"--out (\S+)", command)
    assert out is None or Path(out[1]).exists()


def test_the_query_of_the_page_works(user: Path) -> None:
    assert CliRunner().invoke(main, ["export", "--format", "sqlite", "--out", "release.db"]).exit_code == 0
    (query,) = re.findall(r'sqlite3 release\.db "([^"]+)"', PAGE)
    with closing(sqlite3.connect("release.db")) as database:
        assert database.execute(query.replace("'review'", "'wikidata'")).fetchall() == [("church", 4), ("lake", 2)]


def test_the_page_names_every_format() -> None:
    for name in ("csv", "jsonl", "parquet", "sqlite", "webdataset"):
        assert f"`{name}`" in PAGE or f"--format {name}" in PAGE
    assert set(export._WRITERS) | {"sqlite", "webdataset"} == {"csv", "jsonl", "parquet", "sqlite", "webdataset"}
    assert set(cite._FORMATS) == {"text", "csv", "html"}
