"""A pickle reader that runs no code: plain Python values and NumPy arrays, nothing else.

A pickle is a program that names callables and calls them. Here every name is looked up in a short table of functions
(CONSTRUCTORS) that build numbers, text and arrays; any other name raises before anything is called. NumPy's own
reconstruction functions are not called either: a forged dtype can make them read arbitrary memory.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hgld.foundation.errors import HgldError

PLAIN_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[US]\d{1,6}")


def load_plain(path: Path) -> Any:
    """The value in a pickle file: None, bool, numbers, text, bytes, list, tuple, dict, set and `Array`.

    Raises HgldError for a missing or damaged file, and for a pickle that contains anything else.
    """
    try:
        with Path(path).open("rb") as handle:
            return _PlainUnpickler(handle, encoding="latin1").load()
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror}") from None
    except HgldError as error:
        raise HgldError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise HgldError(f"{path}: not a readable pickle ({type(error).__name__}: {error}); download it again") from None


class Array:
    """A NumPy array as stored in a pickle; `tolist()` returns its values as nested lists."""

    def __init__(self, values: list[Any] | None = None) -> None:
        self._values = values

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran_order, data = state
        self._values = _values(data, dtype, shape, fortran_order)

    def tolist(self) -> list[Any]:
        """The values as plain Python. Raises ValueError for an array without data."""
        if self._values is None:
            raise ValueError("an array in the pickle has no values")
        return self._values


class _DType:
    """A NumPy dtype: its code ('i8', 'f4', 'U12', 'O8') and its byte order."""

    def __init__(self, code: object) -> None:
        self.code = str(code).lstrip("<>|=")
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if any(part is not None for part in state[2:5]):
            raise HgldError("the pickle holds a structured array; only numbers, text and lists are read")
        self.order = ">" if state[1] == ">" else "<"

    def dtype(self) -> np.dtype[Any]:
        if not PLAIN_DTYPE.fullmatch(self.code):
            raise HgldError(f"the pickle holds an array of type {self.code[:20]!r}; only numbers and text are read")
        return np.dtype(self.order + self.code)


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return "ndarray"
        constructor = CONSTRUCTORS.get((module.replace("numpy._core", "numpy.core"), name))
        if constructor is None:
            raise HgldError(
                f"the pickle refers to {module}.{name}, which plain data does not need; "
                "no code was run. Download the file from its official source"
            )
        # a new function each time, as a pickle may set attributes on the object returned here
        return lambda *arguments: constructor(*arguments)


def _values(data: Any, dtype: _DType, shape: tuple[int, ...], fortran_order: bool) -> Any:
    """Nested lists from raw bytes, or from the flat list of an object array."""
    if isinstance(data, list):
        if len(shape) != 1 or len(data) != shape[0]:
            raise HgldError(f"the pickle holds an object array of shape {shape}; only flat ones are read")
        return data
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype.dtype()).reshape(shape, order="F" if fortran_order else "C").tolist()


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise HgldError(f"the pickle uses the encoding {encoding!r}; only latin1 is read")
    return text.encode("latin1")


CONSTRUCTORS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): lambda code, align=False, copy=False: _DType(code),
    ("numpy.core.multiarray", "_reconstruct"): lambda subtype, shape, code: Array(),
    ("numpy.core.multiarray", "scalar"): lambda dtype, data: _values(data, dtype, (), False),
    ("numpy.core.numeric", "_frombuffer"): lambda data, dtype, shape, order: Array(
        _values(data, dtype, shape, order == "F")
    ),
    ("_codecs", "encode"): _encode,
    # b"" in protocols 0 to 2
    ("__builtin__", "bytes"): lambda: b"",
}
