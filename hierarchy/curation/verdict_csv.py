"""A verdict file as rows of values: as `hgld review` writes it, as a spreadsheet saves it, and as git merges it.

The header says which column is which. Accepted are columns in any order, quotes, commas, semicolons or tabs between
values, a first line `sep=;`, and surplus columns without a name and a value; the file may begin with a byte order mark
and have CRLF line ends. A line may be another header: a union merge keeps those of both branches. Files and rows of
older versions, which had only the first so many of the columns, are read too.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hgld.foundation.tables import header_faults, strict_reader

_DELIMITERS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=."?')
_CONFLICT = re.compile(r"(<{7}|>{7}|\|{7})( |$)|={7}$")


@dataclass(frozen=True)
class Row:
    """The values of one line in the order of the columns; problem: why there are none."""

    line: int
    values: tuple[str, ...] = ()
    delimiter: str = ","
    problem: str = ""


@dataclass(frozen=True)
class _Layout:
    """The delimiter, and the place of each column in a row (None: the file lacks that optional column)."""

    delimiter: str
    width: int
    places: tuple[int | None, ...]
    older: tuple[int, ...]

    def row(self, number: int, line: str) -> Row:
        try:
            values = next(strict_reader([line], self.delimiter), [])
        except csv.Error as error:
            open_quote = "; a quotation mark is not closed, or a value has a line break, which none may have"
            hint = open_quote if "end of data" in str(error) else ""
            return Row(number, problem=f"not a CSV row ({error}){hint}: {line[:80]}")
        if any(values[self.width :]) or (len(values) < self.width and not self._is_older(len(values))):
            return Row(number, problem=f"{len(values)} values for {self.width} columns: {line[:80]}")
        if stray := [value for place, value in enumerate(values) if value and place not in self.places]:
            return Row(number, problem=f"a value in a column without a name: {stray[0][:80]!r}")
        cells = [values[place] if place is not None and place < len(values) else "" for place in self.places]
        return Row(number, tuple(cells), self.delimiter)

    def _is_older(self, count: int) -> bool:
        """Whether a row of so many values was written when there were only so many columns."""
        return count in self.older and self.places[:count] == tuple(range(count))


def read_rows(text: str, columns: Sequence[str], older: Sequence[int]) -> Iterator[Row]:
    """The rows of a file; lines without a value are skipped.

    older: how many of `columns`, from the first, older versions had; the values of the others are empty there.

    A file without a valid header gives one row, with the problem.
    """
    layout: _Layout | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.rstrip("\r")
        if not line.strip(' ,;\t"') or (number == 1 and _SEPARATOR_LINE.fullmatch(line)):
            continue
        if _CONFLICT.match(line.rstrip(",;\t")):  # with what a spreadsheet has added
            yield Row(number, problem="an unresolved git merge conflict; keep the rows of both sides and delete the "
                      "marker lines")  # fmt: skip
        elif header := _layout(line, columns, older):
            layout = header
        elif layout is None:
            yield Row(number, problem=_header_problem(line, columns, older))
            return
        else:
            yield layout.row(number, line)
    if layout is None:
        yield Row(1, problem=f"expected the header {','.join(columns)}; found nothing")


def is_plain(text: str, columns: Sequence[str]) -> bool:
    """Whether rows with commas, in the order of the columns, may be appended to the file."""
    layout = _layout(text.split("\n")[0].rstrip("\r"), columns, ())
    return layout is not None and (layout.delimiter, layout.places) == (",", tuple(range(len(columns))))


def _layout(line: str, columns: Sequence[str], older: Sequence[int]) -> _Layout | None:
    """The layout that a header gives; None for any other line."""
    if columns[0] not in line:
        return None
    for delimiter in _DELIMITERS:
        names = _names(line, delimiter)
        if not _faults(names, columns, older):
            if any(names == list(columns[:count]) for count in older):
                names = list(columns)
            places = tuple(names.index(name) if name in names else None for name in columns)
            return _Layout(delimiter, len(names), places, tuple(older))
    return None


def _names(line: str, delimiter: str) -> list[str]:
    """The names in a header, without spaces around them, and the byte order mark of a file that was appended."""
    try:
        return [name.strip("\ufeff ") for name in next(strict_reader([line], delimiter), [])]
    except csv.Error:
        return []


def _faults(names: Sequence[str], columns: Sequence[str], older: Sequence[int]) -> list[str]:
    """What is wrong with a header: it needs the columns of the oldest version."""
    return header_faults(names, columns[: min(older, default=None)], columns)


def _header_problem(line: str, columns: Sequence[str], older: Sequence[int]) -> str:
    """The difference between a header and the expected one, with invisible characters shown."""
    names = max((_names(line, delimiter) for delimiter in _DELIMITERS), key=lambda names: len({*names} & {*columns}))
    if not {*names} & {*columns}:
        return f"expected the header {','.join(columns)}; found {line[:80]!r}"
    return f"expected the header {','.join(columns)}; found: {'; '.join(_faults(names, columns, older))}"
