"""Arrays of numbers in .npy and .npz files, checked by their headers before anything is read."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, lacks_memory, reason
from hgld.foundation.files import array_header

Array = npt.NDArray[Any]
# What numpy and zipfile raise for files of another kind, damaged and truncated ones.
UNREADABLE = (
    *(OSError, ValueError, EOFError, BadZipFile, KeyError, zlib.error),
    *(NotImplementedError, RuntimeError, OverflowError, SyntaxError, TypeError),
)


class Header(NamedTuple):
    """The shape of an array and the type of its values."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def load_arrays(
    path: Path, names: Sequence[str], check: Callable[[dict[str, Header]], None]
) -> Array | dict[str, Array]:
    """The array of a .npy, or those of a .npz by name, of any numeric type: int64, float64 or float32.

    check: called with the headers of a .npz before its arrays are read. Raises HgldError for other files, arrays that
    hold no numbers, encrypted ones and those that are smaller than their headers say.
    """
    if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise HgldError(f"{path} is a folder; expected a .npy with ranks or scores, or a .npz with embeddings")
    try:
        if path.is_fifo():
            raise HgldError(f"{path} is a pipe, which cannot be read twice; save the arrays to a file first")
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                return _archive(path, names, check)
            size = file.seek(0, os.SEEK_END)
            _header(f"{path}: the array", file, size)
            return _numbers(_array(file))
    except FileNotFoundError:
        raise HgldError(f"no file {path}") from None
    except UNREADABLE as error:
        if lacks_memory(error):
            raise
        if isinstance(error, OSError) and error.strerror:
            raise HgldError(f"{path}: cannot be read: {error.strerror}") from None
        raise HgldError(
            f"{path}: not a NumPy file of numbers ({visible(reason(error))}); write it with numpy.save or numpy.savez"
        ) from None


def _archive(path: Path, names: Sequence[str], check: Callable[[dict[str, Header]], None]) -> dict[str, Array]:
    """The named arrays of a .npz; other members are not read."""
    with ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name in names:
            if name not in members:
                found = visible(", ".join(list(members)[:20])) or "nothing"
                raise HgldError(f"{path}: no array '{name}'; expected {' and '.join(names)}, found {found}")
            if members[name].flag_bits & 1:
                raise HgldError(f"{path}: {name} is encrypted; write the arrays with numpy.savez")
        headers = {name: _member(archive, members[name], f"{path}: {name}", _header) for name in names}
        check(headers)
        return {name: _member(archive, members[name], f"{path}: {name}", _checked_array) for name in names}


def _member(archive: ZipFile, info: ZipInfo, where: str, read: Callable[[str, IO[bytes], int], Any]) -> Any:
    with archive.open(info) as file:
        return read(where, file, info.file_size)


def _header(where: str, file: IO[bytes], size: int) -> Header:
    """The header of an array in a file of `size` bytes. Raises HgldError and ValueError, see `load_arrays`."""
    file.seek(0)
    shape, dtype = array_header(file, size)
    if dtype.kind not in "iuf":
        kind = "objects" if dtype.hasobject else f"dtype {dtype}"
        raise HgldError(f"{where} has {kind}; expected integers (ranks) or floating-point numbers")
    return Header(shape, dtype)


def _checked_array(where: str, file: IO[bytes], size: int) -> Array:
    return _numbers(_array(file))


def _array(file: IO[bytes]) -> Array:
    file.seek(0)
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _numbers(array: Array) -> Array:
    """The array as int64, float64 or float32, which torch accepts, from any width and byte order."""
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
