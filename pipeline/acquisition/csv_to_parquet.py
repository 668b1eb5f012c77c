"""A metadata CSV becomes a Parquet table sorted by its key, in memory that does not grow with the file."""

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv as pacsv

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing
from hgld.pipeline.acquisition.gldv2_tables import PATTERNS, Table
from hgld.pipeline.acquisition.row_errors import Listing, malformed, repeated

_BLOCK = 1 << 24
# Above this much in memory, rows go to disk, one file a first character of the key.
_IN_MEMORY = 256 << 20
_ROW_GROUP = 1 << 18


def to_parquet(table: Table, path: Path, target: Path, in_memory: int = _IN_MEMORY) -> int:
    """Write the CSV at `path` as `target`: every value a string, rows sorted by key. Returns the number of rows.

    Raises HgldError that lists every malformed row with its line, or every row whose key another row has;
    then `target` is what it was.
    """
    listing = Listing(path)
    listing.full.unlink(missing_ok=True)
    with replacing(target) as part, tempfile.TemporaryDirectory(dir=part.parent) as scratch:
        heaps = _Heaps(Path(scratch), in_memory)
        for batch in _batches(table, path):
            heaps.add(table.shape(_checked(table, path, batch)))
        rows = _write(heaps, part)
        if heaps.twice:
            raise repeated(path, table, heaps.twice).error()
        if not rows:
            raise HgldError(f"{path}: a header and no rows; expected a table: fetch the file again")
    return rows


def empty_parquet(table: Table, target: Path) -> None:
    """The table without rows, for a source that does not have the file."""
    schema = pa.schema([(name, pa.string()) for name in table.columns])
    with replacing(target) as part:
        pq.write_table(table.shape(schema.empty_table()), part, compression="zstd", version="2.6")


def _batches(table: Table, path: Path) -> Iterator[pa.Table]:
    header = list(table.columns)
    try:
        _check_header(path, header)
        reader = pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(block_size=_BLOCK),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in header}, strings_can_be_null=False
            ),
        )
        with reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except FileNotFoundError:
        raise HgldError(f"no file {path}") from None
    except pa.ArrowInvalid as error:
        listing = malformed(path, table)
        if listing.count:
            raise listing.error() from None
        raise HgldError(f"{path}: not a UTF-8 CSV file: {error}") from None
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror or error}") from None


def _check_header(path: Path, header: list[str]) -> None:
    with path.open("rb") as handle:
        line = handle.readline(1 << 12).decode("utf-8-sig", "replace").strip()
    try:
        found = next(csv.reader([line]), [])
    except csv.Error:  # a line end of a kind that CSV has not
        found = []
    if found != header:
        raise HgldError(f"{path}:1: expected the header {','.join(header)}; found {line[:200]!r}")


def _checked(table: Table, path: Path, batch: pa.Table) -> pa.Table:
    """The batch itself when all its values are what their columns hold."""
    for name, kind in table.columns.items():
        good = (
            kind == "any" or pc.all(pc.match_substring_regex(batch[name], f"^(?:{PATTERNS[kind]})$")).as_py()
        )
        if good is False:
            raise malformed(path, table).error()
    return batch


class _Heaps:
    """The rows by the first character of their key: heaps that are in order among themselves, each sorted later."""

    def __init__(self, scratch: Path, in_memory: int) -> None:
        self._scratch, self._limit, self._bytes = scratch, in_memory, 0
        self._rows: dict[str, list[pa.Table]] = {}
        self._spilled: dict[str, pa.RecordBatchFileWriter] = {}
        self.twice: set[str] = set()

    def add(self, rows: pa.Table) -> None:
        """Put the rows on their heaps."""
        first = pc.utf8_slice_codeunits(rows.column(0), 0, 1)
        for letter in pc.unique(first).to_pylist():
            mine = rows.filter(pc.equal(first, letter))
            self._rows.setdefault(letter, []).append(mine)
            self._bytes += mine.nbytes
        if self._bytes > self._limit:
            self._spill()

    def _spill(self) -> None:
        for letter, tables in self._rows.items():
            if letter not in self._spilled:
                name = str(self._scratch / f"{ord(letter):x}.arrow")
                self._spilled[letter] = pa.ipc.new_stream(name, tables[0].schema)
            for table in tables:
                self._spilled[letter].write_table(table)
        self._rows, self._bytes = {}, 0

    def sorted(self) -> Iterator[pa.Table]:
        """The heaps in order, each sorted; keys that come twice are noted in `twice`."""
        for writer in self._spilled.values():
            writer.close()
        for letter in sorted({*self._rows, *self._spilled}):
            tables = self._rows.pop(letter, [])
            if letter in self._spilled:
                with pa.ipc.open_stream(str(self._scratch / f"{ord(letter):x}.arrow")) as reader:
                    tables.append(reader.read_all())
            heap = pa.concat_tables(tables).combine_chunks()
            heap = heap.take(pc.sort_indices(heap.column(0)))
            keys = heap.column(0)
            same = pc.equal(keys[1:], keys[:-1])
            self.twice.update(keys[1:].filter(same).to_pylist())
            yield heap


def _write(heaps: _Heaps, part: Path) -> int:
    """Write the heaps; row groups depend on the rows alone, not on how they came."""
    rows, waiting = 0, list[pa.Table]()
    writer = None
    for heap in heaps.sorted():
        writer = writer or pq.ParquetWriter(part, heap.schema, compression="zstd", version="2.6")
        waiting.append(heap)
        if sum(len(one) for one in waiting) >= _ROW_GROUP:
            writer.write_table(pa.concat_tables(waiting))
            waiting = []
        rows += len(heap)
    if writer:
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
        writer.close()
    return rows
