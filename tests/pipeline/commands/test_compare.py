"""`hgld compare`: what it prints stays, what it draws is whole, and two releases give their drift."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from hgld.cli import main
from hgld.hierarchy.comparison.agreement import compare_files
from hgld.hierarchy.comparison.confusion import confusion_matrix
from hgld.hierarchy.curation.verdicts import Verdict, append_verdict
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands import heatmap
from hgld.pipeline.stages import release

NATURES = {label.strip(): nature for label, nature in load_taxonomy().natures.items()}


def hgld(*words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """All 78 labels three times, every tenth one wrong, some with a score."""
    ours, theirs = ["landmark_id,hierarchical_label,score,source"], ["landmark_id,hierarchical_label"]
    names = list(NATURES) * 3
    for at, label in enumerate(names):
        mine = names[(at * 7) % 78] if at % 10 == 3 else label
        ours.append(f"{at},{'' if at % 50 == 7 else mine},{(at % 40) / 40},{'clip' if at % 3 else 'name'}")
        theirs.append(f"{at},{label}")
    (tmp_path / "ours.csv").write_text("\n".join(ours))
    (tmp_path / "theirs.csv").write_text("\n".join(theirs))
    return tmp_path / "ours.csv", tmp_path / "theirs.csv"


class _Page(HTMLParser):
    """What a page asks for, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "rect", "path", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "rect", "path", "br"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(path: Path) -> str:
    """The text of a page that is whole and asks for nothing outside it."""
    reader = _Page()
    reader.feed(path.read_text(encoding="utf-8"))
    assert (reader.open, reader.asked) == ([], [])
    assert "url(" not in path.read_text(encoding="utf-8")
    return " ".join(reader.text)


def test_a_report_of_all_labels(files: tuple[Path, Path], tmp_path: Path) -> None:
    code, output = hgld("compare", *files, "--out", tmp_path / "out")
    assert code == 0
    assert output == compare_files(*files).text() + "\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "agreement.json",
        "confusion.png",
        "report.html",
    }
    text = page(tmp_path / "out" / "report.html")
    for label in NATURES:
        assert f" {label} " in text
    for heading in (
        "Which label for which",
        "By evidence",
        "Calibration",
        "Coverage and precision",
        "Every label",
    ):
        assert heading in text
    found = json.loads((tmp_path / "out" / "agreement.json").read_text())
    assert found == json.loads(hgld("compare", *files, "--json")[1])
    assert {
        "compared",
        "share",
        "kappa",
        "labels",
        "confusions",
        "reliability",
        "coverage",
        "by_evidence",
    } <= set(found)


def test_the_picture_has_a_cell_a_label_and_no_dark_ground(files: tuple[Path, Path], tmp_path: Path) -> None:
    hgld("compare", *files, "--out", tmp_path / "out")
    with Image.open(tmp_path / "out" / "confusion.png") as picture:
        assert picture.width > 78 * 0.2 * heatmap.DPI
        colours = picture.convert("RGB").getcolors(maxcolors=1 << 24)
    assert colours
    painted = {colour for count, colour in colours if count > 300}
    assert heatmap._SHADES["equal"] in painted
    assert any(red > 200 and green > 120 and blue < 200 for red, green, blue in painted)


@pytest.mark.parametrize("pair", [("lake", "lake"), ("lake", "river"), ("lake", "")])
def test_dark_text_can_be_read_on_every_shade(pair: tuple[str, str]) -> None:
    """A contrast of 4.5 to 1, as WCAG asks for small text, on the deepest shade of each kind."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    reference, ours = pair
    matrix = confusion_matrix({"1": ours}, {"1": reference}, NATURES)
    (row, column), _ = next(iter(matrix.counts.items()))
    ground = luminance(heatmap.shade(matrix, row, column))
    assert (ground + 0.05) / (luminance(heatmap.INK) + 0.05) > 4.5


def test_the_same_bytes_come_out_again(files: tuple[Path, Path], tmp_path: Path) -> None:
    hgld("compare", *files, "--out", tmp_path / "out")
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for path in files:
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, *reversed(rows)]))
    hgld("compare", *files, "--out", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


def test_names_are_escaped_and_cut_and_nothing_is_a_picture_too(tmp_path: Path) -> None:
    odd = "$<script>alert(1)</script>_" + "x" * 300
    matrix = confusion_matrix({"1": odd}, {"1": odd}, {})
    assert "<script" not in heatmap.svg(matrix, "reference", "ours")
    heatmap.write_png(matrix, tmp_path / "a.png", "$_{", "reference", "ours")
    heatmap.write_png(
        confusion_matrix({"1": "x"}, {"1": ""}, {}), tmp_path / "b.png", "t", "reference", "ours"
    )
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "b.png") as two:
        assert one.width < 1000 and two.width < 1000


def test_a_number_fits_its_cell() -> None:
    counts = [0, 7, 999, 1000, 1499, 1500, 12_871, 99_499, 99_500, 128_710, 949_999]
    texts = [heatmap.number(count) for count in counts]
    assert texts == ["0", "7", "999", "1k", "1k", "2k", "13k", "99k", ".1M", ".1M", ".9M"]


def test_the_columns_can_be_named(files: tuple[Path, Path]) -> None:
    assert "ours by score" in hgld("compare", *files, "--by", "score")[1]
    code, output = hgld("compare", *files, "--score", "scores")
    assert (code, "did you mean 'score'?" in output) == (1, True)


def test_two_releases_of_a_world(proposed, tmp_path: Path) -> None:
    release.run(proposed.params)
    old = (proposed.data / "release").rename(tmp_path / "old")
    append_verdict(Path("review"), Verdict("Red Chapel", "castle / fort", "", "", "", "ana", "2026-01-03"))
    append_verdict(Path("review"), Verdict("Unknown Lake", "lake", "", "", "", "ana", "2026-01-03"))
    release.run(proposed.params)
    code, output = hgld("compare", old, proposed.data / "release", "--out", tmp_path / "out")
    assert code == 0
    assert output.splitlines()[0].startswith("old                   H-GLDv2-sample 0.1 (")
    lines = [line for line in output.splitlines() if " → " in line]
    assert [line.rsplit(maxsplit=1)[0].strip() for line in lines] == [
        "labelled       train 14: (no label) → lake (review)",
        "moved          train 10: church (wikidata) → castle / fort (review)",
        "moved          index 7: church (wikidata) → castle / fort (review)",
    ]
    with (tmp_path / "out" / "changes.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["kind"], row["split"], row["landmark_id"]) for row in rows] == [
        ("labelled", "train", "14"), ("moved", "train", "10"), ("moved", "index", "7"),
    ]  # fmt: skip
    assert json.loads((tmp_path / "out" / "drift.json").read_text())["kinds"]["moved"] == 2
    assert "Old label by new label" in page(tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "confusion.png").is_file()
    code, output = hgld("compare", old, old, "--json")
    assert (code, json.loads(output)["changes"]) == (0, [])


def test_a_file_beside_a_folder_is_an_error(files: tuple[Path, Path], tmp_path: Path) -> None:
    code, output = hgld("compare", files[0], tmp_path)
    assert (code, "give two CSV files of labels, or the folders of two releases" in output) == (1, True)
    code, output = hgld("compare", tmp_path, tmp_path, "--by", "source")
    assert (code, "--score and --by name columns of a CSV file" in output) == (1, True)
