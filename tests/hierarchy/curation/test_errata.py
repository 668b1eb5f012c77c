"""Reports of wrong labels: what a row may say, how it is added, and which reports wait for a verdict."""

from dataclasses import astuple, replace
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curation.errata import (
    COLUMNS,
    Report,
    append_report,
    load_reports,
    open_reports,
    read_reports,
    report_category_problems,
    report_notes,
)

LAKE = Report("Blue Lake", "it is a river", "https://example.org/lake?a=1", "2026-01-03T10:11:12Z", "open", "Ana López")


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    hostile = replace(LAKE, what='=1+1, "quoted" | <b>bold</b>', evidence="", by="")
    for report in (LAKE, hostile):
        assert append_report(tmp_path, report) == tmp_path / "errata.csv"
    assert load_reports(tmp_path) == [LAKE, hostile]
    lines = (tmp_path / "errata.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "category,what,evidence,reported_on,status,by" == ",".join(COLUMNS)
    assert lines[1] == "Blue Lake,it is a river,https://example.org/lake?a=1,2026-01-03T10:11:12Z,open,Ana López"


def test_a_missing_file_has_no_reports(tmp_path: Path) -> None:
    assert load_reports(tmp_path / "nowhere") == [] and report_notes(read_reports(tmp_path)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"category": "blue lake"}, "category 'blue lake' is not in its normal form, 'Blue lake'"),
        ({"category": ""}, "no category name in ''"),
        ({"what": " "}, "what is empty; say what is wrong"),
        ({"what": "two\nlines"}, "what 'two\\nlines' has a line break or another control character; remove it"),
        ({"what": "x" * 2001}, "what has 2,001 characters; at most 2,000"),
        ({"by": "a\x1b[2J"}, "by 'a\\x1b[2J' has a line break or another control character; remove it"),
        ({"evidence": "javascript:alert(1)"}, "evidence 'javascript:alert(1)' is not a URL (https://…)"),
        ({"evidence": "https://a b"}, "evidence 'https://a b' is not a URL"),
        ({"status": "opne"}, "status 'opne' is none of open, accepted, rejected; did you mean 'open'?"),
        ({"reported_on": "03.01.2026"}, "reported_on '03.01.2026' is not a date YYYY-MM-DD or a UTC time"),
        ({"reported_on": "2026-02-30"}, "reported_on '2026-02-30' is not a date"),
        ({"reported_on": "2099-01-01"}, "reported_on 2099-01-01 is in the future"),
    ],
)
def test_an_invalid_report_is_refused_and_named_with_its_line(tmp_path: Path, change: dict, problem: str) -> None:
    bad = replace(LAKE, **change)
    with pytest.raises(HgldError, match="is not valid") as refused:
        append_report(tmp_path, bad)
    assert problem.replace("\\n", "\\\\n")[:20] in str(refused.value) or problem[:30] in str(refused.value)
    assert not (tmp_path / "errata.csv").exists()
    table = pd.DataFrame([astuple(LAKE), astuple(bad)], columns=COLUMNS)
    table.to_csv(tmp_path / "errata.csv", index=False)
    file = read_reports(tmp_path)
    assert [report for _, report in file.rows] == [LAKE]
    (line,) = file.problems
    assert line.startswith(f"{tmp_path}/errata.csv:3: ") and problem in line
    with pytest.raises(HgldError, match="1 problem"):
        append_report(tmp_path, replace(LAKE, what="another"))


def test_a_file_that_is_no_csv_of_reports_is_a_problem(tmp_path: Path) -> None:
    for text in ("category,what\n", "a;b\n", "category,what,evidence,reported_on,status,by\n<<<<<<< HEAD\n"):
        (tmp_path / "errata.csv").write_text(text)
        with pytest.raises(HgldError, match=r"errata\.csv:[12]: "):
            load_reports(tmp_path)


def test_the_same_report_is_added_once(tmp_path: Path) -> None:
    append_report(tmp_path, LAKE)
    with pytest.raises(HgldError, match=r"errata\.csv:2: this is reported already, on 2026-01-03T10:11:12Z"):
        append_report(tmp_path, replace(LAKE, by="bob", reported_on="2026-02-01"))
    text = (tmp_path / "errata.csv").read_text().replace(",open,", ",rejected,")
    (tmp_path / "errata.csv").write_text(text)
    append_report(tmp_path, replace(LAKE, reported_on="2026-02-01"))
    assert [report.status for report in load_reports(tmp_path)] == ["rejected", "open"]


def test_no_report_of_concurrent_writers_is_lost(tmp_path: Path) -> None:
    threads = [Thread(target=append_report, args=(tmp_path, replace(LAKE, what=f"fault {n}"))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.what for report in load_reports(tmp_path)) == sorted(f"fault {n}" for n in range(20))


def _judged(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["category", "decided_on"], dtype="str")


def test_a_newer_verdict_or_a_decision_answers_a_report() -> None:
    older = replace(LAKE, what="first", reported_on="2025-12-31")
    done = [replace(LAKE, category="A", status="accepted"), replace(LAKE, category="B", status="rejected")]
    assert open_reports([LAKE, older, *done], _judged()) == {"Blue Lake": [older, LAKE]}
    assert open_reports([LAKE, older], _judged(("Blue Lake", "2026-01-02"))) == {"Blue Lake": [LAKE]}
    assert open_reports([LAKE, older], _judged(("Blue Lake", "2026-01-03"))) == {"Blue Lake": [LAKE]}
    assert open_reports([LAKE, older], _judged(("Blue Lake", "2026-01-03T10:11:12Z"))) == {}
    assert open_reports([LAKE], _judged(("Red Chapel", "2026-05-05"))) == {"Blue Lake": [LAKE]}


def test_a_report_on_a_category_that_no_profile_has_is_named(tmp_path: Path) -> None:
    append_report(tmp_path, replace(LAKE, category="Blue Lakke"))
    file = read_reports(tmp_path)
    (line,) = report_category_problems(file, {"sample": {"Blue Lake"}, "gldv2": set()})
    assert line == (
        f"{tmp_path}/errata.csv:2: the report has no effect: no category 'Blue Lakke' in the metadata of gldv2, "
        "sample; did you mean 'Blue Lake'?"
    )
    assert list(report_category_problems(file, {})) == []
    assert report_notes(file) == ["errata.csv: 1 open report; hgld review asks about them first"]
