"""Reports of wrong labels: `review/errata.csv`, one report per line, appended by `hgld report` and kept in git.

A report is open until somebody changes its status in the file. While it is open, and no verdict on its category is
newer, the category is at the front of the review queue.
"""

import csv
import fcntl
import io
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import write_text
from hgld.foundation.tables import read_csv_with_lines
from hgld.hierarchy.curation.verdict import instant, utc_now
from hgld.hierarchy.curation.verdict_checks import near_categories
from hgld.hierarchy.taxonomy.commons_category import normalise

FILE = "errata.csv"
REPORTED = "reported on"  # how a report begins among the evidence
STATUSES = ("open", "accepted", "rejected")

_LONGEST = 2000
_TIME = re.compile(r"20\d\d-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?")
_URL = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """What somebody says is wrong with the label of a category.

    evidence: the URL of a source, or empty; reported_on: UTC, YYYY-MM-DDTHH:MM:SSZ, or a date; status: one of STATUSES;
    by: who says so, empty for nobody in particular.
    """

    category: str
    what: str
    evidence: str
    reported_on: str
    status: str = "open"
    by: str = ""

    def text(self) -> str:
        """The report as one part of the queue's evidence, whose parts are separated by semicolons.

        >>> Report("Etna", "it is a volcano", "https://example.org/etna", "2026-01-03", by="Ana").text()
        'reported on 2026-01-03 by Ana: it is a volcano (https://example.org/etna)'
        """
        author = f" by {self.by}" if self.by else ""
        source = f" ({self.evidence})" if self.evidence else ""
        return f"{REPORTED} {self.reported_on}{author}: {self.what}".replace(";", ",") + source


COLUMNS = [field.name for field in fields(Report)]


@dataclass(frozen=True)
class ReportFile:
    """The valid reports (file:line, report), and one message per invalid row."""

    rows: Sequence[tuple[str, Report]] = ()
    problems: Sequence[str] = ()


def read_reports(folder: Path) -> ReportFile:
    """The reports in `folder`/errata.csv, which may be missing, in the order of the lines."""
    path = Path(folder) / FILE
    if not path.is_file():
        return ReportFile()
    try:
        table, lines = read_csv_with_lines(path, COLUMNS)
    except HgldError as error:
        return ReportFile(problems=error.args)
    rows, problems = list[tuple[str, Report]](), list[str]()
    for line, values in zip(lines, table.itertuples(index=False, name=None), strict=True):
        report = Report(*map(str, values))
        if problem := _problem(report):
            problems.append(f"{path}:{line}: {problem}")
        else:
            rows.append((f"{path}:{line}", report))
    return ReportFile(rows, problems)


def load_reports(folder: Path) -> list[Report]:
    """The reports in `folder`/errata.csv. Raises HgldError that lists every invalid row (file:line)."""
    file = read_reports(folder)
    if file.problems:
        raise HgldError(f"{len(file.problems)} problem(s) in the reports; correct the file:", *file.problems)
    return [report for _, report in file.rows]


def open_reports(reports: Collection[Report], judged: pd.DataFrame) -> dict[str, list[Report]]:
    """Category → its open reports, oldest first, without those that a newer verdict has answered.

    judged: the settled verdicts (category, decided_on).
    """
    answered = dict(zip(judged["category"], judged["decided_on"].map(instant), strict=True))
    waiting: dict[str, list[Report]] = {}
    for report in sorted(reports, key=lambda report: (instant(report.reported_on), astuple(report))):
        if report.status == "open" and answered.get(report.category, "") < instant(report.reported_on):
            waiting.setdefault(report.category, []).append(report)
    return waiting


def append_report(folder: Path, report: Report) -> Path:
    """Append one row to `folder`/errata.csv, atomically; concurrent writers wait for each other. Returns the file.

    Raises HgldError for a report that could not be read back or is there already, and when the file has problems.
    """
    if problem := _problem(report):
        raise HgldError(f"the report on {report.category!r} is not valid: {problem}")
    path = Path(folder) / FILE
    with _locked(Path(folder)):
        file = read_reports(folder)
        if file.problems:
            raise HgldError(f"nothing was added: {len(file.problems)} problem(s) in {path}:", *file.problems)
        for where, other in file.rows:
            if other.status == "open" and (other.category, other.what) == (report.category, report.what):
                raise HgldError(f"{where}: this is reported already, on {other.reported_on}; nothing was added")
        reports = [*(other for _, other in file.rows), report]
        write_text(_csv_text(reports), path)
    return path


def report_category_problems(file: ReportFile, known: Mapping[str, Collection[str]]) -> Iterator[str]:
    """One message (file:line) per report on a category that no profile has, with the nearest name.

    known: the categories of each profile whose metadata is here; without any, nothing is checked.
    """
    categories = {category for names in known.values() for category in names}
    for where, report in file.rows if known else ():
        if report.category not in categories:
            near = "".join(f"; did you mean '{name}'?" for name in near_categories(report.category, categories, 1))
            yield (
                f"{where}: the report has no effect: no category {report.category!r} in the metadata of "
                f"{', '.join(sorted(known))}{near}"
            )


def report_notes(file: ReportFile) -> list[str]:
    """How many reports nobody has decided on, in a line; nothing where there is none."""
    count = sum(report.status == "open" for _, report in file.rows)
    return [f"{FILE}: {count} open report{'' if count == 1 else 's'}; hgld review asks about them first"] * bool(count)


def _problem(report: Report) -> str:
    """Why a report is invalid; empty for a valid one."""
    for name, value in zip(COLUMNS, astuple(report), strict=True):
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
            return f"{name} {value[:80]!r} has a line break or another control character; remove it"
        if len(value) > _LONGEST:
            return f"{name} has {len(value):,} characters; at most {_LONGEST:,}"
    try:
        name = normalise(report.category, stored=True)
    except HgldError as error:
        return str(error)
    if name != report.category:
        return f"category {report.category!r} is not in its normal form, {name!r}"
    if not report.what.strip():
        return "what is empty; say what is wrong"
    if report.evidence and not _URL.fullmatch(report.evidence):
        return f"evidence {report.evidence!r} is not a URL (https://…); leave it empty, or say it in what"
    if report.status not in STATUSES:
        return f"status {report.status!r} is none of {', '.join(STATUSES)}{suggest(report.status, STATUSES)}"
    return _time_problem(report.reported_on)


def _time_problem(reported_on: str) -> str:
    try:
        valid = bool(_TIME.fullmatch(reported_on)) and bool(datetime.fromisoformat(reported_on))
    except ValueError:
        valid = False
    if not valid:
        expected = "a date YYYY-MM-DD or a UTC time YYYY-MM-DDTHH:MM:SSZ, in 2000 to 2099"
        return f"reported_on {reported_on!r} is not {expected}"
    latest = datetime.fromisoformat(utc_now()).astimezone(UTC) + timedelta(days=1)  # for clocks that are wrong
    if instant(reported_on) > f"{latest:%Y-%m-%dT%H:%M:%SZ}":
        return f"reported_on {reported_on} is in the future, so that no verdict would answer it; correct it"
    return ""


def _csv_text(reports: Sequence[Report]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(report) for report in reports)
    return text.getvalue()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """An exclusive lock on the folder, which the writers of verdicts take too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise HgldError(f"cannot write reports to {folder}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
