"""Reading a pickle without running it: plain Python values and NumPy arrays, nothing else.

A pickle is a program: it names callables and calls them. Here every name it asks for is looked up in a short table of
functions written below, which build numbers, text and arrays; any other name is an error before anything is called.
NumPy's own rebuilding functions are not called either: a forged dtype can make them read memory that is not theirs.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hgld.foundation.errors import HgldError

NUMBERS_AND_TEXT = re.compile(r"b1|[iu][1248]|f[248]|[US]\d{1,6}")


def load_plain(path: Path) -> Any:
    """The value a pickle file holds: None, bool, numbers, text, bytes, list, tuple, dict, set and `Array`.

    Raises HgldError for a missing file, for a pickle that asks for anything else, and for a broken one.
    """
    try:
        with Path(path).open("rb") as handle:
            return _Plain(handle, encoding="latin1").load()
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror}") from None
    except HgldError as error:
        raise HgldError(f"{path}: {error}") from None
    except Exception as error:  # a broken pickle raises whatever it stumbles over
        raise HgldError(
            f"{path}: not a readable pickle ({type(error).__name__}: {error}); download it again"
        ) from None


class Array:
    """A NumPy array as a pickle describes it; `tolist()` gives its values as nested lists."""

    def __init__(self, values: list[Any] | None = None) -> None:
        self._values = values

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_column, data = state
        self._values = _values(data, kind, shape, by_column)

    def tolist(self) -> list[Any]:
        """The values, plain Python; raises ValueError for an array that was never filled."""
        if self._values is None:
            raise ValueError("an array in the pickle has no values")
        return self._values


class _Kind:
    """A dtype: its code ('i8', 'f4', 'U12', 'O8') and its byte order."""

    def __init__(self, code: object) -> None:
        self.code = str(code).lstrip("<>|=")
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if any(part is not None for part in state[2:5]):
            raise HgldError("the pickle holds a structured array; only numbers, text and lists are read")
        self.order = ">" if state[1] == ">" else "<"

    def dtype(self) -> np.dtype[Any]:
        if not NUMBERS_AND_TEXT.fullmatch(self.code):
            raise HgldError(
                f"the pickle holds an array of type {self.code[:20]!r}; only numbers and text are read"
            )
        return np.dtype(self.order + self.code)


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return "ndarray"
        maker = MAKERS.get((module.replace("numpy._core", "numpy.core"), name))
        if maker is None:
            raise HgldError(
                f"the pickle asks for {module}.{name}, which plain data does not need; "
                "nothing was run. Take the file from its official source"
            )
        # a new function each time: a pickle may set attributes of what it is given
        return lambda *arguments: maker(*arguments)


def _values(data: Any, kind: _Kind, shape: tuple[int, ...], by_column: bool) -> Any:
    """Nested lists from raw bytes, or from the list that an array of objects is stored as."""
    if isinstance(data, list):
        if len(shape) != 1 or len(data) != shape[0]:
            raise HgldError(f"the pickle holds an array of objects of shape {shape}; only flat ones are read")
        return data
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, kind.dtype()).reshape(shape, order="F" if by_column else "C").tolist()


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise HgldError(f"the pickle asks for the encoding {encoding!r}; only latin1 is needed")
    return text.encode("latin1")


MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): lambda code, align=False, copy=False: _Kind(code),
    ("numpy.core.multiarray", "_reconstruct"): lambda subtype, shape, code: Array(),
    ("numpy.core.multiarray", "scalar"): lambda kind, data: _values(data, kind, (), False),
    ("numpy.core.numeric", "_frombuffer"): lambda data, kind, shape, order: Array(
        _values(data, kind, shape, order == "F")
    ),
    ("_codecs", "encode"): _encode,
    # how protocols 0 to 2 write b""
    ("__builtin__", "bytes"): lambda: b"",
}
