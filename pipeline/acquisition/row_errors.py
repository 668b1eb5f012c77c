"""The rows of a CSV that are not what they should be: all of them, each with its line and why."""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.gldv2_tables import EXPECTED, PATTERNS, Table

SHOWN = 20
# A quoted value may hold line ends; one that is still open after so many lines was never meant to be open.
_LINES = 50


class Row(NamedTuple):
    """A record of a CSV: the line it begins on, its text, and its values (None: it is no CSV record)."""

    line: int
    text: str
    values: list[str] | None
    fault: str = ""


class Listing:
    """Bad rows of one file: counted, the first kept to be shown; where they are many, all written beside the file."""

    def __init__(self, path: Path) -> None:
        self.path, self.full = path, path.with_name(f"{path.name}.malformed.txt")
        self.count, self._shown = 0, list[str]()

    def add(self, row: Row, why: str) -> None:
        """One bad row."""
        line = f"{self.path}:{row.line}: {why}: {row.text[:200]!r}"
        self.count += 1
        if self.count <= SHOWN:
            self._shown.append(line)
            return
        # as they come: it may be every row of millions
        first = self.count == SHOWN + 1
        with self.full.open("w" if first else "a", encoding="utf-8", newline="\n") as handle:
            handle.writelines(f"{one}\n" for one in ([*self._shown, line] if first else [line]))

    def error(self) -> HgldError:
        """All of it as a message, or the first of it and where all is."""
        head = f"{self.path}: {self.count:,} malformed row(s)"
        if self.count <= SHOWN:
            return HgldError("\n".join([f"{head}:", *self._shown]))
        return HgldError("\n".join([f"{head}, all listed in {self.full}; the first:", *self._shown]))


def malformed(path: Path, table: Table) -> Listing:
    """Every row that has the wrong number of values, or a value that is not what its column holds, or is not UTF-8."""
    found = Listing(path)
    checks = [
        (name, re.compile(PATTERNS[kind]), EXPECTED.get(kind, "")) for name, kind in table.columns.items()
    ]
    for row in records(path):
        if row.values is None:
            found.add(row, row.fault)
        elif len(row.values) != len(checks):
            found.add(row, f"{len(row.values)} values for {len(checks)} columns")
        elif fault := _utf8_fault(row.text):
            found.add(row, fault)
        else:
            for value, (name, pattern, expected) in zip(row.values, checks, strict=True):
                if not pattern.fullmatch(value):
                    found.add(row, f"{name} is {value[:40]!r}, expected {expected}")
                    break
    return found


def repeated(path: Path, table: Table, keys: set[str]) -> Listing:
    """Every row that brings one of these keys, which more than one row does."""
    found, first = Listing(path), dict[str, int]()
    column = list(table.columns).index(
        "images" if "ids" in table.columns.values() else next(iter(table.columns))
    )
    for row in records(path):
        for key in row.values[column].split(" ") if row.values else ():
            if key in keys and key in first:
                found.add(row, f"{key} stands in line {first[key]} already")
            elif key in keys:
                first[key] = row.line
    return found


def records(path: Path) -> Iterator[Row]:
    """The records after the header; what is no CSV record is given up to the end of its first line."""
    with path.open("rb") as handle, _any_length():
        next(handle, None)
        waiting: list[str] = []
        number = 2
        while True:
            if not waiting:
                line = handle.readline()
                if not line:
                    return
                waiting.append(line.decode("utf-8", "surrogateescape"))
            row, used = _record(waiting, handle, number)
            if row.text:
                yield row
            del waiting[:used]
            number += used


@contextmanager
def _any_length() -> Iterator[None]:
    """Csv refuses values of more than 128 KiB; a landmark's images in one cell may be more."""
    usual = csv.field_size_limit(1 << 30)
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def _record(waiting: list[str], handle: "Iterator[bytes]", number: int) -> tuple[Row, int]:
    """The record that begins with the first waiting line, and how many lines it takes."""
    fault = ""
    for used in range(1, _LINES + 1):
        if used > len(waiting):
            line = next(handle, b"")
            if not line:
                break
            waiting.append(line.decode("utf-8", "surrogateescape"))
        try:
            values = next(csv.reader(waiting[:used], strict=True), [])
        except csv.Error as error:
            fault = f"not a CSV row ({error})"
            if "unexpected end of data" not in fault:
                break
        else:
            return Row(number, _text(waiting[:used]), values), used
    return Row(number, _text(waiting[:1]), None, fault), 1


def _text(lines: list[str]) -> str:
    return "".join(lines).rstrip("\r\n")


def _utf8_fault(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"not UTF-8 (character {error.start + 1} of the row)"
    return ""
