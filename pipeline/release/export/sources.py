"""The tables of a release that can be exported, by name, each read in parts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.tables import read_csv_with_lines
from hgld.hierarchy.taxonomy.commons_category import normalise_rows
from hgld.pipeline.release.verification.release_tables import (
    LABEL,
    LANDMARK_COLUMNS,
    LANDMARK_FILES,
    ReleaseTable,
)

# The tables come in this order, and any others after them.
_ORDER = ("labels", "evidence", "train_landmarks", "index_landmarks", "train", "index", "test", "taxonomy")


@dataclass(frozen=True)
class Source:
    """A table to export: its name, its file, and the type of each column (see release_tables)."""

    name: str
    path: Path
    types: Mapping[str, str]
    table: ReleaseTable | None = None

    def schema(self) -> pa.Schema:
        """The columns with their types of Arrow."""
        if self.table is not None:
            return self.table.schema(list(self.types))
        return pa.schema([(name, pa.string()) for name in self.types])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in parts, in the order of the release. Raises HgldError for a damaged table."""
        if self.table is not None:
            yield from self.table.batches(list(self.types))
        else:
            yield pa.RecordBatch.from_pandas(_landmarks(self.path), self.schema(), preserve_index=False)


def sources(folder: Path, name: str | None = None) -> list[Source]:
    """The tables of the release in `folder`, or the one called `name`.

    train_landmarks and index_landmarks are GLDv2's files with its spelling of the category as `url`, and `category` as
    the other tables have it. Raises HgldError for no release, and for an unknown name.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    if "labels" not in paths:
        raise HgldError(f"{folder}: no release: it has no labels.parquet; give its folder, or run: dvc repro release")
    paths |= {f"{split}_landmarks": folder / file for split, file in LANDMARK_FILES.items() if (folder / file).exists()}
    if name is not None and name not in paths:
        raise HgldError(f"{folder}: no table '{name}' (there are: {', '.join(_sorted(paths))}){suggest(name, paths)}")
    return [_source(key, paths[key]) for key in (_sorted(paths) if name is None else [name])]


def _sorted(names: Mapping[str, Path]) -> list[str]:
    return sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def _source(name: str, path: Path) -> Source:
    if path.suffix == ".csv":
        return Source(name, path, dict.fromkeys(["landmark_id", "url", "category", *LABEL], "text"))
    table = ReleaseTable(path)
    return Source(name, path, table.types, table)


def _landmarks(path: Path) -> pd.DataFrame:
    table, lines = read_csv_with_lines(path, LANDMARK_COLUMNS)
    table = table.rename(columns={"category": "url"})
    table["category"] = normalise_rows(path, table["url"], lines)
    return table[["landmark_id", "url", "category", *LABEL]]
