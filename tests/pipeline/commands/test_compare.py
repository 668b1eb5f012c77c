"""`hgld compare`: its text, its report and heat map, and the difference of two releases."""

import csv
import json
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from hgld.cli import main
from hgld.hierarchy.comparison.agreement import compare_labels, read_pair
from hgld.hierarchy.comparison.confusion import confusion_matrix
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands import heatmap
from hgld.pipeline.stages import release
from tests.browser import browser, unreadable

NATURES = {label.strip(): nature for label, nature in load_taxonomy().natures.items()}


def hgld(*words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """All 78 labels three times; one in ten is wrong, some are empty."""
    ours, theirs = ["landmark_id,hierarchical_label,score,source"], ["landmark_id,hierarchical_label"]
    names = list(NATURES) * 3
    for n, label in enumerate(names):
        our_label = names[(n * 7) % 78] if n % 10 == 3 else label
        ours.append(f"{n},{'' if n % 50 == 7 else our_label},{(n % 40) / 40},{'clip' if n % 3 else 'name'}")
        theirs.append(f"{n},{label}")
    (tmp_path / "ours.csv").write_text("\n".join(ours))
    (tmp_path / "theirs.csv").write_text("\n".join(theirs))
    return tmp_path / "ours.csv", tmp_path / "theirs.csv"


class _Page(HTMLParser):
    """The resources that a page loads, and its text; fails when its tags are not balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.resources: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        links = [value or "" for name, value in attrs if name in ("src", "href")]
        self.resources += [link for link in links if not link.startswith("#")]
        if tag not in ("meta", "rect", "path", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "rect", "path", "br"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(path: Path) -> str:
    """The text of a page, which must be complete and load nothing."""
    reader = _Page()
    reader.feed(path.read_text(encoding="utf-8"))
    assert (reader.open, reader.resources) == ([], [])
    assert "url(" not in path.read_text(encoding="utf-8")
    return " ".join(reader.text)


def test_report_covers_all_labels(files: tuple[Path, Path], tmp_path: Path) -> None:
    code, output = hgld("compare", *files, "--out", tmp_path / "out")
    assert code == 0
    assert output == compare_labels(*read_pair(*files)).text() + "\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "agreement.json",
        "confusion.png",
        "report.html",
    }
    text = page(tmp_path / "out" / "report.html")
    for label in NATURES:
        assert f" {label} " in text
    for heading in (
        "Confusion matrix",
        "By evidence",
        "Calibration",
        "Coverage and precision",
        "Every label",
    ):
        assert heading in text
    content = json.loads((tmp_path / "out" / "agreement.json").read_text())
    assert content == json.loads(hgld("compare", *files, "--json")[1])
    assert {
        "compared",
        "share",
        "kappa",
        "labels",
        "confusions",
        "reliability",
        "coverage",
        "by_evidence",
    } <= set(content)


def test_png_has_a_cell_per_label_in_the_shades(files: tuple[Path, Path], tmp_path: Path) -> None:
    hgld("compare", *files, "--out", tmp_path / "out")
    with Image.open(tmp_path / "out" / "confusion.png") as picture:
        assert picture.width > 78 * 0.2 * heatmap.DPI
        colours = picture.convert("RGB").getcolors(maxcolors=1 << 24)
    assert colours
    painted = {colour for count, colour in colours if count > 300}
    assert heatmap.SHADES["equal"] in painted
    assert any(red > 200 and green > 120 and blue < 200 for red, green, blue in painted)


@pytest.mark.parametrize("pair", [("lake", "lake"), ("lake", "river"), ("lake", "")])
def test_numbers_have_enough_contrast_on_every_shade(pair: tuple[str, str]) -> None:
    """WCAG's contrast for small text, 4.5 to 1, on the darkest shade of each kind."""

    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    reference, ours = pair
    matrix = confusion_matrix({"1": ours}, {"1": reference}, NATURES)
    (row, column), _ = next(iter(matrix.counts.items()))
    background = luminance(heatmap.shade(matrix, row, column))
    assert (background + 0.05) / (luminance(heatmap.COUNT_INK) + 0.05) > 4.5


def test_outputs_do_not_depend_on_the_order_of_rows(files: tuple[Path, Path], tmp_path: Path) -> None:
    hgld("compare", *files, "--out", tmp_path / "out")
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for path in files:
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, *reversed(rows)]))
    hgld("compare", *files, "--out", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


def test_heat_map_escapes_and_shortens_names_and_may_be_empty(tmp_path: Path) -> None:
    name = "$<script>alert(1)</script>_" + "x" * 300
    matrix = confusion_matrix({"1": name}, {"1": name}, {})
    drawing = heatmap.svg(matrix, "reference", "ours")
    assert "<script" not in drawing
    assert f"reference: {escape(name)}, ours: {escape(name)}: 1 of 1 (100.0%)" in drawing
    heatmap.write_png(matrix, tmp_path / "a.png", "$_{", "reference", "ours")
    heatmap.write_png(confusion_matrix({"1": "東京"}, {"1": "東京"}, {}), tmp_path / "c.png", "t", "reference", "ours")
    heatmap.write_png(confusion_matrix({"1": "x"}, {"1": ""}, {}), tmp_path / "b.png", "t", "reference", "ours")
    with Image.open(tmp_path / "a.png") as image, Image.open(tmp_path / "b.png") as empty:
        assert image.width < 1000 and empty.width < 1000


def test_counts_have_at_most_three_characters() -> None:
    counts = [0, 7, 999, 1000, 1499, 1500, 12_871, 99_499, 99_500, 128_710, 949_999]
    texts = [heatmap.short_count(count) for count in counts]
    assert texts == ["0", "7", "999", "1k", "1k", "2k", "13k", "99k", ".1M", ".1M", ".9M"]


def test_columns_can_be_chosen(files: tuple[Path, Path]) -> None:
    assert "ours by score" in hgld("compare", *files, "--by", "score")[1]
    code, output = hgld("compare", *files, "--score", "scores")
    assert (code, "did you mean 'score'?" in output) == (1, True)


def test_difference_of_two_releases(proposed, tmp_path: Path) -> None:
    release.run(proposed.params)
    old = (proposed.data / "release").rename(tmp_path / "old")
    append_verdict(Path("review"), Verdict("Red Chapel", "castle / fort", "", "", "", "ana", "2026-01-03"))
    append_verdict(Path("review"), Verdict("Unknown Lake", "lake", "", "", "", "ana", "2026-01-03"))
    release.run(proposed.params)
    code, output = hgld("compare", old, proposed.data / "release", "--out", tmp_path / "out")
    assert code == 0
    assert output.splitlines()[0].startswith("old                   H-GLDv2-sample 0.1 (")
    lines = [line.strip() for line in output.splitlines()]
    assert [line.rsplit(maxsplit=1)[0].strip() for line in lines if ": " in line and " → " in line] == [
        "labelled       train 14: (no label) → lake (review)",
        "moved          train 10: church (wikidata) → castle / fort (review)",
        "moved          index 7: church (wikidata) → castle / fort (review)",
    ]
    assert lines.count("verdict “castle / fort” given (2026-01-03) (ana)") == 2
    assert "verdict on the landmark          3  100.0%" in lines
    with (tmp_path / "out" / "changes.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["kind"], row["split"], row["landmark_id"], row["cause"], row["by"]) for row in rows] == [
        ("labelled", "train", "14", "verdict", "ana"),
        ("moved", "train", "10", "verdict", "ana"),
        ("moved", "index", "7", "verdict", "ana"),
    ]
    content = json.loads((tmp_path / "out" / "changes.json").read_text())
    assert (content["kinds"]["moved"], content["causes"]["verdict"]) == (2, 3)
    assert "Old label by new label" in page(tmp_path / "out" / "changes.html")
    assert (tmp_path / "out" / "confusion.png").is_file()
    code, output = hgld("compare", old, old, "--json")
    assert (code, json.loads(output)["changes"]) == (0, [])


def test_file_and_folder_cannot_be_compared(files: tuple[Path, Path], tmp_path: Path) -> None:
    code, output = hgld("compare", files[0], tmp_path)
    assert (code, "give two CSV files of labels, or the folders of two releases" in output) == (1, True)
    code, output = hgld("compare", tmp_path, tmp_path, "--by", "source")
    assert (code, "--score and --by name columns of a CSV file" in output) == (1, True)


HEADER = "landmark_id,category,supercategory,hierarchical_label,natural_or_human_made"


def write_release(folder: Path, *rows: str) -> Path:
    folder.mkdir()
    (folder / "train_label_to_hierarchical.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def two_releases(tmp_path: Path) -> tuple[Path, Path]:
    """One landmark of each kind of change, one that is unchanged, and a label with a bidirectional override."""
    old = write_release(
        tmp_path / "old",
        "1,Etna,volcano,volcano,natural",
        "2,Como,lake,lake,natural",
        "3,Gone,dam,dam,human-made",
        "4,Same,river,river,natural",
    )
    new = write_release(
        tmp_path / "new",
        "1,Etna,stratovolcano,volcano,natural",
        "2,Como,x,lake\u202egnp.exe\x1b[2J,natural",
        "4,Same,river,river,natural",
        "5,New,tower,tower,human-made",
    )
    return old, new


def test_every_line_of_the_page_shows_what_changed(two_releases: tuple[Path, Path], tmp_path: Path) -> None:
    assert hgld("compare", *two_releases, "--out", tmp_path / "out")[0] == 0
    text = (tmp_path / "out" / "changes.html").read_text(encoding="utf-8")
    shown = r"lake\u202egnp.exe\x1b[2J"
    lines = re.findall("(?s)<li><span>.*?</li>", text)
    paths = [re.findall('class="(old|new)"[^>]*>(.*?)</span>', line) for line in lines]
    assert paths == [
        [("old", "dam › human-made")],
        [("new", "tower › human-made")],
        [("old", "lake › natural"), ("new", f"x › {shown} › natural")],
        [("old", "volcano › natural"), ("new", "stratovolcano › volcano › natural")],
    ]
    assert "old lacks labels.parquet" in text and "an older version of hgld wrote it" in text
    rows = [re.findall("<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", text)]
    assert {row[0] for row in rows if len(row) == 6} == {"dam", "tower", "lake", shown}  # not volcano and river
    assert "the other 2 labels" in text


def test_pages_show_control_and_bidirectional_characters(two_releases: tuple[Path, Path], tmp_path: Path) -> None:
    hgld("compare", *two_releases, "--out", tmp_path / "releases")
    ours, theirs = (path / "train_label_to_hierarchical.csv" for path in two_releases[::-1])
    hgld("compare", ours, theirs, "--out", tmp_path / "files")
    for name in ("releases/changes.html", "files/report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert text.count(r"lake\u202egnp.exe\x1b[2J") >= 3  # tables, the heat map and its tooltip


@browser
@pytest.mark.parametrize("dark", [False, True])
def test_pages_are_legible_on_a_screen_and_on_a_phone(files: tuple[Path, Path], tmp_path: Path, dark: bool) -> None:
    hgld("compare", *files, "--out", tmp_path / "out")
    assert unreadable(tmp_path / "out" / "report.html", tmp_path, dark=dark) == []
