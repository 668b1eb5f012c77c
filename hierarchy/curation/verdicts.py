"""Human verdicts: append-only CSV files, `review/<annotator>.csv`, one verdict per line.

A file has the verdicts of one annotator; the newest row of a category or class counts, whatever the order of the lines,
so a verdict is corrected by a new row, and git can merge such files line by line. A verdict counts for the profile on
which it was given. What follows from several verdicts is in settled_verdicts.
"""

import csv
import fcntl
import io
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.text_input import open_text
from hgld.hierarchy.curation.verdict import (
    COLUMNS,
    KINDS,
    LANDMARK,
    OLDER,
    UNSURE,
    Verdict,
    VerdictError,
    instant,
    is_time,
    values_of,
    verdict_of,
    verdict_problem,
)
from hgld.hierarchy.curation.verdict_csv import is_plain, read_rows
from hgld.hierarchy.taxonomy.commons_category import normalise

# The folder of the verdicts of all profiles, in the root of the repository.
REVIEW_FOLDER = Path("review")

_HEADER = ",".join(COLUMNS) + "\n"
_NAME = re.compile(r"(?!.{61})[a-z0-9]+(-[a-z0-9]+)*")
# far more than a file of verdicts has
_MAX_BYTES = 1 << 28
# What else is in the folder: the description, the reports of wrong labels (errata.py), and what a killed writer left,
# which the next one removes.
_OTHER_FILES = ("README.md", "errata.csv", ".*.part")


def verdict_file(folder: Path, annotator: str) -> Path:
    """The file of one annotator. Raises HgldError for a name that has more than a-z, 0-9 and inner hyphens."""
    if f"{annotator}.csv" in _OTHER_FILES:
        raise HgldError(f"annotator '{annotator}': {annotator}.csv is another file of that folder; use another name")
    if not _NAME.fullmatch(annotator):
        raise HgldError(
            f"annotator '{annotator[:80]}': use lower-case letters, digits and hyphens only, "
            "at most 60, such as ana-lopez"
        )
    return Path(folder) / f"{annotator}.csv"


def append_verdict(folder: Path, verdict: Verdict, labels: Collection[str] | None = None) -> None:
    """Append one row to the annotator's file, durably and atomically; it can be read when this returns.

    Concurrent writers wait for each other, so that no row is lost. A killed process leaves the file unchanged. A file
    that a spreadsheet has saved in another form is rewritten in ours.

    labels: the known hierarchical labels, if the verdict's is to be checked.

    Raises VerdictError for a verdict that could not be read back, or that would not count because a row of the
    annotator is dated later; HgldError when the file is unreadable or cannot be written.
    """
    path, line = verdict_file(folder, verdict.annotator), _csv_line(verdict)
    _check(verdict, line, labels)
    with _locked(folder):
        text = _read_text(path) if path.is_file() else ""
        text = text if is_plain(text, COLUMNS) else _canonical_text(path, text)
        _check_newest(path, text, verdict)
        written = _HEADER + text.partition("\n")[2]
        written += ("" if written.endswith("\n") else "\n") + line
        write_text(written, path)
        if _read_text(path) != written:
            raise HgldError(f"{path} is not what was written; the verdict on {verdict.category} is not saved")


def remove_verdict(folder: Path, verdict: Verdict) -> bool:
    """Remove the last row that equals `verdict`; False when there is none. Other rows are unchanged."""
    path = verdict_file(folder, verdict.annotator)
    with _locked(folder):
        text = _read_text(path) if path.is_file() else ""
        matches = [row.line for row in read_rows(text, COLUMNS, OLDER) if row.values and verdict_of(row) == verdict]
        if matches:
            lines = text.split("\n")
            del lines[matches[-1] - 1]
            write_text("\n".join(lines), path)
    return bool(matches)


def rewrite_file(path: Path, change: Callable[[Verdict], Verdict] = lambda verdict: verdict) -> bool:
    """Write a verdict file as `hgld review` does, by time, with categories in normal form; whether that changed it.

    change: applied to each verdict. A file is left as it is when it is not named after an annotator, or when a line of
    it cannot be read, or has no valid time. Raises HgldError when it cannot be written.
    """
    if path.suffix != ".csv" or not _NAME.fullmatch(path.stem):
        return False
    with _locked(path.parent):
        try:
            text = _canonical_text(path, _read_text(path), change)
        except HgldError:
            return False
        changed = path.read_bytes() != text.encode()
        if changed:
            write_text(text, path)
    return changed


def rewrite_problems(path: Path) -> list[str]:
    """Why `rewrite_file` cannot rewrite a file: one message per line that it cannot read, or one on the file."""
    if path.suffix != ".csv" or not _NAME.fullmatch(path.stem):
        return [_name_problem(path)]
    try:
        _canonical_text(path, _read_text(path))
    except HgldError as error:
        return list(error.args)
    return []


def _canonical_text(path: Path, text: str, change: Callable[[Verdict], Verdict] = lambda verdict: verdict) -> str:
    """The rows of a file in our form, by time; rows of equal times keep their order. What they say is not checked."""
    if not text:
        return _HEADER
    verdicts, problems = [], []
    for row in read_rows(text, COLUMNS, OLDER):
        verdict = None if row.problem else _in_normal_form(change(verdict_of(row)))
        if verdict and is_time(verdict.decided_on):
            verdicts.append(verdict)
        else:
            problems.append(f"{path}:{row.line}: {row.problem or 'decided_on is not a time'}")
    if problems:
        raise HgldError(*problems)
    verdicts.sort(key=lambda verdict: instant(verdict.decided_on))
    return _HEADER + "".join(map(_csv_line, verdicts))


def _in_normal_form(verdict: Verdict) -> Verdict:
    try:
        return replace(verdict, category=normalise(verdict.category, stored=True))
    except HgldError:
        return verdict


def _csv_line(verdict: Verdict) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values_of(verdict))
    return text.getvalue()


def _check(verdict: Verdict, line: str, labels: Collection[str] | None) -> None:
    """Raise VerdictError unless `line` is read as `verdict` by the code that reads the files."""
    for name, value in zip(COLUMNS[1:], values_of(verdict)[1:], strict=True):
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
            raise VerdictError(
                f"verdict on {verdict.category!r}: {name} has a line break or another control character: {value!r}; "
                "remove it"
            )
    row = next(read_rows(_HEADER + line, COLUMNS, OLDER), None)
    known = {verdict.hierarchical_label} if labels is None else labels
    if row is None or row.problem:
        problem = row.problem if row else "empty"
    else:
        problem = verdict_problem(verdict_of(row), verdict.annotator, known)
        problem = problem or ("" if verdict_of(row) == verdict else "altered")
    if problem:
        raise VerdictError(f"the verdict on {verdict.category!r} could not be read back: {problem}")


def _check_newest(path: Path, text: str, verdict: Verdict) -> None:
    """Raise VerdictError when a row on the same category and profile is dated later than `verdict`."""
    name = verdict.category.replace('"', '""')
    header, *lines = text.split("\n")
    numbers = [number for number, line in enumerate(lines, start=2) if name in line]
    for row in read_rows("\n".join([header, *(lines[number - 2] for number in numbers)]), COLUMNS, OLDER):
        other = verdict_of(row) if row.values else None
        if (
            other
            and (other.kind, other.category) == (verdict.kind, verdict.category)
            and other.profile in ("", verdict.profile)
            and instant(other.decided_on) > instant(verdict.decided_on)
        ):
            raise VerdictError(
                f"{path}:{numbers[row.line - 2]}: this row on {verdict.category!r} is dated {other.decided_on}, later "
                f"than now ({verdict.decided_on}), and would count instead; correct its date, or the clock"
            )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """An exclusive lock on the folder: its files are replaced when written, so a lock on a file would be lost."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise HgldError(f"cannot write verdicts to {folder}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise HgldError(f"cannot write verdicts to {folder}: {error.strerror}") from None
    finally:
        os.close(handle)


@dataclass(frozen=True)
class KindVerdicts:
    """The verdicts of one kind (columns COLUMNS), in the order of files and lines.

    given: those that give a label or none; unsure: the newest of an annotator on a category or class, where that says
    that the annotator cannot tell. What an annotator said before that is in neither.
    """

    given: pd.DataFrame
    unsure: pd.DataFrame


def load_verdicts(
    folder: Path, labels: Collection[str], profiles: Collection[str] | None = None, kind: str = LANDMARK
) -> pd.DataFrame:
    """The verdicts of one kind below `folder` that give a label or none: `given` of load_all_verdicts."""
    return load_all_verdicts(folder, labels, profiles)[kind].given


def load_all_verdicts(
    folder: Path, labels: Collection[str], profiles: Collection[str] | None = None
) -> dict[str, KindVerdicts]:
    """Kind → its verdicts below `folder`.

    labels: the known hierarchical labels; profiles: those whose verdicts count (all by default). A verdict of an
    unknown profile counts always.

    Raises HgldError that lists every invalid row (file:line), also of other profiles.
    """
    files = read_verdicts(folder, labels)
    if files.problems:
        head = f"{len(files.problems)} problem(s) in the verdicts; correct the file(s):"
        raise HgldError(head, *files.problems, *rename_hint(files.problems))
    known = None if profiles is None else {"", *profiles}
    counted = [verdict for _, verdict in files.rows if known is None or verdict.profile in known]
    return {kind: _of_kind([verdict for verdict in counted if verdict.kind == kind]) for kind in KINDS}


def _of_kind(verdicts: list[Verdict]) -> KindVerdicts:
    """Verdicts of one kind, without those that the annotator took back with the answer UNSURE."""
    last: dict[tuple[str, str], tuple[str, int]] = {}
    for place, verdict in enumerate(verdicts):
        if verdict.answer == UNSURE:
            key = (verdict.annotator, verdict.category)
            last[key] = max(last.get(key, ("", -1)), (instant(verdict.decided_on), place))
    given, later = [], set()
    for place, verdict in enumerate(verdicts):
        key = (verdict.annotator, verdict.category)
        if verdict.answer != UNSURE and (key not in last or (instant(verdict.decided_on), place) > last[key]):
            given.append(verdict)
            later.add(key)
    unsure = [verdicts[place] for key, (_, place) in last.items() if key not in later]
    return KindVerdicts(_table(given), _table(unsure))


def _table(verdicts: list[Verdict]) -> pd.DataFrame:
    return pd.DataFrame(list(map(values_of, verdicts)), columns=COLUMNS, dtype="str")


def rename_hint(problems: Collection[str]) -> list[str]:
    """What to do about verdicts whose label is unknown because the taxonomy has a new name for it."""
    if not any(": unknown label " in problem for problem in problems):
        return []
    return ["After a label was renamed in the taxonomy, correct its verdicts with: hgld check --rename OLD=NEW"]


@dataclass(frozen=True)
class VerdictFiles:
    """The valid verdicts (file:line, verdict), one message per invalid row or file, and the files that are not read."""

    rows: list[tuple[str, Verdict]]
    problems: list[str]
    not_read: list[Path]


def read_verdicts(folder: Path, labels: Collection[str]) -> VerdictFiles:
    """Everything in `folder`, which may be missing: each file is read, or a problem, or listed as not read."""
    files = VerdictFiles([], [], [])
    try:
        paths = sorted(Path(folder).iterdir()) if Path(folder).exists() else []
    except OSError as error:
        return VerdictFiles([], [f"{folder}: cannot be read: {error.strerror}"], [])
    for path in paths:
        if any(path.match(pattern) for pattern in _OTHER_FILES):
            continue
        if path.suffix.lower() != ".csv":
            files.not_read.append(path)
        elif path.suffix != ".csv" or not _NAME.fullmatch(path.stem):
            files.problems.append(_name_problem(path))
        else:
            _read_file(path, labels, files)
    return files


def read_verdict_file(path: Path, labels: Collection[str]) -> VerdictFiles:
    """The verdicts of one annotator; none where the file is missing."""
    files = VerdictFiles([], [], [])
    if path.exists():
        _read_file(path, labels, files)
    return files


def _name_problem(path: Path) -> str:
    """That the file is not read, with the name that it should have: that of the annotator of its rows."""
    try:
        owners = {verdict_of(row).annotator for row in read_rows(_read_text(path), COLUMNS, OLDER) if row.values}
    except HgldError:
        owners = set()
    names = [name for name in owners if _NAME.fullmatch(name)] if len(owners) == 1 else []
    name = names[0] if names else "-".join(re.findall("[a-z0-9]+", path.stem.lower())) or "ana"
    target = path.with_name(f"{name}.csv")
    verb = "add its rows to" if target.exists() and not target.samefile(path) else "rename it to"
    return (
        f"{path}: not read, as the name of the file is not that of an annotator (lower-case letters, digits and "
        f"hyphens, then .csv); {verb} {target.name}"
    )


def _read_file(path: Path, labels: Collection[str], files: VerdictFiles) -> None:
    try:
        text = _read_text(path)
    except HgldError as error:
        files.problems.extend(error.args)
        return
    for row in read_rows(text, COLUMNS, OLDER):
        where = f"{path}:{row.line}"
        problem = row.problem or verdict_problem(verdict_of(row), path.stem, labels)
        if problem:
            files.problems.append(f"{where}: {problem}")
        else:
            files.rows.append((where, verdict_of(row)))


def _read_text(path: Path) -> str:
    """The contents of a verdict file with "\\n" line ends, without a byte order mark."""
    with open_text(path, newline=None, expected="a CSV file of verdicts", largest=_MAX_BYTES) as handle:
        return handle.read()
