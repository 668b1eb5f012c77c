"""`hgld cite`: the credits of images, what is unknown, and what is missing."""

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from hgld.cli import main
from hgld.foundation.tables import read_parquet, write_parquet
from tests.paths import ROOT

IDS = [f"a{landmark:08d}{number:07x}" for landmark in range(10, 17) for number in range(2)]
ROWS = [
    (IDS[0], "https://commons.wikimedia.org/wiki/File:A.jpg",
     '<a href="//commons.wikimedia.org/wiki/User:Ana" title="User:Ana">Ana &amp; Co</a>',
     "http://creativecommons.org/licenses/by-sa/3.0/", 'File:A "red" chapel.jpg'),
    (IDS[1], "javascript:alert(1)", "<script>alert(1)</script>Bob\x1b[2J", "CC0", "<b>Two</b>\nlines"),
    (IDS[2], "https://example.org/c", "", "", ""),
]  # fmt: skip


@pytest.fixture
def attributed(world, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world with an attribution table, as the working directory of a user; its metadata folder."""
    shutil.copy(ROOT / "params.yaml", world.folder)
    _write(ROWS)
    return world.data / "metadata"


def _write(rows: list[tuple[str, ...]]) -> None:
    table = pd.DataFrame(rows, columns=["id", "url", "author", "license", "title"])
    write_parquet(table, Path("data/sample/metadata/train_attribution.parquet"))


def _cite(*words: str) -> Result:
    return CliRunner().invoke(main, ["cite", *words])


def test_a_credit_names_title_author_license_and_source(attributed: Path) -> None:
    done = _cite(IDS[0])
    assert done.exit_code == 0
    assert done.stdout == (
        '“A "red" chapel.jpg” by Ana & Co, CC BY-SA 3.0 (https://creativecommons.org/licenses/by-sa/3.0/), '
        "https://commons.wikimedia.org/wiki/File:A.jpg\n"
    )


def test_the_order_is_that_of_the_arguments_and_each_image_comes_once(attributed: Path) -> None:
    Path("figure.csv").write_text(f"image_id,page\n{IDS[0]},3\n{IDS[1]},4\n")
    lines = _cite(IDS[1], "figure.csv").stdout.splitlines()
    assert [line[:12] for line in lines] == ["“<b>Two</b> ", '“A "red" cha']


def test_what_the_license_asks_for_and_is_missing_is_said(attributed: Path) -> None:
    done = _cite(IDS[2])
    assert done.exit_code == 0
    assert done.stdout == f"Image {IDS[2]} by an unknown author, license not stated, https://example.org/c\n"
    assert done.stderr == f"image {IDS[2]}: author and license not stated; look it up at https://example.org/c\n"


def test_unknown_ids_are_a_line_each_and_the_others_are_printed(attributed: Path) -> None:
    typo = IDS[0][:-1] + "f"
    done = _cite(IDS[0], typo, "b000000070000000", IDS[5], "c" * 16, "xyz\n")
    assert done.exit_code == 1
    assert done.stdout.startswith("“A ") and done.stdout.count("\n") == 1
    assert done.stderr.splitlines() == [
        f"Error: no image '{typo}'; did you mean '{IDS[0]}'?",
        "image b000000070000000: of index; GLDv2 publishes the authors of train images only",
        f"image {IDS[5]}: GLDv2's train_attribution has no row for it",
        "no image 'cccccccccccccccc'",
        "no image 'xyz'; an image id has 16 hex digits",
    ]


def test_html_has_links_only_to_the_web_and_no_markup_of_others(attributed: Path) -> None:
    text = _cite(*IDS[:3], "--format", "html").stdout
    assert text.splitlines()[1] == (
        '<li><a href="https://commons.wikimedia.org/wiki/File:A.jpg">A &quot;red&quot; chapel.jpg</a> by '
        '<a href="https://commons.wikimedia.org/wiki/User:Ana">Ana &amp; Co</a>, '
        '<a href="https://creativecommons.org/licenses/by-sa/3.0/">CC BY-SA 3.0</a></li>'
    )
    assert "<script" not in text and "javascript" not in text and "\x1b" not in text and "<b>" not in text


def test_all_images_are_joined_and_counted_and_those_without_a_row_are_in_the_csv(attributed: Path) -> None:
    _write([*ROWS, ("f" * 16, "u", "stranger", "CC0", "t")])
    done = _cite("--all", "--format", "csv", "--out", "credits.csv")
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    assert lines[0] == "written to credits.csv: credits of 3 of 14 train images"
    assert lines[1].startswith("11 train images have no row in train_attribution: ") and "... and 6 more" in lines[1]
    assert lines[2:] == [
        f"1 train images have a row that lacks the author or the license: {IDS[2]}",
        "1 images of train_attribution are not in train; left out: ffffffffffffffff",
    ]
    with Path("credits.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert sorted(row["image_id"] for row in rows) == sorted(read_parquet(attributed / "train.parquet")["id"])
    assert rows[0]["license"] == "CC BY-SA 3.0" and rows[-1]["credit"] == ""
    assert rows[1]["author"] == "alert(1)Bob\\x1b[2J"


def test_what_cannot_be_is_one_line(attributed: Path) -> None:
    Path("other.csv").write_text("name\nx\n")
    for words, message in (
        ((), "name the images"),
        (("--all",), "name the file with --out"),
        (("--all", IDS[0], "--out", "x"), "--all is every image"),
        (("other.csv",), "other.csv: no column image_id or id; found name"),
    ):
        done = _cite(*words)
        assert done.exit_code == 1 and message in done.output and done.output.count("\n") == 1, done.output
    _write([])
    done = _cite(IDS[0])
    assert done.exit_code == 1 and "no row; GLDv2 publishes train_attribution.csv" in done.output


def test_the_sample_has_invented_authors_for_most_of_its_images() -> None:
    from hgld.pipeline.sample.pictures import all_pictures, read_landmarks
    from hgld.pipeline.sample.world import metadata

    rows = read_landmarks(ROOT / "sources/sample/landmarks.csv")
    tables = metadata(rows, all_pictures(rows))
    table, train = tables["train_attribution.csv"], tables["train.csv"]
    assert list(table.columns) == ["id", "url", "author", "license", "title"]
    assert 0 < len(train) - len(table) < 0.03 * len(train)
    assert set(table["id"]) < set(train["id"]) and table["id"].is_unique
    assert table["author"].str.contains("<a href").any() and 0 < (table["author"] == "").mean() < 0.1
