"""CSV and Parquet tables whose ids stay strings.

An id may look like a number (`00001e1234567890`) and the word `None` may be a value, so types are never inferred:
text stays text, and the empty string is the only missing value.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, lacks_memory, reason, shortened, suggest
from hgld.foundation.files import remedy, replacing
from hgld.foundation.text_input import open_text

if TYPE_CHECKING:
    from _csv import Reader

# The most characters in one value. By default, csv refuses more than 131,072, such as the images of a large landmark.
_MAX_VALUE = 1 << 26
csv.field_size_limit(_MAX_VALUE)
# The largest table that is read into memory at once: in bytes, and in values; a value takes 200 bytes of memory.
_MAX_BYTES = 1 << 30
_MAX_VALUES = 1 << 25
_MAX_MALFORMED = 100_000
# ten times the images of GLDv2: equal values in a Parquet file take no space
_MAX_ROWS = 50_000_000
# of a header that a message quotes
_MAX_QUOTED = 300
_MAX_FAULTS = 5
_LINE_END = re.compile(rb"\r\n|\r|\n")


def strict_reader(lines: Iterable[str], delimiter: str = ",") -> "Reader":
    """The one CSV dialect of all files: a quoted value ends before a comma or a line end, or `csv.Error` is raised.

    Here, so that every reader accepts the long values (`_MAX_VALUE`) that a writer writes.
    """
    return csv.reader(lines, strict=True, delimiter=delimiter)


def read_csv(path: Path, columns: list[str], *, extra: bool = False) -> pd.DataFrame:
    """Read a UTF-8 CSV (gzipped if its name ends in `.gz`) with the header `columns`; every value is a string.

    extra: allow and keep other columns, in any order.

    Raises HgldError for a missing file, a wrong header or encoding, and malformed rows (each with file:line).
    """
    return read_csv_with_lines(path, columns, extra=extra)[0]


def read_csv_with_lines(path: Path, columns: list[str], *, extra: bool = False) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """`read_csv`, and the line of the file on which each row begins: a quoted value may span several lines."""
    with open_text(path, largest=_MAX_BYTES) as handle:
        header, rows, lines = _read_rows(visible(str(path)), handle, columns, extra)
    return pd.DataFrame(rows, columns=header, dtype="str"), tuple(lines)


def _read_rows(
    path: str, handle: Iterable[str], columns: list[str], extra: bool
) -> tuple[list[str], list[list[str]], list[int]]:
    """The header, the rows, and the line on which each row begins."""
    rows, lines, bad = list[list[str]](), list[int](), list[str]()
    reader, start = strict_reader(handle), 1
    try:
        header = next(reader, [])
        _check_header(path, header, columns, extra)
        named = _named(header) if extra else len(header)
        start, names = reader.line_num + 1, set(map(_plain, header))
        for row in reader:
            if row and (fault := _row_fault(row, header, named, names)):
                bad.append(f"{path}:{start}: {fault}")
            elif row:
                rows.append(row[:named] if named < len(row) else row)
                lines.append(start)
            if len(rows) * named > _MAX_VALUES:
                raise HgldError(f"{path}: more than {_MAX_VALUES:,} values; split the file")
            if len(bad) == _MAX_MALFORMED:
                break
            start = reader.line_num + 1
    except csv.Error as error:
        raise HgldError(f"{path}:{start}: not a CSV row: {error}") from None
    except UnicodeDecodeError as error:
        # the lines before the undecodable part have been read
        line = reader.line_num + 1 + len(_LINE_END.findall(error.object[: error.start]))
        raise HgldError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
    if bad:
        more = "" if len(bad) < _MAX_MALFORMED else "at least "
        raise HgldError(f"{more}{len(bad)} malformed row(s):", *shortened(bad))
    return header[:named], rows, lines


def _named(header: list[str]) -> int:
    """The number of columns, without several at the end that have no name: a spreadsheet adds them."""
    if header.count("") < 2:
        return len(header)
    return max((place for place, name in enumerate(header, 1) if name), default=0)


def _row_fault(row: list[str], header: list[str], named: int, names: set[str]) -> str:
    """What is wrong with a row that has values; named: the number of columns that are kept."""
    if len(row) != len(header):
        return f"{len(row)} values for {len(header)} columns: {visible(','.join(row)[:80])}"
    if _plain(row[0]) in names and _repeats_header(row, header):
        return "the header again; delete this line, or rename the columns in line 1"
    return "a value in a column without a name" if any(row[named:]) else ""


def _repeats_header(row: list[str], header: list[str]) -> bool:
    """Whether a row is a header, as where two files were joined: maybe in another order, or in other letters."""
    if len(row) == 1:
        return row == header  # in other letters, it may be a text
    return sorted(map(_plain, row)) == sorted(map(_plain, header))


def _plain(name: str) -> str:
    """A column name without case, spaces around it, and a byte order mark."""
    return name.strip("\ufeff ").casefold()


def check_unique(path: Path, column: str, values: Iterable[str], lines: Sequence[int]) -> None:
    """Raise HgldError for duplicates in a key column; each is listed with its line and that of the first."""
    first: dict[str, int] = {}
    duplicates, where = [], visible(str(path))
    for value, line in zip(values, lines, strict=True):
        if value in first:
            duplicates.append(f"{where}:{line}: duplicate {column} {value!r}, first on line {first[value]}")
        first.setdefault(value, line)
    if duplicates:
        raise HgldError(f"{len(duplicates)} duplicate row(s); keep one of each:", *shortened(duplicates))


def _check_header(path: str, header: list[str], columns: list[str], extra: bool) -> None:
    others = " (and any others)" if extra else ""
    expected = f"the header {','.join(columns)}{others}" if columns else "a header of distinct names"
    if not header:
        raise HgldError(f"{path}:1: expected {expected}; found nothing")
    found = visible(",".join(header)[:_MAX_QUOTED])
    if len(header) == 1 and not {";", "\t"}.isdisjoint(header[0]):
        raise HgldError(f"{path}:1: expected commas between the values; found {found}; save the file with commas")
    faults = header_faults(header, columns, None if extra else columns)
    if header[: _named(header)].count("") > 1 if extra else "" in header:
        faults.append("a column without a name")
    if faults or not (extra or header == columns):
        found += f": {'; '.join(faults) or 'another order'}"
        raise HgldError(f"{path}:1: expected {expected}; found {found}")


def header_faults(header: Sequence[str], columns: Sequence[str], known: Sequence[str] | None) -> list[str]:
    """What is wrong with the names in a header: of the columns, one that is missing, unknown, or there twice.

    known: the columns that there may be, None for any.

    >>> header_faults(["id", "lable", "id"], ["id", "label"], ["id", "label", "comment"])
    ["no column 'label'", "unknown column 'lable'; did you mean 'label'?", "two columns 'id'"]
    """
    faults = [f"no column {name!r}" for name in columns if name not in header]
    unknown = [name for name in dict.fromkeys(header) if name and known is not None and name not in known]
    faults += [f"unknown column {name[:80]!r}{suggest(name[:80], known or ())}" for name in unknown[:_MAX_FAULTS]]
    counts = Counter(name for name in header if name)
    return faults + [f"two columns {name[:80]!r}" for name, count in counts.items() if count > 1][:_MAX_FAULTS]


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` as UTF-8 CSV with "\\n" line ends and no index, atomically."""
    with replacing(path) as part:
        frame.to_csv(part, index=False, encoding="utf-8", lineterminator="\n")


def read_parquet(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table that a stage wrote; all columns by default.

    Raises HgldError for a table that is missing (naming the stage to run), damaged, or without one of `columns`.
    """
    path = Path(path)
    with _named_damage(path):
        rows = pq.read_metadata(path).num_rows
        if rows > _MAX_ROWS:
            raise HgldError(f"{path}: {rows:,} rows, more than the {_MAX_ROWS:,} that any stage writes; {remedy(path)}")
        missing = [name for name in columns or () if name not in pq.read_schema(path).names]
        if missing:
            raise HgldError(f"{path}: not the expected Parquet table: no column {', '.join(missing)}; {remedy(path)}")
        frame: pd.DataFrame = pq.read_table(path, columns=columns, partitioning=None).to_pandas()
        return frame


def text_rows(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[str, ...]]:
    """The rows of some text columns; ten times as fast as `itertuples`, which asks Arrow for each value.

    >>> list(text_rows(pd.DataFrame({"a": ["x", "y"], "b": ["1", "2"]}, dtype="str"), "b", "a"))
    [('1', 'x'), ('2', 'y')]
    """
    return zip(*(frame[name].to_numpy(dtype=object).tolist() for name in columns), strict=True)


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns of a Parquet table. Raises HgldError for a table that is missing or damaged."""
    with _named_damage(Path(path)):
        return list(pq.read_schema(path).names)


@contextmanager
def _named_damage(path: Path) -> Iterator[None]:
    """Raise HgldError, with the stage to run, for a table that is missing or cannot be read."""
    if not path.is_file():
        raise HgldError(f"no table {path}; {remedy(path)}")
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # each kind of damage has its own
        if lacks_memory(error):
            raise
        raise HgldError(f"{path}: not the expected Parquet table: {reason(error)}; {remedy(path)}") from None


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` as Parquet (zstd), atomically; equal frames give equal bytes.

    The index and pandas' metadata are not written; text columns become strings whatever their pandas dtype. The
    caller sorts the rows.
    """
    fields = [pa.field(name, _arrow_type(frame[name])) for name in frame.columns]
    table = pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False)
    with replacing(path) as part:
        pq.write_table(table.replace_schema_metadata(None), part, compression="zstd", version="2.6")


def _arrow_type(column: "pd.Series[Any]") -> pa.DataType:
    if pd.api.types.is_bool_dtype(column):
        return pa.bool_()
    if pd.api.types.is_integer_dtype(column):
        return pa.int64()
    if pd.api.types.is_float_dtype(column):
        return pa.float64()
    return pa.string()
