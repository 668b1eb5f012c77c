"""A metadata CSV as a Parquet table sorted by its key, in memory that does not grow with the file."""

import csv
import tempfile
from collections import deque
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv as pacsv

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing
from hgld.foundation.tables import strict_reader
from hgld.pipeline.acquisition.gldv2_tables import PATTERNS, Table
from hgld.pipeline.acquisition.row_errors import RowErrors, find_duplicates, find_malformed

_BLOCK_BYTES = 1 << 24
# Above this size the rows are spilled to disk, one file per first character of the key.
_MAX_IN_MEMORY_BYTES = 256 << 20
_ROW_GROUP_ROWS = 1 << 18


def to_parquet(table: Table, path: Path, target: Path, max_in_memory: int = _MAX_IN_MEMORY_BYTES) -> int:
    """Write the CSV at `path` as `target`: every value a string, rows sorted by key. Returns the number of rows.

    Raises HgldError that lists every malformed row with its line, or every row with a duplicate key; then `target` is
    unchanged.
    """
    RowErrors(path).full_list.unlink(missing_ok=True)
    with replacing(target) as part, tempfile.TemporaryDirectory(dir=part.parent) as scratch:
        buckets = _Buckets(Path(scratch), max_in_memory)
        for batch in _batches(table, path):
            _check_values(table, path, batch)
            buckets.add(table.transform(batch))
        rows = _write(buckets, part)
        if buckets.duplicates:
            raise find_duplicates(path, table, buckets.duplicates).error()
        if not rows:
            raise HgldError(f"{path}: expected a table, found a header without rows; download the file again")
    return rows


def empty_parquet(table: Table, target: Path) -> None:
    """Write the table without rows, for a source that does not have the file."""
    schema = pa.schema([(name, pa.string()) for name in table.columns])
    with replacing(target) as part:
        pq.write_table(table.transform(schema.empty_table()), part, compression="zstd", version="2.6")


def _batches(table: Table, path: Path) -> Iterator[pa.Table]:
    header = list(table.columns)
    try:
        _check_header(path, header)
        if not _is_plain(path) and (errors := find_malformed(path, table)).count:
            raise errors.error()
        reader = pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in header}, strings_can_be_null=False
            ),
        )
        with reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except FileNotFoundError:
        raise HgldError(f"no file {path}; run the stage again") from None
    except pa.ArrowInvalid as error:
        errors = find_malformed(path, table)
        if errors.count:
            raise errors.error() from None
        raise HgldError(
            f"{path}: not a UTF-8 CSV file, or a row of more than {_BLOCK_BYTES >> 20} MiB: {error}"
        ) from None
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror or error}") from None


def _check_header(path: Path, header: list[str]) -> None:
    with path.open("rb") as handle:
        line = handle.readline(1 << 12).decode("utf-8-sig", "replace").strip()
    try:
        found = next(strict_reader([line]), [])
    except csv.Error:  # a lone carriage return
        found = []
    if found != header:
        raise HgldError(f"{path}:1: expected the header {','.join(header)}; found {line[:200]!r}")


def _is_plain(path: Path) -> bool:
    """Whether the strict reader accepts the quotation marks of the file, and every row is one line.

    Arrow is no judge of that: it reads `"a"b` as `ab`, and a lone carriage return as the end of a row.
    """
    rows = count()
    try:
        # the structure is in ASCII characters; Arrow verifies the encoding
        with path.open(encoding="latin-1", newline="\n") as handle:
            reader = strict_reader(handle)
            deque(zip(reader, rows, strict=False), maxlen=0)  # the fastest loop over an iterator
            return reader.line_num == next(rows)
    except csv.Error:
        return False


def _check_values(table: Table, path: Path, batch: pa.Table) -> None:
    """Raise HgldError that lists every malformed row of the file unless all values of the batch are valid."""
    for name, kind in table.columns.items():
        if kind in ("any", "prose"):
            continue
        matches = pc.match_substring_regex(batch[name], f"^(?:{PATTERNS[kind]})$")
        if pc.all(matches).as_py() is False:
            raise find_malformed(path, table).error()


class _Buckets:
    """A bucket sort on disk: rows by the first character of their key, each bucket sorted when it is read."""

    def __init__(self, scratch: Path, max_in_memory: int) -> None:
        self._scratch, self._max_bytes, self._bytes = scratch, max_in_memory, 0
        self._in_memory: dict[str, list[pa.Table]] = {}
        self._spilled: dict[str, pa.RecordBatchFileWriter] = {}
        self.duplicates: set[str] = set()

    def add(self, rows: pa.Table) -> None:
        """Distribute the rows."""
        first = pc.utf8_slice_codeunits(rows.column(0), 0, 1)
        for letter in pc.unique(first).to_pylist():
            selected = rows.filter(pc.equal(first, letter))
            self._in_memory.setdefault(letter, []).append(selected)
            self._bytes += selected.nbytes
        if self._bytes > self._max_bytes:
            self._spill()

    def _spill(self) -> None:
        for letter, tables in self._in_memory.items():
            if letter not in self._spilled:
                self._spilled[letter] = pa.ipc.new_stream(self._path(letter), tables[0].schema)
            for table in tables:
                self._spilled[letter].write_table(table)
        self._in_memory, self._bytes = {}, 0

    def _path(self, letter: str) -> str:
        return str(self._scratch / f"{ord(letter):x}.arrow")

    def sorted(self) -> Iterator[pa.Table]:
        """The buckets in order, each sorted; keys that occur more than once are collected in `duplicates`."""
        for writer in self._spilled.values():
            writer.close()
        for letter in sorted({*self._in_memory, *self._spilled}):
            tables = self._in_memory.pop(letter, [])
            if letter in self._spilled:
                with pa.ipc.open_stream(self._path(letter)) as reader:
                    tables.append(reader.read_all())
            bucket = pa.concat_tables(tables).combine_chunks()
            bucket = bucket.take(pc.sort_indices(bucket.column(0)))
            keys = bucket.column(0)
            repeated = pc.equal(keys[1:], keys[:-1])
            self.duplicates.update(keys[1:].filter(repeated).to_pylist())
            yield bucket


def _write(buckets: _Buckets, part: Path) -> int:
    """Write the buckets; the row groups depend only on the rows, not on the batches in which they were read."""
    rows, pending = 0, list[pa.Table]()
    writer = None
    for bucket in buckets.sorted():
        writer = writer or pq.ParquetWriter(part, bucket.schema, compression="zstd", version="2.6")
        pending.append(bucket)
        if sum(map(len, pending)) >= _ROW_GROUP_ROWS:
            writer.write_table(pa.concat_tables(pending))
            pending = []
        rows += len(bucket)
    if writer:
        if pending:
            writer.write_table(pa.concat_tables(pending))
        writer.close()
    return rows
