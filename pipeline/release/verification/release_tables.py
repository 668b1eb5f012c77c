"""The tables of a release: which there are, what columns they have, and reading them in parts.

A release may have further tables and columns; what it states about them in its own columns.json is checked too.
"""

import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hgld.foundation.errors import HgldError, lacks_memory, reason, suggest
from hgld.foundation.text_input import open_text

TEXT, NUMBER, WHOLE, YES_NO = "text", "number", "whole number", "true or false"
BATCH_ROWS = 1 << 17
_MAX_ROWS = 50_000_000
_MAX_BYTES = 1 << 26

LABEL = ("supercategory", "hierarchical_label", "natural_or_human_made")
LANDMARK_COLUMNS = ["landmark_id", "category", *LABEL]
_EVIDENCE = dict.fromkeys(("qid", "method", "class", "path"), TEXT)
_NUMBERS = {"score": NUMBER, "margin": NUMBER}
_VERDICT = dict.fromkeys(("annotator", "decided_on", "note"), TEXT)
_IMAGE = dict.fromkeys(("image_id", "landmark_id", "category", *LABEL), TEXT)

# The columns that every release has.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "labels.parquet": {
        **dict.fromkeys(("category", *LABEL, "source"), TEXT), **_EVIDENCE, **_NUMBERS, **_VERDICT, "snapshot": TEXT,
    },
    "evidence.parquet": {
        **dict.fromkeys(("category", "source", "hierarchical_label", "supercategory"), TEXT),
        **_EVIDENCE, **_NUMBERS, **_VERDICT,
    },
    "train.parquet": {**_IMAGE, "clean": YES_NO},
    "index.parquet": _IMAGE,
    "test.parquet": dict.fromkeys(("image_id", "usage", "relevant", "category", *LABEL), TEXT),
}  # fmt: skip
# The class graph that the paths follow, which a release may lack.
GRAPH_FILE, GRAPH_COLUMNS = "class_graph.parquet", {"class": TEXT, "parent": TEXT}
LANDMARK_FILES = {split: f"{split}_label_to_hierarchical.csv" for split in ("train", "index")}


class ReleaseTable:
    """A Parquet table of a release.

    Raises HgldError, here and while it is read, for a file that is missing, no regular file, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise HgldError(f"{path}: is no regular file")
            self._file = pq.ParquetFile(path)
            self.rows: int = self._file.metadata.num_rows
            schema = self._file.schema_arrow
            self.types = {field.name: _type(field.type) for field in schema}
        except FileNotFoundError:
            raise HgldError(f"{path}: missing") from None
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise self._damaged(error) from None
        if self.rows > _MAX_ROWS:
            raise HgldError(f"{path}: {self.rows:,} rows, more than the {_MAX_ROWS:,} that any release has")
        if len(self.types) != len(schema):
            raise HgldError(f"{path}: two columns have the same name")

    def _damaged(self, error: Exception) -> HgldError:
        if lacks_memory(error):
            raise error
        return HgldError(f"{self.path}: not a Parquet table, or a damaged one: {reason(error)[:200]}")

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows in parts of BATCH_ROWS, in their order."""
        try:
            yield from self._file.iter_batches(BATCH_ROWS, columns=list(columns))
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise self._damaged(error) from None

    def read(self, columns: Sequence[str]) -> dict[str, pa.Array]:
        """Whole columns by name, for tables of a row per category."""
        table = pa.Table.from_batches(self.batches(columns), schema=self.schema(columns))
        return {name: table[name].combine_chunks() for name in columns}

    def schema(self, columns: Sequence[str]) -> pa.Schema:
        """These columns with their types of Arrow."""
        return pa.schema([self._file.schema_arrow.field(name) for name in columns])

    def faults(self, columns: Mapping[str, str]) -> list[str]:
        """One message per column that is missing or of another type, and per text column with missing values."""
        faults = []
        for name, expected in columns.items():
            if name not in self.types:
                faults.append(f"{self.path}: no column {name!r}{suggest(name, self.types.keys() - columns.keys())}")
            elif self.types[name] != expected:
                faults.append(f"{self.path}: column {name!r} is {self.types[name]}, expected {expected}")
        if not faults:
            required = [name for name, expected in columns.items() if expected != NUMBER]
            missing = dict.fromkeys(required, 0)
            for batch in self.batches(required):
                for name in required:
                    missing[name] += batch.column(name).null_count
            faults += [
                f"{self.path}: column {name!r} has no value in {count:,} row(s)"
                for name, count in missing.items()
                if count
            ]
        return faults


def open_table(path: Path, columns: Mapping[str, str]) -> ReleaseTable:
    """A table of a release, read to its end once.

    Raises HgldError when it cannot be read, or `columns` are not in it as they should be.
    """
    table = ReleaseTable(path)
    if faults := table.faults(columns):
        raise HgldError(*faults)
    for _ in table.batches([name for name in table.types if name not in columns]):
        pass
    return table


def _type(arrow: pa.DataType) -> str:
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return TEXT
    if pa.types.is_boolean(arrow):
        return YES_NO
    if pa.types.is_integer(arrow):
        return WHOLE
    return NUMBER if pa.types.is_floating(arrow) else str(arrow)


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object of a release. Raises HgldError when the file is missing, damaged, or something else."""
    with open_text(path, expected="a JSON file", largest=_MAX_BYTES) as handle:
        text = handle.read()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HgldError(f"{path}: not JSON: {reason(error)[:200]}") from None
    if not isinstance(content, dict):
        raise HgldError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def described_faults(folder: Path, tables: Mapping[str, ReleaseTable]) -> list[str]:
    """Where the tables differ from the release's own description of them, columns.json, if there is one."""
    path = folder / "columns.json"
    if not path.exists():
        return []
    faults = []
    for name, table in tables.items():
        entry = read_document(path).get(name)
        columns = entry.get("columns") if isinstance(entry, dict) else None
        if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
            faults.append(f"{path}: does not describe the columns of {name}")
            continue
        described = {str(column.get("name")): str(column.get("type")) for column in columns}
        if list(described) != list(table.types):
            faults.append(
                f"{table.path}: has the columns {', '.join(table.types)}; columns.json has {', '.join(described)}"
            )
        else:
            faults += [
                f"{table.path}: column {column!r} is {table.types[column]}; columns.json says {kind}"
                for column, kind in described.items()
                if table.types[column] != kind
            ]
    return faults
