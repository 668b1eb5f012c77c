"""Human verdicts: append-only CSV files, `review/<annotator>.csv`, one verdict per line.

A file has the verdicts of one annotator; the last row of a category counts, so a verdict is corrected by a new row.
Git can merge such files line by line. Disagreement between annotators is a conflict, which is reported, not applied.
"""

import csv
import fcntl
import io
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import write_text
from hgld.hierarchy.fusion.evidence_kinds import proposal_sources
from hgld.hierarchy.taxonomy.commons_category import normalise


@dataclass(frozen=True)
class Verdict:
    """The decision of one annotator about one category, and the suggestion that was displayed.

    hierarchical_label: empty means that the category gets no label; suggested_score: a number in [0, 1] as text, or
    empty; decided_on: YYYY-MM-DD.
    """

    category: str
    hierarchical_label: str
    suggested_label: str
    suggested_by: str
    suggested_score: str
    annotator: str
    decided_on: str
    comment: str = ""


COLUMNS = [field.name for field in fields(Verdict)]

# The folder of the verdicts of all profiles, in the root of the repository.
REVIEW_FOLDER = Path("review")

_HEADER = ",".join(COLUMNS) + "\n"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def verdict_file(folder: Path, annotator: str) -> Path:
    """The file of one annotator. Raises HgldError for a name that has more than a-z, 0-9 and inner hyphens."""
    if not _NAME.fullmatch(annotator):
        raise HgldError(f"annotator '{annotator}': use lower-case letters, digits and hyphens only, such as ana-lopez")
    return Path(folder) / f"{annotator}.csv"


def _csv_line(verdict: Verdict) -> str:
    """A verdict as one line of CSV. Raises HgldError when a value has a line break or another control character."""
    for name, value in zip(COLUMNS, astuple(verdict), strict=True):
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
            raise HgldError(
                f"verdict on {verdict.category!r}: {name} has a line break or another control character: {value!r}; "
                "remove it"
            )
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(astuple(verdict))
    return text.getvalue()


def append_verdict(folder: Path, verdict: Verdict) -> None:
    """Append one row to the annotator's file, durably and atomically.

    Concurrent writers wait for each other, so that no row is lost. A killed process leaves the file unchanged.
    """
    path, line = verdict_file(folder, verdict.annotator), _csv_line(verdict)
    with _locked(folder):
        text = _read_text(path) if path.is_file() else ""
        if text and not text.endswith("\n"):
            text += "\n"
        write_text((text or _HEADER) + line, path)


def remove_verdict(folder: Path, verdict: Verdict) -> bool:
    """Remove the last row that equals `verdict`; False when there is none. Other rows are unchanged."""
    path, line = verdict_file(folder, verdict.annotator), _csv_line(verdict)
    with _locked(folder):
        lines = _read_text(path).splitlines(keepends=True) if path.is_file() else []
        matches = [index for index, other in enumerate(lines) if other == line]
        if matches:
            del lines[matches[-1]]
            write_text("".join(lines), path)
    return bool(matches)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """An exclusive lock on the folder: its files are replaced when written, so a lock on a file would be lost."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise HgldError(f"cannot write verdicts to {folder}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def load_verdicts(folder: Path, labels: Collection[str]) -> pd.DataFrame:
    """All verdicts below `folder` (columns COLUMNS), in the order of files and lines.

    labels: the known hierarchical labels.

    Raises HgldError that lists every invalid row (file:line).
    """
    rows, problems = read_verdicts(folder, labels)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the verdicts; correct the file(s):\n" + "\n".join(problems))
    return pd.DataFrame([astuple(row) for row in rows], columns=COLUMNS, dtype="str")


def read_verdicts(folder: Path, labels: Collection[str]) -> tuple[list[Verdict], list[str]]:
    """The valid verdicts below `folder`, and one message (file:line) per invalid row."""
    rows: list[Verdict] = []
    problems: list[str] = []
    for path in sorted(Path(folder).glob("*.csv")):
        try:
            lines = _read_text(path).split("\n")
        except HgldError as error:
            problems.append(str(error))
            continue
        if lines[0].rstrip("\r") != _HEADER.rstrip("\n"):
            problems.append(f"{path}:1: expected the header {','.join(COLUMNS)}; found {lines[0][:80] or 'nothing'}")
            continue
        for number, line in enumerate(lines[1:], start=2):
            if line.strip():
                verdict, problem = _parse(line.rstrip("\r"), path, labels)
                rows += [verdict] if verdict else []
                problems += [f"{path}:{number}: {problem}"] if problem else []
    return rows, problems


def _read_text(path: Path) -> str:
    """The contents of a verdict file without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise HgldError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from None
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror}") from None


def _parse(line: str, path: Path, labels: Collection[str]) -> tuple[Verdict | None, str]:
    if line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")):
        return (
            None,
            "an unresolved git merge conflict; keep the rows of both sides and delete the marker lines",
        )
    try:
        values = next(csv.reader([line], strict=True))
    except csv.Error as error:
        return None, f"not a CSV row ({error}): {line[:80]}"
    if len(values) != len(COLUMNS):
        return None, f"{len(values)} values for {len(COLUMNS)} columns: {line[:80]}"
    verdict = Verdict(*values)
    problem = _problem(verdict, path.stem, labels)
    return (None, problem) if problem else (verdict, "")


def _problem(verdict: Verdict, owner: str, labels: Collection[str]) -> str:
    """Why a verdict is invalid; empty for a valid one."""
    try:
        name = normalise(verdict.category)
    except HgldError as error:
        return str(error)
    if name != verdict.category:
        return f"category {verdict.category!r} is not in its normal form, {name!r}"
    for column, label in (
        ("label", verdict.hierarchical_label),
        ("suggested label", verdict.suggested_label),
    ):
        if label and label not in labels:
            return f"unknown {column} {label!r}{suggest(label, labels)}"
    if verdict.annotator != owner or not _NAME.fullmatch(owner):
        return f"annotator {verdict.annotator!r} in the file of {owner!r}; each file has the verdicts of one annotator"
    if not _is_date(verdict.decided_on):
        return f"decided_on {verdict.decided_on!r} is not a date YYYY-MM-DD"
    sources = ["wikidata", *proposal_sources(), ""]
    if verdict.suggested_by not in sources:
        return f"unknown suggested_by {verdict.suggested_by!r}{suggest(verdict.suggested_by, sources)}"
    if verdict.suggested_score and not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", verdict.suggested_score):
        return f"suggested_score {verdict.suggested_score!r} is not a number between 0 and 1"
    return ""


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def settled(verdicts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(accepted, conflicts): one row per category on which all annotators agree; and every row of the others.

    The last row of an annotator and category counts. Where several annotators agree, the row has the latest date, and
    its annotator column names all of them.
    """
    last = verdicts.drop_duplicates(["annotator", "category"], keep="last")
    last = last.sort_values(["category", "decided_on", "annotator"], ignore_index=True)
    opinions = last.groupby("category", sort=True)["hierarchical_label"].transform("nunique")
    agreed = last[opinions == 1]
    names = agreed.groupby("category", sort=True)["annotator"].agg(lambda group: ", ".join(sorted(group)))
    accepted = agreed.drop_duplicates("category", keep="last").reset_index(drop=True)
    accepted["annotator"] = accepted["category"].map(names).astype("str")
    return accepted, last[opinions > 1].reset_index(drop=True)


def is_stale(verdict: Mapping[Any, Any], label: str) -> bool:
    """Whether the current suggestion is a label that the annotator of `verdict` was not asked about.

    label: the current suggestion, "" for none. A verdict is not stale when it records no suggestion, when its own
    label is the current suggestion, or when there is none now; a new source of the same label does not matter.

    >>> is_stale({"hierarchical_label": "church", "suggested_label": "church", "suggested_by": "clip"}, "lake")
    True
    """
    recorded = bool(verdict["suggested_by"])
    return recorded and label not in ("", verdict["suggested_label"], verdict["hierarchical_label"])
