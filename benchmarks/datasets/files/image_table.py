"""A table of images, CSV or Parquet: path, split, any number of level columns, and maybe id.

path: relative to the folder of the table, or absolute. split: train, test, or query and gallery; val for validation.
id: one per image, the path by default; a gallery image with the query's own id is not ranked.

The columns is_query and is_gallery of open-metric-learning are understood: they say which test or validation images
are queries, which are in the gallery, and which are both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import (
    check_split,
    protocol_of,
    role_of,
    split_list,
    unknown_role,
    validate_on,
)
from hgld.foundation.errors import HgldError, lacks_memory, reason, shortened, suggest
from hgld.foundation.files import sha256
from hgld.foundation.tables import header_faults, read_csv_with_lines

RESERVED = ("path", "split", "id", "is_query", "is_gallery")
_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False, "": False, "nan": False}
_NOT_FOR_VALIDATION = ("train", "query", "gallery", "")
SUFFIXES = (".csv", ".csv.gz", ".parquet")
_MOST_VALUES = 1 << 27
_SHOWN = 10


def read_image_table(
    path: Path, levels: Sequence[str] | None, split: str | None, validation: str | None = None
) -> ImageList:
    """The images of a table. levels: columns, finest first; may be left out where one column is left for them.

    split: how images are split where the table has no column `split`, or in place of it (splits.py). validation: the
    word of the column `split`, any but train, query and gallery, whose images have the role val, in place of those that
    are called val. Raises HgldError for a table without the columns, with an unknown split, or with empty paths.
    """
    check_split(split)
    table, lines = _read(path)
    levels = _known_levels(path, table, levels)
    by_column = "split" in table and split is None
    if by_column and validation is not None:
        table, lines = _with_validation(path, table, lines, validation)
    table, faults = _normal(table)
    roles = pd.Series("", index=table.index, dtype="str")
    if by_column:
        words = table["split"].tolist()
        known = {word: role_of(word) or "" for word in set(words)}
        roles = pd.Series([known[word] for word in words], index=table.index, dtype="str")
        faults += [(int(row), unknown_role(words[int(row)])) for row in np.flatnonzero(roles == "")]
        faults += _flag_faults(table)
    if faults:
        texts = [f"{path}:{lines[row]}: {what}" for row, what in faults]
        raise HgldError(f"{len(texts)} row(s) cannot be used:", *shortened(texts, _SHOWN))
    table = table.assign(split=roles)
    if _has_flags(table) and split is None:
        places, table = _by_flags(table, ("test",) if validation else ("test", "val"))
        lines, roles = [lines[row] for row in places], table["split"]
    rows = table[["path", "id", *levels, "split"]]
    images = ImageList(
        name=path.name,
        folder=path.parent,
        rows=rows,
        levels=levels,
        where=str(path),
        lines=lines,
        facts={"data": f"{path.name}, SHA-256 {sha256(path)[:16]}…"},
    )
    if (roles != "").any():
        used = protocol_of(roles.unique(), str(path))
        return replace(images, protocol=used, facts={**images.facts, "split": "the column split"})
    images = split_list(images, split or "class")
    return images if validation is None else validate_on(images, validation)


def _with_validation(
    path: Path, table: pd.DataFrame, lines: Sequence[int], name: str
) -> tuple[pd.DataFrame, Sequence[int]]:
    """The table and its lines with `val` in the rows of the split `name`, without those that were val before.

    Raises HgldError for a split that the table does not have, or that has another use.
    """
    words: list[str] = table["split"].tolist()
    keys = {word: role_of(word) or word.strip().casefold() for word in dict.fromkeys(words)}
    wanted = role_of(name) or name.strip().casefold()
    if wanted not in (possible := [key for key in dict.fromkeys(keys.values()) if key not in _NOT_FOR_VALIDATION]):
        known = f"; possible: {', '.join(possible)[:300]}" if possible else ""
        raise HgldError(f"{path}: no split {name[:60]!r} to validate on{suggest(wanted, possible)}{known}")
    kept = [row for row, word in enumerate(words) if keys[word] == wanted or keys[word] != "val"]
    splits = ["val" if keys[words[row]] == wanted else words[row] for row in kept]
    return table.iloc[kept].reset_index(drop=True).assign(split=splits), [lines[row] for row in kept]


def _normal(table: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """The table with an id in every row, and the rows without a path, or with a character that no path may have."""
    paths = table["path"]
    faults = [(int(row), "no path") for row in np.flatnonzero(paths == "")]
    texts = [name for name in table if name != "path"]
    broken = paths.str.contains("\0", regex=False)
    for name in texts:
        broken |= table[name].str.contains("\0", regex=False)
    faults += [(int(row), "the character NUL in a value") for row in np.flatnonzero(broken)]
    if "id" not in table:
        return table.assign(id=paths), faults
    faults += [(int(row), "no id; give one, or leave the column out") for row in np.flatnonzero(table["id"] == "")]
    return table, faults


def _has_flags(table: pd.DataFrame) -> bool:
    return {"is_query", "is_gallery"} <= set(table)


def _flag_faults(table: pd.DataFrame) -> list[tuple[int, str]]:
    """The rows whose is_query or is_gallery is neither true nor false."""
    if not _has_flags(table):
        return []
    return [
        (row, f"{name} {text[:40]!r} is neither true nor false")
        for name in ("is_query", "is_gallery")
        for row, text in enumerate(table[name].tolist())
        if text.strip().lower() not in _FLAGS
    ]


def _by_flags(table: pd.DataFrame, flagged: Sequence[str]) -> tuple[list[int], pd.DataFrame]:
    """The rows in the roles that is_query and is_gallery say, an image in both roles twice; and their former numbers.

    flagged: the roles to which the columns apply. Images of these that are all both are the role test; those that are
    neither are left out.
    """
    queries, galleries = (
        [_FLAGS[text.strip().lower()] for text in table[name].tolist()] for name in ("is_query", "is_gallery")
    )
    splits = table["split"].tolist()
    evaluated = [row for row, split in enumerate(splits) if split in flagged]
    same = all(queries[row] and galleries[row] for row in evaluated)
    places, roles = [], []
    for row, split in enumerate(splits):
        if split not in flagged:
            own = [split]
        elif same:
            own = ["test"]
        else:
            own = [role for role, flags in (("query", queries), ("gallery", galleries)) if flags[row]]
        places += [row] * len(own)
        roles += own
    return places, table.iloc[places].reset_index(drop=True).assign(split=roles)


def _read(path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    """The table as text, and the line of each row (of Parquet, the number of the row from 1)."""
    if path.suffix.lower() == ".parquet":
        table = _read_parquet(path)
        lines: Sequence[int] = range(1, len(table) + 1)
    else:
        table, lines = read_csv_with_lines(path, ["path"], extra=True)
    if table.empty:
        raise HgldError(f"{path}: no rows; expected one per image, with the columns path, split and the levels")
    return table, lines


def _read_parquet(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise HgldError(f"no file {path}")
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        if faults := header_faults(schema.names, ["path"], None):
            raise HgldError(f"{path}: {'; '.join(faults)}; it has {', '.join(schema.names)[:300]}")
        if file.metadata.num_rows * len(schema.names) > _MOST_VALUES:
            raise HgldError(f"{path}: more than {_MOST_VALUES:,} values; split the file")
        texts = [name for name in schema.names if _is_text(schema.field(name).type)]
        for name in {"path", "split"} & set(schema.names) - set(texts):
            raise HgldError(f"{path}: column {name} is {schema.field(name).type}; expected text")
        content = file.read(columns=texts)
        columns = {name: pd.Series(content[name].cast(pa.string()).fill_null("").to_pylist(), dtype="str")
                   for name in texts}  # fmt: skip
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # as in hgld.foundation.tables
        if lacks_memory(error):
            raise
        raise HgldError(f"{path}: not a Parquet table: {reason(error)[:200]}") from None
    return pd.DataFrame(columns)


def _is_text(kind: pa.DataType) -> bool:
    """Whether a column can be read as text without a change: numbers with a fraction, dates and lists cannot."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
    )


def _known_levels(path: Path, table: pd.DataFrame, levels: Sequence[str] | None) -> tuple[str, ...]:
    others = [str(name) for name in table if name not in RESERVED]
    if levels is None:
        if len(others) == 1:
            return (others[0],)
        raise HgldError(_which_levels(path, table, others))
    for level in levels:
        if level in RESERVED:
            raise HgldError(f"{path}: the column {level} cannot be a level; the others are: {', '.join(others)[:300]}")
        if level not in others:
            raise HgldError(
                f"{path}: no column {level!r} for that level{suggest(level, others)}; "
                f"it has: {', '.join(others)[:300] or 'path only'} (of Parquet, columns of text or whole numbers)"
            )
    if not levels or len(set(levels)) != len(levels):
        raise HgldError(f"levels {', '.join(levels) or '(none)'}: expected columns of {path}, each once, finest first")
    return tuple(levels)


def _which_levels(path: Path, table: pd.DataFrame, others: Sequence[str]) -> str:
    """The message for a table of which it is not known which columns are levels; it proposes those that nest."""
    if not others:
        return f"{path}: no column with classes; expected path, split, and one column per level, such as species,genus"
    counts = {name: table[name].nunique() for name in others}
    ordered = sorted(others, key=lambda name: -counts[name])
    chain = [name for name in ordered if 1 < counts[name] < len(table)][:10] or ordered[:1]
    nested: list[str] = []
    for name in chain:
        if not nested or table.groupby(nested[-1], sort=False)[name].nunique().le(1).all():
            nested.append(name)
    shown = ", ".join(f"{name} ({counts[name]:,} values)" for name in ordered[:10])
    say = f"say so, finest first, as in: --levels {','.join(nested)}"
    return f"{path}: which columns are the levels? There are {shown}; {say}"
