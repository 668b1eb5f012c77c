"""Embeddings that exist already: `.npz`, `.npy` with `--ids FILE`, or `.parquet`; and their match with the data's ids.

- `.npz`: `ids` (n) and `vectors` (n, d); or `query_ids`, `query`, `gallery_ids` and `gallery`.
- `.npy`: (n, d), with a text file of n lines, one id each.
- `.parquet`: a column `id` (or `image_id`), and one column of lists, or d columns of numbers.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from hgld.benchmarks.models.scored_model import ModelOptions, Precomputed
from hgld.foundation.errors import HgldError, lacks_memory, reason
from hgld.foundation.files import array_header, check_archive

Array = npt.NDArray[Any]
ID_COLUMNS = ("id", "image_id")
MAX_DIM = 65_536
MAX_COMPRESSION = 100
_ROWS = 65_536  # rows that are checked and normalised at a time
_PAIRS = ({"ids": "vectors"}, {"query_ids": "query", "gallery_ids": "gallery"})
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    pa.ArrowException,
)


def open_npz(model: str, options: ModelOptions) -> Precomputed:
    """The embeddings of a .npz. Raises HgldError for other arrays."""
    path = Path(model)
    try:
        with zipfile.ZipFile(path) as members:
            unpacked, size = sum(one.file_size for one in members.infolist()), path.stat().st_size
        if unpacked > MAX_COMPRESSION * size:
            raise HgldError(
                f"{path}: is refused: {size:,} bytes unpack to {unpacked:,}; no embeddings compress so well"
            )
        with np.load(path, allow_pickle=False) as archive:
            names = set(archive.files)
            pairs = next((pair for pair in _PAIRS if {*pair, *pair.values()} <= names), None)
            if pairs is None:
                expected = " or ".join(", ".join(f"{i}, {v}" for i, v in pair.items()) for pair in _PAIRS)
                raise HgldError(f"{path}: expected arrays {expected}; found {', '.join(sorted(names)[:10]) or 'none'}")
            check_archive(archive.zip, *pairs, *pairs.values())
            ids = [one for name in pairs for one in _texts(path, name, archive[name])]
            parts = [(name, archive[name]) for name in pairs.values()]
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    for name, part in parts:
        _check_shape(path, name, part)
    widths = {part.shape[1] for _, part in parts}
    if len(widths) > 1:
        raise HgldError(f"{path}: query has {parts[0][1].shape[1]} numbers a row, gallery {parts[1][1].shape[1]}")
    sizes = [len(part) for _, part in parts]
    return _precomputed(path, ids, np.concatenate([part for _, part in parts]) if len(sizes) > 1 else parts[0][1])


def open_npy(model: str, options: ModelOptions) -> Precomputed:
    """The embeddings of a .npy, with the ids of a text file. Raises HgldError."""
    path = Path(model)
    if options.ids is None:
        raise HgldError(
            f"{path}: a .npy has no ids; give a text file with one id a line, in the order of its rows: --ids"
        )
    try:
        with path.open("rb") as handle:
            array_header(handle, path.stat().st_size)
            handle.seek(0)
            vectors: Array = np.load(handle, allow_pickle=False)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    _check_shape(path, "the array", vectors)
    try:
        lines = options.ids.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HgldError(f"{options.ids}: cannot be read: {reason(error)[:200]}; expected one id a line") from None
    ids = [line.strip() for line in lines]
    if "" in ids:
        raise HgldError(f"{options.ids}:{ids.index('') + 1}: an empty line; expected one id a line")
    if len(ids) != len(vectors):
        raise HgldError(f"{options.ids}: {len(ids):,} ids for the {len(vectors):,} rows of {path}")
    return _precomputed(path, ids, vectors)


def open_parquet(model: str, options: ModelOptions) -> Precomputed:
    """The embeddings of a Parquet table. Raises HgldError for other columns."""
    import pyarrow.parquet as pq

    path = Path(model)
    try:
        table = pq.read_table(path)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    name = next((column for column in ID_COLUMNS if column in table.column_names), None)
    if name is None:
        raise HgldError(f"{path}: no column {' or '.join(ID_COLUMNS)}; it has {', '.join(table.column_names[:8])}")
    ids = [None if value is None else str(value) for value in table[name].to_pylist()]
    if None in ids:
        raise HgldError(f"{path}: {name} is empty in row {ids.index(None) + 1}")
    kinds = {field.name: field.type for field in table.schema if field.name != name}
    lists = [column for column, kind in kinds.items() if _is_list(kind)]
    numbers = [column for column, kind in kinds.items() if pa.types.is_floating(kind)]
    if len(lists) == 1:
        vectors = _lists(path, lists[0], table[lists[0]].combine_chunks())
    elif not lists and numbers:
        if any(table[column].null_count for column in numbers):
            raise HgldError(f"{path}: columns of the embeddings contain empty values")
        vectors = np.stack([table[column].to_numpy() for column in numbers], axis=1)
    else:
        found = f"{len(lists)} columns of lists ({', '.join(lists[:4])})" if lists else "no numbers"
        raise HgldError(f"{path}: expected one column of lists, or one column a dimension; found {found}")
    _check_shape(path, "the embeddings", vectors)
    return _precomputed(path, [one for one in ids if one is not None], vectors)


def match_ids(
    embeddings: Precomputed, needed: Mapping[str, Sequence[str]], known: Collection[str] = ()
) -> dict[str, Tensor]:
    """The embeddings of each role of the data, in the order of its ids: {role: (n, d)}.

    known: other ids of the data, such as those of images to train on, which may be in the file. Raises HgldError with a
    count and examples for ids that are missing in the file, and for ids of the file that the data do not have.
    """
    rows = {one: row for row, one in enumerate(embeddings.ids)}
    problems = []
    for role, ids in needed.items():
        if missing := [one for one in ids if one not in rows]:
            problems.append(f"{len(missing):,} of the {len(ids):,} {role} images are missing ({_examples(missing)})")
    wanted = {one for ids in needed.values() for one in ids} | set(known)
    if surplus := [one for one in embeddings.ids if one not in wanted]:
        problems.append(f"{len(surplus):,} of its {len(rows):,} ids are not in the data ({_examples(surplus)})")
    if problems:
        remedy = "are the ids written as the data write them, and was the same data embedded?"
        raise HgldError(f"{embeddings.name}: {'; '.join(problems)}; {remedy}")
    return {role: embeddings.vectors[[rows[one] for one in ids]] for role, ids in needed.items()}


def _examples(ids: Sequence[str]) -> str:
    return ", ".join(repr(one[:60]) for one in ids[:3]) + (", …" if len(ids) > 3 else "")


def _precomputed(path: Path, ids: list[str], vectors: Array) -> Precomputed:
    """The embeddings, checked and L2-normalised."""
    if len(ids) != len(vectors):
        raise HgldError(f"{path}: {len(ids):,} ids for {len(vectors):,} embeddings")
    if len(set(ids)) < len(ids):
        repeated = [one for one, count in Counter(ids).items() if count > 1]
        raise HgldError(f"{path}: {len(repeated):,} ids occur more than once ({_examples(repeated)})")
    original = str(vectors.dtype)
    result = torch.from_numpy(np.array(vectors, dtype=np.float32, order="C"))
    digest = hashlib.sha256("\n".join(ids).encode("utf-8", "surrogatepass"))
    for start in range(0, len(result), _ROWS):
        part = result[start : start + _ROWS]
        bad = ~part.isfinite().all(dim=1)
        if bool(bad.any()):
            row = start + int(bad.nonzero()[0])
            raise HgldError(
                f"{path}: the embedding of {ids[row][:60]!r} (row {row + 1}) has values that are not finite"
            )
        lengths = torch.linalg.vector_norm(part, dim=1, keepdim=True, dtype=torch.float64)
        if bool((lengths == 0).any()):
            row = start + int((lengths[:, 0] == 0).nonzero()[0])
            raise HgldError(
                f"{path}: the embedding of {ids[row][:60]!r} (row {row + 1}) is zero, which has no direction"
            )
        part.copy_((part.double() / lengths).float())
        digest.update(part.numpy().data)
    config = {"model": {"embeddings": len(ids), "dim": result.shape[1], "stored as": original}}
    return Precomputed(name=path.name, identity=digest.hexdigest(), ids=tuple(ids), vectors=result, config=config)


def _check_shape(path: Path, name: str, vectors: Array) -> None:
    """Raise HgldError for anything but numbers (n, d)."""
    if vectors.ndim != 2 or vectors.dtype.kind not in "iuf" or not len(vectors) or not 0 < vectors.shape[1] <= MAX_DIM:
        found = f"{vectors.dtype} {vectors.shape}"
        raise HgldError(
            f"{path}: {name} is {found}; expected numbers (images, dimensions), up to {MAX_DIM:,} dimensions"
        )


def _texts(path: Path, name: str, values: Array) -> list[str]:
    """Ids as text from an array of text, bytes or whole numbers."""
    if values.ndim != 1 or values.dtype.kind not in "USiu":
        raise HgldError(f"{path}: {name} is {values.dtype} {values.shape}; expected one text or whole number an image")
    try:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
    except UnicodeDecodeError:
        raise HgldError(f"{path}: {name} has bytes that are not UTF-8") from None


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _lists(path: Path, name: str, column: Any) -> Array:
    """A column of lists of equal length as an array (n, d)."""
    import pyarrow.compute as pc

    if column.null_count:
        raise HgldError(f"{path}: {name} is empty in {column.null_count:,} rows")
    lengths = pc.value_counts(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1:
        shown = ", ".join(str(entry["values"]) for entry in lengths[:4])
        raise HgldError(f"{path}: the lists of {name} differ in length: {shown}")
    values = column.flatten()
    if values.null_count:
        raise HgldError(f"{path}: the lists of {name} contain empty values")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), -1)


def _unreadable(path: Path, error: Exception) -> Exception:
    """The error for a damaged file; lack of memory, no fault of the file, stays as it is."""
    if lacks_memory(error):
        return error
    return HgldError(f"{path}: cannot be read as embeddings ({reason(error)[:200]}); write it again")
