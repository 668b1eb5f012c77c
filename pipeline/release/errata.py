"""Reports of wrong labels: how one is added (`hgld report`), and the page of all of them in a release, ERRATA.md."""

import re
from collections.abc import Sequence
from pathlib import Path

from hgld.foundation.display.markdown import markdown_text
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.hierarchy.curation.errata import Report, append_report, load_reports
from hgld.hierarchy.curation.verdict import instant, utc_now
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.pipeline.dataset.landmark_search import categories_of

_TITLES = {
    "open": "Open",
    "accepted": "Accepted: the label is corrected in a later release",
    "rejected": "Rejected: the label stays",
}
_HOW = 'To report another one: `hgld report LANDMARK "what is wrong" --evidence URL`.'


def report(params: Params, landmark: str, what: str, review: Path, *, evidence: str = "", by: str = "") -> str:
    """Append a report on one landmark to `review`/errata.csv; returns what to say.

    landmark: an id, a QID, or the name or URL of a category.

    Raises HgldError for an unknown landmark, for an id of several ones, and for a report that is not valid.
    """
    categories = categories_of([landmark], params)
    if len(categories) != 1:
        names = ", ".join(f"'{name}'" for name in categories) or "none"
        raise HgldError(f"'{landmark}' means several categories: {names}; give the name of one")
    new = Report(categories[0], " ".join(what.split()), evidence.strip(), utc_now(), by=" ".join(by.split()))
    path = append_report(review, new)
    return f"{path}: reported '{new.category}'; the queue begins with it after: dvc repro queue"


def errata_page(folder: Path) -> str:
    """The reports in `folder`/errata.csv as a page in Markdown, the open ones first; equal files give equal text.

    Raises HgldError when the file has problems.
    """
    reports = load_reports(folder)
    lines = ["# Errata", ""]
    if not reports:
        lines += ["No label of this release has been reported as wrong.", ""]
    for status, title in _TITLES.items():
        rows = [row for row in reports if row.status == status]
        lines += _section(title, rows) if rows else []
    return "\n".join([*lines, _HOW, ""])


def _section(title: str, reports: Sequence[Report]) -> list[str]:
    lines = [
        f"## {title} ({len(reports)})",
        "",
        "| landmark | what is wrong | evidence | reported |",
        "|---|---|---|---|",
    ]
    for row in sorted(reports, key=lambda row: (row.category, instant(row.reported_on), row.what)):
        link = f"[{markdown_text(row.category)}](<{category_url(row.category)}>)"
        source = f"<{row.evidence}>" if _plain_url(row.evidence) else markdown_text(row.evidence)
        reported = markdown_text(f"{row.reported_on[:10]} by {row.by}" if row.by else row.reported_on[:10])
        lines.append(f"| {link} | {markdown_text(row.what)} | {source} | {reported} |")
    return [*lines, ""]


def _plain_url(url: str) -> bool:
    """Whether a URL may stand between < and > in a cell: no character of it ends the cell, the link or the line."""
    return re.fullmatch(r"https?://[^\s<>|\\`]+", visible(url)) is not None
