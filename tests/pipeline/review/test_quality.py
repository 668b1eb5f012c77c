"""The quality of the verdicts: the report in three forms, its page in the workbench, and how it looks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.settings import load_params
from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.pipeline.review.candidate_tables import CandidateTables
from hgld.pipeline.review.quality import quality
from hgld.pipeline.review.quality_formats import FORMATS, as_served_html
from hgld.pipeline.review.queue_items import items_of, open_items
from tests.browser import browser, unreadable
from tests.pipeline.review.conftest import Served

LABELS = ["church", "lake"]
HOSTILE = 'A " onload="alert(1) &'


def _judge(category: str, label: str, annotator: str, minute: int = 0, suggested: str = "lake") -> None:
    time = f"2026-01-03T10:{minute:02d}:00Z"
    append_verdict(Path("review"), Verdict(category, label, suggested, "clip", "0.5", annotator, time))


def _controls(params) -> list[tuple[str, str]]:
    """(category, suggestion) of the controls in the queue."""
    items = open_items(params, Path("review"), LABELS)
    return [(item.category, item.suggested_label) for item in items if item.reason == "control"]


@pytest.fixture
def campaign(checkout: Path) -> Path:
    """Two annotators: a conflict, an agreement, a stale verdict, and both judge the controls."""
    controls = _controls(load_params())
    for annotator in ("ana", "ben"):
        for minute, (category, suggested) in enumerate(controls):
            _judge(category, suggested, annotator, minute, suggested)
        _judge("Unknown Lake", "lake", annotator, 5)
    _judge("Torn Place", "lake", "ana", 6, "")
    _judge("Torn Place", "church", "ben", 6, "")
    return checkout


def _run(*words: str) -> str:
    result = CliRunner().invoke(main, ["review", "--report", *words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("form", FORMATS)
def test_without_verdicts_the_report_says_so(checkout: Path, form: str) -> None:
    text = _run("--format", form)
    assert "nan" not in text.lower()
    if form == "table":
        assert text == "No verdicts for the profile sample yet; hgld review adds some.\n"
    if form == "json":
        assert json.loads(text)["alpha"] is None
    if form == "html":
        assert "<p>No verdicts for the profile sample yet; hgld review adds some.</p>" in text


def test_the_table_says_who_agrees_and_how_precise_labels_are(campaign: Path) -> None:
    text = _run()
    assert re.search(r"^ana +4 +75\.0 % +25\.0 % +0\.0 % +2026-01-03  2026-01-03 +0\.5$", text, re.MULTILINE)
    assert re.search(r"^ana +ben +4 +75\.0 %$", text, re.MULTILINE)
    assert re.search(r"^total +\d+ +2 +100\.0 %", text, re.MULTILINE)
    assert "(4 categories judged twice)" in text
    assert "Open conflicts: 1\n  Torn Place: ana: lake, ben: church\n" in text


def test_json_has_every_number(campaign: Path) -> None:
    content = json.loads(_run("--format", "json"))
    assert [row["annotator"] for row in content["annotators"]] == ["ana", "ben"]
    assert (content["verdicts"], content["judged_twice"], content["stale"]) == (8, 4, 0)
    assert [row["source"] for row in content["precision"]] == ["clip", "wikidata", "total", "corrected"]
    assert [row["controls"] for row in content["precision"]] == [1, 1, 2, 2]
    assert 0 < content["alpha"] < 1
    assert content["conflicts"] == [
        {"category": "Torn Place", "opinions": [["ana", "lake"], ["ben", "church"]], "kind": "landmark", "name": ""}
    ]
    assert content["confusions"] == [{"first": "church", "second": "lake", "count": 1}]


@pytest.mark.parametrize("form", FORMATS)
def test_one_annotator_has_no_agreement(checkout: Path, form: str) -> None:
    _judge("Unknown Lake", "lake", "ana")
    text = _run("--format", form)
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    if form == "table":
        assert "Krippendorff's alpha: –; weighted by the hierarchy: – (0 categories judged twice)" in text
        assert re.search(r"^total +\d+ +0 +– +–$", text, re.MULTILINE)


def test_a_verdict_on_an_older_suggestion_is_stale_and_no_measure_of_precision(checkout: Path) -> None:
    params = load_params()
    category, suggested = _controls(params)[0]
    other = "lake" if suggested == "church" else "church"
    _judge(category, other, "ana", suggested=other)
    result = quality(params)
    assert result.stale == 1
    assert [row.controls for row in result.precision] == [0, 0, 0, 0]


def test_a_control_stays_one_after_it_was_judged(checkout: Path) -> None:
    params = load_params()
    category, suggested = _controls(params)[0]
    _judge(category, "", "ana", suggested=suggested)
    item = items_of(CandidateTables(params, Path("review")), [category])[0]
    row = next(row for row in quality(params).precision if row.source == item.suggested_by)
    assert (row.controls, row.estimate) == (1, 0.0)


def test_the_report_is_written_to_a_file(campaign: Path) -> None:
    assert _run("--format", "html", "--out", "quality.html") == "written to quality.html\n"
    assert Path("quality.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_format_belongs_to_the_report(checkout: Path) -> None:
    result = CliRunner().invoke(main, ["review", "--format", "json"])
    assert result.exit_code == 2
    assert "add --report" in result.output


def test_the_served_page_is_computed_anew_and_has_no_inline_style(checkout: Path, serve) -> None:
    served: Served = serve()
    assert "No verdicts for the profile sample yet" in served.get("/quality").text
    category = served.get("/api/items/0").json()["category"]
    assert served.judge(0, "lake").status_code == 200
    _judge(category, "church", "ben")
    response = served.get("/quality")
    assert response.headers["content-type"].startswith("text/html")
    assert "ben: church, ana: lake" in response.text
    assert "<style" not in response.text and "style=" not in response.text
    assert served.get("/static/quality.css").headers["content-type"].startswith("text/css")
    assert 'href="/quality"' in served.get("/").text


def test_the_page_needs_the_key_of_the_run(checkout: Path, serve) -> None:
    served: Served = serve()
    served.client.cookies.clear()
    assert served.get("/quality").status_code == 403


def test_texts_of_files_are_escaped(campaign: Path) -> None:
    _judge(HOSTILE, "lake", "ana")
    _judge(HOSTILE, "church", "ben")
    for page in (FORMATS["html"](quality(load_params())), as_served_html(quality(load_params()))):
        assert HOSTILE not in page
        assert "&#34; onload=&#34;alert(1) &amp;" in page


@browser
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_can_be_read(campaign: Path, tmp_path: Path, dark: bool) -> None:
    _judge("A very long name of a category, " * 5 + "end", "lake", "ana")
    _judge("A very long name of a category, " * 5 + "end", "church", "ben")
    page = tmp_path / "quality.html"
    page.write_text(FORMATS["html"](quality(load_params())), encoding="utf-8")
    assert unreadable(page, tmp_path, dark=dark) == []


@browser
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_without_verdicts_can_be_read(checkout: Path, tmp_path: Path, dark: bool) -> None:
    page = tmp_path / "quality.html"
    page.write_text(FORMATS["html"](quality(load_params())), encoding="utf-8")
    assert unreadable(page, tmp_path, dark=dark) == []
