"""A table as CSV, JSON Lines or Parquet, row by row in the order of the release; ids stay text."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet as pq

from hgld.foundation.files import without_nan
from hgld.pipeline.release.export.sources import Source


def write_csv(source: Source, path: Path) -> None:
    """UTF-8 without a byte order mark, commas, "\\n" line ends, a header.

    A value is quoted only where it has a comma, a quotation mark (then doubled) or a line end. A missing number is
    empty. What a spreadsheet takes for a formula is written as it is, as in all CSVs of hgld.
    """
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(_NewlineEnds(handle), lineterminator="\r\n")
        writer.writerow(source.types)
        for row in _rows(source):
            writer.writerow([str(value).lower() if isinstance(value, bool) else value for value in row])


class _NewlineEnds:
    """A file whose rows end in "\\n". The writer of csv gets "\\r\\n", so that it quotes both."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle

    def write(self, line: str) -> None:
        self._handle.write(line.removesuffix("\r\n") + "\n")


def write_jsonl(source: Source, path: Path) -> None:
    """One JSON object per line, UTF-8, with the columns as keys; a missing number is null."""
    names = list(source.types)
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        for row in _rows(source):
            handle.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")


def write_parquet(source: Source, path: Path) -> None:
    """Parquet with zstd, in row groups as they are read."""
    schema = source.schema()
    with pq.ParquetWriter(path, schema, compression="zstd", version="2.6") as writer:
        for batch in source.batches():
            writer.write_batch(batch.cast(schema))


def _rows(source: Source) -> Iterator[tuple[Any, ...]]:
    """The rows as Python values; None for a missing number, also for NaN."""
    for batch in source.batches():
        columns = [without_nan(column.to_pylist()) for column in batch.columns]
        yield from zip(*columns, strict=True)
