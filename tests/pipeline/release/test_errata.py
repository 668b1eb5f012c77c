"""`hgld report` and the page of all reports."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from markdown_it import MarkdownIt

from hgld.cli import main
from hgld.hierarchy.curation.errata import Report, append_report, load_reports
from hgld.hierarchy.curation.verdict import utc_now
from hgld.pipeline.release.errata import errata_page
from tests.paths import ROOT

REVIEW = Path("review")
LAKE = Report("Blue Lake", "it is a river", "https://example.org/lake", "2026-01-03T10:11:12Z", "open", "Ana")


@pytest.fixture
def user(world) -> Path:
    """The world as the working directory of a user."""
    shutil.copy(ROOT / "params.yaml", world.folder)
    return world.folder


def _report(*words: str) -> Result:
    return CliRunner().invoke(main, ["report", *words])


@pytest.mark.parametrize("key", ["Blue Lake", "12", "Q103", "http://commons.wikimedia.org/wiki/Category:Blue_Lake"])
def test_a_landmark_is_reported_by_any_of_its_names(user: Path, key: str) -> None:
    if key == "12":  # 12 is Blue Lake in train and Lago Azul in index
        done = _report(key, "it is a river")
        assert done.exit_code == 1
        assert done.output == "Error: '12' means several categories: 'Blue Lake', 'Lago Azul'; give the name of one\n"
        return
    before = utc_now()
    done = _report(key, " it is  a river ", "--evidence", "https://example.org/lake", "--by", "Ana")
    assert done.exit_code == 0, done.output
    assert done.output == ("review/errata.csv: reported 'Blue Lake'; the queue begins with it after: dvc repro queue\n")
    (report,) = load_reports(REVIEW)
    assert before <= report.reported_on <= utc_now()
    assert replace(report, reported_on=LAKE.reported_on) == LAKE


def test_unknown_landmarks_and_faulty_reports_are_one_line(user: Path) -> None:
    for words, message in (
        (("Blue Lakke", "x"), "no category 'Blue Lakke' in the metadata; did you mean 'Blue Lake'?"),
        (("Q999", "x"), "Q999: no category has this item"),
        (("Blue Lake", "  "), "what is empty; say what is wrong"),
        (("Blue Lake", "x", "--evidence", "file:///etc/passwd"), "is not a URL"),
        (("Blue Lake", "x\x1b[2J"), "control character"),
    ):
        done = _report(*words)
        assert done.exit_code == 1 and message in done.output and done.output.count("\n") == 1, done.output
        assert "\x1b" not in done.output
    assert not REVIEW.exists() or not list(REVIEW.glob("*.csv"))


def test_the_page_has_every_report_the_open_ones_first(tmp_path: Path) -> None:
    assert errata_page(tmp_path).splitlines()[:3] == [
        "# Errata",
        "",
        "No label of this release has been reported as wrong.",
    ]
    for report in (replace(LAKE, status="rejected", category="Etna", by=""), LAKE):
        append_report(tmp_path, report)
    text = errata_page(tmp_path)
    assert text == errata_page(tmp_path)
    assert text.splitlines() == [
        "# Errata",
        "",
        "## Open (1)",
        "",
        "| landmark | what is wrong | evidence | reported |",
        "|---|---|---|---|",
        "| [Blue Lake](<http://commons.wikimedia.org/wiki/Category:Blue_Lake>) | it is a river | "
        "<https://example.org/lake> | 2026-01-03 by Ana |",
        "",
        "## Rejected: the label stays (1)",
        "",
        "| landmark | what is wrong | evidence | reported |",
        "|---|---|---|---|",
        "| [Etna](<http://commons.wikimedia.org/wiki/Category:Etna>) | it is a river | <https://example.org/lake> | "
        "2026-01-03 |",
        "",
        'To report another one: `hgld report LANDMARK "what is wrong" --evidence URL`.',
    ]


def test_nothing_in_a_report_acts_on_the_page(tmp_path: Path) -> None:
    what = "x | <script>alert(1)</script> [a](javascript:b) *c* `d` ![e](f) \u202e"
    append_report(tmp_path, replace(LAKE, what=what, evidence="https://e.org/a|b<script>", by="_me_"))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(errata_page(tmp_path))
    (row,) = re.findall("<tbody>(.*?)</tbody>", html, re.DOTALL)
    cells = re.findall("<td>(.*?)</td>", row)
    assert cells == [
        '<a href="http://commons.wikimedia.org/wiki/Category:Blue_Lake">Blue Lake</a>',
        "x | &lt;script&gt;alert(1)&lt;/script&gt; [a](javascript:b) *c* `d` ![e](f) \\u202e",
        "https://e.org/a|b&lt;script&gt;",
        "2026-01-03 by _me_",
    ]
