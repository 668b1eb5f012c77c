"""A release as one SQLite database: primary keys, foreign keys, and an index for every column that one joins by."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hgld.foundation.errors import HgldError
from hgld.foundation.files import without_nan
from hgld.pipeline.release.export.sources import Source

# `index` is a word of SQL.
_NAMES = {split: f"{split}_images" for split in ("train", "index", "test")}
_KEYS = {
    "labels": ("category",),
    "evidence": ("category", "source"),
    "train_landmarks": ("landmark_id",),
    "index_landmarks": ("landmark_id",),
    "train": ("image_id",),
    "index": ("image_id",),
    "test": ("image_id",),
    "taxonomy": ("anchor_qid",),
    "quality": ("hierarchical_label",),
    "class_graph": ("class", "parent"),
}
# table → column → the table whose key it is
_REFERENCES: Mapping[str, Mapping[str, str]] = {
    "evidence": {"category": "labels"},
    "train_landmarks": {"category": "labels"},
    "index_landmarks": {"category": "labels"},
    "train": {"landmark_id": "train_landmarks", "category": "labels"},
    "index": {"landmark_id": "index_landmarks", "category": "labels"},
    "test": {"category": "labels"},
}
_INDEXES = {
    "labels": ("hierarchical_label", "qid"),
    "taxonomy": ("hierarchical_label",),
    "class_graph": ("parent",),
}
_TYPES = {"number": "REAL", "whole number": "INTEGER", "true or false": "INTEGER"}
_ROWS = 50_000


def write_database(sources: Sequence[Source], path: Path, about: Mapping[str, str]) -> None:
    """Write the tables; equal releases give equal bytes with one version of SQLite.

    A foreign key that is empty, such as the category of a query without a landmark, is NULL. The relevant images of the
    queries are also rows of `relevant_images`. about: rows of the table `release`.

    Raises HgldError where a key occurs twice or a foreign key leads nowhere.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        try:
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")  # the file is flushed to disk before it gets its name
            database.execute("BEGIN")
            database.execute('CREATE TABLE "release" ("key" TEXT PRIMARY KEY, "value" TEXT NOT NULL) WITHOUT ROWID')
            database.executemany('INSERT INTO "release" VALUES (?, ?)', sorted(about.items()))
            names = {source.name for source in sources}
            for source in sources:
                _add_table(database, source, names)
            if {"test", "index"} <= names:
                _add_relevant(database, next(source for source in sources if source.name == "test"))
            database.execute("COMMIT")
            for table, *_ in database.execute("PRAGMA foreign_key_check").fetchmany(1):
                raise HgldError(f"{table} has a row whose landmark or category is in no other table; run: hgld verify")
        except sqlite3.IntegrityError as error:
            raise HgldError(f"the release has a key twice ({error}); run: hgld verify") from None
        except sqlite3.Error as error:
            raise HgldError(f"cannot write the database: {error}") from None


def _add_table(database: sqlite3.Connection, source: Source, names: set[str]) -> None:
    """One table with its rows, and then its indexes."""
    table, key = _NAMES.get(source.name, source.name), _KEYS.get(source.name, ())
    references = {column: target for column, target in _REFERENCES.get(source.name, {}).items() if target in names}
    columns = [_column(name, kind, name in references) for name, kind in source.types.items()]
    if key:
        columns.append(f"PRIMARY KEY ({_quoted(*key)})")
    for column, target in references.items():
        columns.append(f"FOREIGN KEY ({_quoted(column)}) REFERENCES {_sql(target)} ({_quoted(*_KEYS[target])})")
    without = " WITHOUT ROWID" if key else ""
    database.execute(f"CREATE TABLE {_quoted(table)} ({', '.join(columns)}){without}")
    empty = [number for number, name in enumerate(source.types) if name in references]
    marks = ", ".join("?" * len(source.types))
    for rows in _parts(source, empty):
        database.executemany(f"INSERT INTO {_quoted(table)} VALUES ({marks})", rows)
    for column in dict.fromkeys([*references, *_INDEXES.get(source.name, ())]):
        if column in source.types and (column,) != key[:1]:
            database.execute(f"CREATE INDEX {_quoted(f'{table}_{column}')} ON {_quoted(table)} ({_quoted(column)})")


def _column(name: str, kind: str, reference: bool) -> str:
    missing = "" if kind == "number" or reference else " NOT NULL"
    return f"{_quoted(name)} {_TYPES.get(kind, 'TEXT')}{missing}"


def _add_relevant(database: sqlite3.Connection, test: Source) -> None:
    """The relevant images of each query, one row each, in the order of the queries."""
    database.execute(
        'CREATE TABLE "relevant_images" ("test_image" TEXT NOT NULL, "index_image" TEXT NOT NULL,'
        ' PRIMARY KEY ("test_image", "index_image"), FOREIGN KEY ("test_image") REFERENCES "test_images" ("image_id"),'
        ' FOREIGN KEY ("index_image") REFERENCES "index_images" ("image_id")) WITHOUT ROWID'
    )
    for batch in test.batches():
        pairs = zip(batch.column("image_id").to_pylist(), batch.column("relevant").to_pylist(), strict=True)
        rows = [(query, image) for query, images in pairs for image in sorted(set(images.split()))]
        database.executemany('INSERT INTO "relevant_images" VALUES (?, ?)', rows)
    database.execute('CREATE INDEX "relevant_images_index_image" ON "relevant_images" ("index_image")')


def _parts(source: Source, references: Sequence[int]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows, _ROWS at a time, with None for a missing number and for an empty foreign key."""
    for batch in source.batches():
        columns = [without_nan(column.to_pylist()) for column in batch.columns]
        for number in references:
            columns[number] = [value or None for value in columns[number]]
        rows = list(zip(*columns, strict=True))
        yield from (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))


def _sql(name: str) -> str:
    return _quoted(_NAMES.get(name, name))


def _quoted(*names: str) -> str:
    """Names as SQL writes them, whatever characters they have.

    >>> _quoted("index", 'a"b')
    '"index", "a""b"'
    """
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)
