"""The invalid rows of a CSV: all of them, each with its line and what is wrong."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import strict_reader
from hgld.pipeline.acquisition.gldv2_tables import EXPECTED, PATTERNS, Table

MAX_SHOWN = 20
# A quoted value may contain line ends; a quotation mark that is not closed within this many lines is an error.
_MAX_LINES = 1000


class Record(NamedTuple):
    """A record of a CSV: the line where it begins, its text, and its values (None where it is not valid CSV)."""

    line: int
    text: str
    values: list[str] | None
    fault: str = ""


class RowErrors:
    """The invalid rows of one file: the first ones for the message; more than `MAX_SHOWN` go to a file beside it."""

    def __init__(self, path: Path) -> None:
        self.path, self.full_list = path, path.with_name(f"{path.name}.malformed.txt")
        self.count, self._shown = 0, list[str]()

    def add(self, record: Record, fault: str) -> None:
        """Add an invalid row."""
        line = f"{self.path}:{record.line}: {fault}: {record.text[:200]!r}"
        self.count += 1
        if self.count <= MAX_SHOWN:
            self._shown.append(line)
            return
        # not collected in memory: every row of millions may be invalid
        first = self.count == MAX_SHOWN + 1
        with self.full_list.open("w" if first else "a", encoding="utf-8", newline="\n") as handle:
            handle.writelines(f"{text}\n" for text in ([*self._shown, line] if first else [line]))

    def error(self) -> HgldError:
        """The error to raise: the first rows, and where the full list is."""
        head = f"{self.path}: {self.count:,} malformed row(s)"
        if self.count > MAX_SHOWN:
            head += f", all listed in {self.full_list}; the first"
        return HgldError(f"{head}:", *self._shown)


def find_malformed(path: Path, table: Table) -> RowErrors:
    """Every row with a wrong number of values, a value that its column does not allow, or an encoding error."""
    errors = RowErrors(path)
    columns = [(name, re.compile(PATTERNS[kind]), EXPECTED.get(kind, "")) for name, kind in table.columns.items()]
    for record in _records(path):
        if record.values is None:
            errors.add(record, record.fault)
        elif len(record.values) != len(columns):
            errors.add(record, f"{len(record.values)} values for {len(columns)} columns")
        elif fault := _utf8_fault(record.text):
            errors.add(record, fault)
        else:
            for value, (name, pattern, expected) in zip(record.values, columns, strict=True):
                if not pattern.fullmatch(value):
                    errors.add(record, f"{name} is {value[:40]!r}, expected {expected}")
                    break
    return errors


def find_duplicates(path: Path, table: Table, keys: set[str]) -> RowErrors:
    """Every row with one of `keys` that an earlier row has."""
    errors, first = RowErrors(path), dict[str, int]()
    column = list(table.columns).index("images" if "ids" in table.columns.values() else next(iter(table.columns)))
    for record in _records(path):
        for key in record.values[column].split(" ") if record.values else ():
            if key in keys and key in first:
                errors.add(record, f"{key} is already in line {first[key]}")
            elif key in keys:
                first[key] = record.line
    return errors


def _records(path: Path) -> Iterator[Record]:
    """The records after the header; text that is not valid CSV is a record up to the end of its first line."""
    with path.open("rb") as handle:
        next(handle, None)
        lines: list[str] = []
        number = 2
        while True:
            record, used = _record(lines, handle, number)
            if not lines:
                return
            if record.text:
                yield record
            del lines[:used]
            number += used


def _record(lines: list[str], handle: Iterator[bytes], number: int) -> tuple[Record, int]:
    """The record that begins with the first of the lines read ahead, and how many lines it takes."""
    used = 0

    def ahead() -> Iterator[str]:
        nonlocal used
        for used in range(1, _MAX_LINES + 1):
            if used > len(lines):
                line = next(handle, b"")
                if not line:
                    return
                lines.append(line.decode("utf-8", "surrogateescape"))
            yield lines[used - 1]

    try:
        values = next(strict_reader(ahead()), [])
    except csv.Error as error:
        return Record(number, _text(lines[:1]), None, f"not a CSV row ({error})"), 1
    return Record(number, _text(lines[:used]), values), used


def _text(lines: list[str]) -> str:
    return "".join(lines).rstrip("\r\n")


def _utf8_fault(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"not UTF-8 (character {error.start + 1} of the row)"
    return ""
