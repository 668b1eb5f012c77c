"""A pickle reader that runs no code: plain Python values and NumPy arrays, nothing else.

A pickle is a program that names callables and calls them. Here every name is looked up in a short table of functions
(CONSTRUCTORS) that build numbers, text and arrays; any other name raises before anything is called. NumPy's own
reconstruction functions are not called either: a forged dtype can make them read arbitrary memory.

The cost is bounded by MAX_BYTES, MAX_VALUES and MAX_DEPTH: by referring to a value twice, and to the result twice, and
so on, a few hundred bytes can describe one that is hashed or printed for hours. The unpickler is Python's own in
Python, some steps of which are checked; the one in C is ten times as fast, but allocates what a step asks for.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, reason

PLAIN_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[US][0-9]{1,6}")
MAX_BYTES = 1 << 23  # of the file: that of Revisited Oxford has 150 KB
MAX_VALUES = 2_000_000  # in the result, each counted as often as it occurs; and values and bytes of arrays on the way
MAX_DEPTH = 30
MAX_KEY = 1000  # characters of a key; whole numbers as keys are below 2^60
FOREIGN_STEPS = (pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.INST, pickle.OBJ, pickle.NEXT_BUFFER)


def load_plain(path: Path) -> Any:
    """The value in a pickle file: None, bool, numbers, text, bytes, list, tuple, dict, set and `Array`.

    Raises HgldError for a missing or damaged file, for a pickle that contains anything else, and for one beyond the
    bounds of this module.
    """
    try:
        with Path(path).open("rb") as handle:
            content = handle.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise HgldError(f"it has more than {MAX_BYTES:,} bytes; is this the file that you mean?")
        value = _PlainUnpickler(content).load()
        _check_size(value)
        return value
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror}") from None
    except HgldError as error:
        raise HgldError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        text = visible(f"{type(error).__name__}: {reason(error)}"[:200])
        raise HgldError(f"{path}: not a readable pickle ({text}); download it again") from None


class _Budget:
    """What the constructors may still make: values, and bytes or characters of text."""

    left = MAX_VALUES

    def spend(self, count: int) -> None:
        """Raises HgldError when there is not enough left."""
        self.left -= count
        if self.left < 0:
            raise _too_large()


def _too_large() -> HgldError:
    return HgldError(f"the pickle makes more than {MAX_VALUES:,} values, which no ground truth needs")


class Array:
    """A NumPy array as stored in a pickle; `tolist()` returns its values as nested lists."""

    def __init__(self, budget: _Budget, values: list[Any] | None = None) -> None:
        self._budget = budget
        self.values = values

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran_order, data = state
        self.values = _values(self._budget, data, dtype, shape, fortran_order)

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


_Unpickler: Any = pickle._Unpickler


class _PlainUnpickler(_Unpickler):  # type: ignore[misc]
    dispatch: ClassVar = {
        step: load for step, load in _Unpickler.dispatch.items() if bytes([step]) not in FOREIGN_STEPS
    }

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self.size = len(content)
        self.budget = _Budget()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return "ndarray"
        constructor = CONSTRUCTORS.get((module.replace("numpy._core", "numpy.core"), name))
        if constructor is None:
            raise HgldError(
                f"the pickle refers to {visible(f'{module}.{name}'[:200])}, which plain data does not need; "
                "no code was run. Download the file from its official source"
            )
        return lambda *arguments: constructor(self.budget, *arguments)

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], (Array, _DType)):
            raise HgldError("the pickle changes an object; plain data does not")
        super().load_build()

    def load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        if length > self.size:
            raise ValueError(f"{length:,} bytes in a file of {self.size:,}")
        self.append(bytearray(self.read(length)))

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _with_checked_keys(load: Callable[[Any], None], keys: slice) -> Callable[[Any], None]:
    """A step that hashes these values of the stack; what takes long to hash or compare raises HgldError."""

    def checked(unpickler: Any) -> None:
        for key in unpickler.stack[keys]:
            short = isinstance(key, (str, bytes)) and len(key) <= MAX_KEY
            if not (short or key is None or (isinstance(key, int) and abs(key) < 1 << 60)):
                raise HgldError(f"the pickle has a key or a member of a set that is a {type(key).__name__} or too long")
        load(unpickler)

    return checked


for _step, _keys in {
    pickle.SETITEM: slice(-2, -1),
    pickle.SETITEMS: slice(None, None, 2),
    pickle.DICT: slice(None, None, 2),
    pickle.ADDITEMS: slice(None),
    pickle.FROZENSET: slice(None),
}.items():
    _PlainUnpickler.dispatch[_step[0]] = _with_checked_keys(_PlainUnpickler.dispatch[_step[0]], _keys)


def _check_size(value: Any) -> None:
    """Raise HgldError beyond MAX_VALUES or MAX_DEPTH; a value is counted as often as it occurs."""
    count, waiting = 0, [(value, 0)]
    while waiting:
        container, depth = waiting.pop()
        parts = _parts(container)
        count += len(parts)
        if count > MAX_VALUES:
            raise _too_large()
        if depth > MAX_DEPTH:
            raise HgldError(f"the pickle nests values more than {MAX_DEPTH} deep; no ground truth does")
        waiting += [(part, depth + 1) for part in parts if isinstance(part, (list, tuple, dict, Array))]


def _parts(container: Any) -> list[Any]:
    """The values in a container, none for any other value; sets hold only keys, which are plain."""
    if isinstance(container, Array):
        return container.values or []
    if isinstance(container, dict):
        return [*container, *container.values()]
    return list(container) if isinstance(container, (list, tuple)) else []


def _values(budget: _Budget, data: Any, dtype: _DType, shape: tuple[int, ...], fortran_order: bool) -> Any:
    """Nested lists from raw bytes, or from the flat list of an object array."""
    if not isinstance(shape, tuple) or len(shape) > 8 or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise HgldError("the pickle holds an array without a shape")
    budget.spend(1 + len(data))
    if isinstance(data, list):
        if len(shape) != 1 or len(data) != shape[0]:
            raise HgldError(f"the pickle holds an object array of shape {shape}; only flat ones are read")
        return data
    budget.spend(math.prod(max(1, n) for n in shape))  # an array of shape (n, 0) has no bytes, and n lists
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype.dtype()).reshape(shape, order="F" if fortran_order else "C").tolist()


def _encode(budget: _Budget, text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise HgldError("the pickle uses another encoding than latin1")
    budget.spend(len(text))
    return text.encode("latin1")


CONSTRUCTORS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): lambda budget, code, align=False, copy=False: _DType(code),
    ("numpy.core.multiarray", "_reconstruct"): lambda budget, subtype, shape, code: Array(budget),
    ("numpy.core.multiarray", "scalar"): lambda budget, dtype, data: _values(budget, data, dtype, (), False),
    ("numpy.core.numeric", "_frombuffer"): lambda budget, data, dtype, shape, order: Array(
        budget, _values(budget, data, dtype, shape, order == "F")
    ),
    ("_codecs", "encode"): _encode,
    # b"" in protocols 0 to 2
    ("__builtin__", "bytes"): lambda budget: b"",
}
