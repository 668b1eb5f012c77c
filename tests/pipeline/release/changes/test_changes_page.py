"""changes.html and the tables beside it: complete, legible, and nothing in a name that acts."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hgld.hierarchy.comparison.drift.causes import CAUSES, Edit, Explanation
from hgld.hierarchy.comparison.drift.report import Drift
from hgld.hierarchy.comparison.release_diff import LandmarkKey, LandmarkLabel, ReleaseLabels, diff_releases
from hgld.pipeline.release.changes.deprecations import deprecations
from hgld.pipeline.release.changes.folder import write_changes_csv
from hgld.pipeline.release.changes.history import changes_markdown, entry
from hgld.pipeline.release.changes.page import MOST_LANDMARKS, MOST_SINGLE, changes_page
from hgld.pipeline.release.changes.version_step import Step
from tests.browser import BROWSER, browser, inaccessible, unreadable

HOSTILE = '=1+1"<script>alert(1)</script>\u202egnp.exe\x1b[2J'
SHOWN = "=1+1&#34;&lt;script&gt;alert(1)&lt;/script&gt;\\u202egnp.exe\\x1b[2J"


def drift(count: int = 3, *, same_edit: bool = True) -> Drift:
    """Landmarks that moved from lake to a hostile label, for each cause in turn."""
    old, new = {}, {}
    for number in range(count):
        key = LandmarkKey("train", str(number))
        old[key] = LandmarkLabel(f"{HOSTILE} {number}", HOSTILE, "lake", "clip", "natural")
        new[key] = LandmarkLabel(f"{HOSTILE} {number}", "", HOSTILE, "review", "human-made")
    labels = ReleaseLabels(f"old {HOSTILE}", old), ReleaseLabels("new", new)
    why = [
        Explanation(cause, (Edit(cause, (str(number),), f"{HOSTILE}{'' if same_edit else number}", HOSTILE),))
        for number, cause in zip(range(count), [*CAUSES] * count, strict=False)
    ]
    return Drift(diff_releases(*labels), labels, tuple(why))


def one_cause(count: int, *, same_edit: bool) -> Drift:
    found = drift(count, same_edit=same_edit)
    return replace(found, explanations=tuple(replace(why, cause="taxonomy") for why in found.explanations))


def test_names_are_shown_and_never_act() -> None:
    text = changes_page(drift(28), f"{HOSTILE} → 0.2")
    assert "<script" not in text and SHOWN in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert not re.search(r"""(src|href)=["'](?!#)|url\(|@import""", text)
    assert [text.count(f'<section id="{cause}">') for cause in CAUSES] == [1] * len(CAUSES)


def test_what_the_page_leaves_out_is_counted() -> None:
    text = changes_page(one_cause(MOST_LANDMARKS + 7, same_edit=True), "t")
    assert "7 more in changes.csv" in text and text.count("<li><span>") == MOST_LANDMARKS
    text = changes_page(one_cause(MOST_SINGLE + 5, same_edit=False), "t")
    assert "5 more in changes.csv" in text and text.count("<li><span>") == MOST_SINGLE
    assert "more in changes.csv" not in changes_page(one_cause(MOST_SINGLE, same_edit=False), "t")


def test_a_page_without_changes_says_so() -> None:
    own = drift(2).labels[0]
    same = Drift(diff_releases(own, own), (own, own), ())
    text = changes_page(same, "t")
    assert "No landmark changed." in text and "<nav" not in text
    assert "0.0%" not in same.text() and same.text().endswith("unchanged             2 landmarks")


def test_tables_and_texts_say_what_is_there(tmp_path: Path) -> None:
    found = drift(4)
    write_changes_csv(found, tmp_path / "changes.csv")
    with (tmp_path / "changes.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["edits"] for row in rows] == [HOSTILE] * 4  # as they are, as in all CSVs of hgld
    assert {row["kind"] for row in rows} == {"moved"}  # the first column never begins like a formula
    gone = deprecations(found, tmp_path, tmp_path, "0.2")
    assert [(row.kind, row.id, row.replaced_by) for row in gone] == [("label", "lake", HOSTILE)]
    text = changes_markdown(HOSTILE, [entry(found, ("0.1", "0.2"), Step("minor", HOSTILE), gone)])
    assert "<script" not in text and "\x1b" not in text and "\u202e" not in text
    assert r"| lake | =1+1\"" not in text and "| lake | =1+1" in text


@browser
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_legible_on_a_screen_and_on_a_phone(tmp_path: Path, dark: bool) -> None:
    path = tmp_path / "changes.html"
    path.write_text(changes_page(drift(60), f"{HOSTILE} → 0.2"), encoding="utf-8")
    assert unreadable(path, tmp_path, dark=dark) == []


@browser
def test_the_page_is_accessible(tmp_path: Path) -> None:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    path = tmp_path / "changes.html"
    path.write_text(changes_page(drift(60), f"{HOSTILE} → 0.2"), encoding="utf-8")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 390, "height": 800})
        page.goto(path.as_uri())
        assert inaccessible(page) == []
        chromium.close()
