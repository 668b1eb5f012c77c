"""A pickle reader that runs no code: plain Python values and NumPy arrays, nothing else.

A pickle is a program that names callables and calls them. Here every name is looked up in a short table of functions
(CONSTRUCTORS) that build numbers, text and arrays; any other name raises before anything is called. NumPy's own
reconstruction functions are not called either: a forged dtype can make them read arbitrary memory.

The cost is bounded: pickle_scan follows the program before it runs, and the result has at most MAX_VALUES.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hgld.benchmarks.models.pickle_scan import ForeignObjectError, scan_pickle
from hgld.foundation.errors import HgldError, lacks_memory, reason

PLAIN_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[US][0-9]{1,6}")
MAX_BYTES = 1 << 23  # of the file: that of Revisited Oxford has 150 KB
MAX_VALUES = 2_000_000  # in the result, each counted as often as it occurs
MAX_EMPTY = 1000  # the empty lists of an array such as one of shape (n, 0), which has no bytes
MAX_DEPTH = 30
_REMEDY = "Download the file from its official source"


def load_plain(path: Path, *, most_bytes: int = MAX_BYTES, most_values: int = MAX_VALUES) -> Any:
    """The value in a pickle file: None, bool, numbers, text, bytes, list, tuple, dict, set and `Array`.

    most_bytes, most_values: of the file and of the value; the work that pickle_scan allows grows with the first.
    Raises HgldError for a missing or damaged file, for a pickle that contains anything else, and for one beyond the
    bounds of this module.
    """
    try:
        with Path(path).open("rb") as handle:
            content = handle.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise HgldError(f"it has more than {most_bytes:,} bytes")
        scan_pickle(io.BytesIO(content), CALLABLE, scale=most_bytes / MAX_BYTES)
        value = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
        _check_size(value, most_values)
        return value
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror}") from None
    except ForeignObjectError as error:
        raise _foreign(error.name).within(str(path)) from None
    except HgldError as error:
        raise HgldError(f"{path}: {error}; is this the file that you mean? {_REMEDY}") from None
    except Exception as error:  # a damaged pickle can raise anything
        if lacks_memory(error):
            raise
        text = f"{type(error).__name__}: {reason(error)}"[:200]
        raise HgldError(f"{path}: not a readable pickle ({text}); download it again") from None


def _foreign(name: str) -> HgldError:
    return HgldError(f"the pickle refers to {name[:200]}, which plain data does not need; no code was run. {_REMEDY}")


class Array:
    """A NumPy array as stored in a pickle; `tolist()` returns its values as nested lists."""

    def __init__(self, values: list[Any] | None = None) -> None:
        self.values = values

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran_order, data = state
        self.values = _values(data, dtype, shape, fortran_order)

    def tolist(self) -> list[Any]:
        """The values as plain Python. Raises ValueError for an array without data."""
        if self.values is None:
            raise ValueError("an array in the pickle has no values")
        return self.values


class _DType:
    """A NumPy dtype: its code ('i8', 'f4', 'U12', 'O8') and its byte order."""

    def __init__(self, code: object) -> None:
        if not isinstance(code, str):
            raise HgldError("the pickle names the type of an array by something else than text")
        self.code = code.lstrip("<>|=")
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
        if f"{module}.{name}" not in CALLABLE:
            raise ForeignObjectError(f"{module}.{name}")
        return CONSTRUCTORS[module.replace("numpy._core", "numpy.core"), name]


def _check_size(value: Any, most: int) -> None:
    """Raise HgldError beyond `most` values or MAX_DEPTH; a value is counted as often as it occurs."""
    count, waiting = 0, [(value, 0)]
    while waiting:
        container, depth = waiting.pop()
        parts = _parts(container)
        count += len(parts)
        if count > most:
            raise HgldError(f"the pickle makes more than {most:,} values")
        if depth > MAX_DEPTH:
            raise HgldError(f"the pickle nests values more than {MAX_DEPTH} deep")
        waiting += [(part, depth + 1) for part in parts if isinstance(part, (list, tuple, dict, Array))]


def _parts(container: Any) -> list[Any]:
    """The values in a container, none for any other value; sets hold only keys, which are plain."""
    if isinstance(container, Array):
        return container.values or []
    if isinstance(container, dict):
        return [*container, *container.values()]
    return list(container) if isinstance(container, (list, tuple)) else []


def _values(data: Any, dtype: _DType, shape: tuple[int, ...], fortran_order: bool) -> Any:
    """Nested lists from raw bytes, or from the flat list of an object array."""
    if not isinstance(shape, tuple) or len(shape) > 8 or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise HgldError("the pickle holds an array without a shape")
    if isinstance(data, list):
        if len(shape) != 1 or len(data) != shape[0]:
            raise HgldError(f"the pickle holds an object array of shape {shape}; only flat ones are read")
        return data
    if 0 in shape and math.prod(max(1, n) for n in shape) > MAX_EMPTY:
        raise HgldError(f"the pickle holds an array of shape {shape}, which has no values")
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype.dtype()).reshape(shape, order="F" if fortran_order else "C").tolist()


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise HgldError("the pickle uses another encoding than latin1")
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
CALLABLE = {
    f"{core}.{name}" for module, name in CONSTRUCTORS for core in (module, module.replace("numpy.core", "numpy._core"))
}
