"""Human verdicts: one row each, in `review/<annotator>.csv`, appended and never overwritten.

A file belongs to one annotator, one row is one line, and within a file the last row of a category counts: that is how
a verdict is corrected. Git merges such files line by line. Annotators who disagree are a conflict, which is listed and
not applied.
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
from hgld.foundation.files import replacing
from hgld.hierarchy.taxonomy.commons_category import normalise


@dataclass(frozen=True)
class Verdict:
    """What one person decided about one category, and what the machine had suggested to them.

    hierarchical_label: empty means "leave it empty"; suggested_score: a number in [0, 1] as text, or empty;
    decided_on: YYYY-MM-DD.
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

# Where the verdicts of all profiles lie, below the root of the repository.
VERDICTS = Path("review")

_HEADER = ",".join(COLUMNS) + "\n"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SOURCES = ("wikidata", "class", "name", "clip", "")


def file_of(folder: Path, annotator: str) -> Path:
    """The file of one annotator. Raises HgldError for a name that is not made of a-z, 0-9 and inner hyphens."""
    if not _NAME.fullmatch(annotator):
        raise HgldError(
            f"annotator '{annotator}': use lower-case letters, digits and hyphens only, such as ana-lopez"
        )
    return Path(folder) / f"{annotator}.csv"


def to_line(verdict: Verdict) -> str:
    """A verdict as one line of CSV. Raises HgldError when a value holds a line break or another control character."""
    for name, value in zip(COLUMNS, astuple(verdict), strict=True):
        if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in value):
            what = "a line break or another control character"
            raise HgldError(f"verdict on {verdict.category!r}: {name} holds {what}: {value!r}")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(astuple(verdict))
    return text.getvalue()


def append_verdict(folder: Path, verdict: Verdict) -> None:
    """Add one row to the annotator's file; it is there whole, on disk, when this returns.

    Processes that write at once wait for each other: none loses a row. A killed one leaves the file as it was.
    """
    path, line = file_of(folder, verdict.annotator), to_line(verdict)
    with _locked(folder):
        text = _text(path) if path.is_file() else ""
        if text and not text.endswith("\n"):
            text += "\n"
        _write(path, (text or _HEADER) + line)


def remove_verdict(folder: Path, verdict: Verdict) -> bool:
    """Take back the last row that equals `verdict`; False when there is none. Other rows stay as they are."""
    path, line = file_of(folder, verdict.annotator), to_line(verdict)
    with _locked(folder):
        lines = _text(path).splitlines(keepends=True) if path.is_file() else []
        places = [place for place, one in enumerate(lines) if one == line]
        if places:
            del lines[places[-1]]
            _write(path, "".join(lines))
    return bool(places)


def _write(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """An exclusive lock on the folder itself: the files in it are replaced, so a lock on one of them would be lost."""
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
    """All verdicts below `folder`, in the order of their files and lines (columns COLUMNS).

    labels: the hierarchical labels that exist.

    Raises HgldError that lists every row that cannot be meant (file:line).
    """
    rows, problems = read_verdicts(folder, labels)
    if problems:
        raise HgldError(
            f"{len(problems)} problem(s) in the verdicts; correct the file(s):\n" + "\n".join(problems)
        )
    return pd.DataFrame([astuple(row) for row in rows], columns=COLUMNS, dtype="str")


def read_verdicts(folder: Path, labels: Collection[str]) -> tuple[list[Verdict], list[str]]:
    """The good rows below `folder`, and one message (file:line) for each bad one."""
    rows: list[Verdict] = []
    problems: list[str] = []
    for path in sorted(Path(folder).glob("*.csv")):
        try:
            lines = _text(path).split("\n")
        except HgldError as error:
            problems.append(str(error))
            continue
        if lines[0].rstrip("\r") != _HEADER.rstrip("\n"):
            problems.append(
                f"{path}:1: expected the header {','.join(COLUMNS)}; found {lines[0][:80] or 'nothing'}"
            )
            continue
        for number, line in enumerate(lines[1:], start=2):
            if line.strip():
                verdict, problem = _parse(line.rstrip("\r"), path, labels)
                rows += [verdict] if verdict else []
                problems += [f"{path}:{number}: {problem}"] if problem else []
    return rows, problems


def _text(path: Path) -> str:
    """The contents of a verdict file, without the mark that some editors put before UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise HgldError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from None
    except OSError as error:
        raise HgldError(f"{path}: cannot be read as a file of verdicts: {error.strerror}") from None


def _parse(line: str, path: Path, labels: Collection[str]) -> tuple[Verdict | None, str]:
    if line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")):
        return None, "an unsettled git merge; keep the rows of both sides and delete the marker lines"
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
    """Why a row cannot be meant, or nothing."""
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
        return f"annotator {verdict.annotator!r} in the file of {owner!r}; a file holds the verdicts of one annotator"
    if not _is_date(verdict.decided_on):
        return f"decided_on {verdict.decided_on!r} is not a date YYYY-MM-DD"
    if verdict.suggested_by not in _SOURCES:
        return f"unknown suggested_by {verdict.suggested_by!r}{suggest(verdict.suggested_by, _SOURCES)}"
    if verdict.suggested_score and not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", verdict.suggested_score):
        return f"suggested_score {verdict.suggested_score!r} is not a number between 0 and 1"
    return ""


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def settled(verdicts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(accepted, conflicts): what the annotators agree on, one row a category; and what they do not, one row each.

    Of one annotator the last row of a category counts. Where several agree, the row is that of the latest date and the
    annotator column names all of them.
    """
    last = verdicts.drop_duplicates(["annotator", "category"], keep="last")
    last = last.sort_values(["category", "decided_on", "annotator"], ignore_index=True)
    opinions = last.groupby("category", sort=True)["hierarchical_label"].transform("nunique")
    agreed = last[opinions == 1]
    names = agreed.groupby("category", sort=True)["annotator"].agg(lambda who: ", ".join(sorted(who)))
    accepted = agreed.drop_duplicates("category", keep="last").reset_index(drop=True)
    accepted["annotator"] = accepted["category"].map(names).astype("str")
    return accepted, last[opinions > 1].reset_index(drop=True)


def stale(verdict: Mapping[Any, Any], label: str) -> bool:
    """Whether the machine now suggests a label that the annotator of `verdict` did not have before them.

    label: what is suggested now, "" for nothing. Only a verdict that records a suggestion can be stale; one whose
    label is what is suggested now is not, nor is one whose suggestion is gone or comes from another source.

    >>> stale({"hierarchical_label": "church", "suggested_label": "church", "suggested_by": "clip"}, "lake")
    True
    """
    recorded = bool(verdict["suggested_by"])
    return recorded and label not in ("", verdict["suggested_label"], verdict["hierarchical_label"])
