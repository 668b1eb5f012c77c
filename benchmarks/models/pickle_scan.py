"""A look at a pickle before it is loaded: what it calls, and whether its values are of reasonable size.

`torch.load(weights_only=True)` runs no foreign code, but it allocates what a file of a few bytes asks for
(`bytearray(10**10)`), and hashes a key of nested tuples, each of which contains the one before twice, for hours. Here
the program of the pickle is followed with the sizes of its values instead of the values.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import IO, Any

from hgld.foundation.errors import HgldError

MAX_STEPS = 1_000_000
MAX_BITS = 1024  # of a whole number: Python refuses to print much longer ones
MAX_TUPLE = 100_000  # values in a tuple, each counted as often as it is referred to
# What torch.save calls to rebuild tensors, and the plain values that pickle builds by a call.
_REBUILD = "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_sparse_tensor"
CALLABLE = {
    *(f"torch._utils.{name}" for name in f"{_REBUILD} _rebuild_meta_tensor_no_storage".split()),
    *("collections.OrderedDict", "_codecs.encode", "torch.Size", "torch.device", "torch.serialization._get_layout"),
    *("__builtin__.set", "builtins.set", "__builtin__.complex", "builtins.complex"),
}
_GET = {"GET", "BINGET", "LONG_BINGET"}
_PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
_CALLS = {"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"}
_FILL = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}


class ForeignObjectError(HgldError):
    """A pickle that refers to something which plain contents do not need; `name` is what it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it contains {name}")
        self.name = name


@dataclass(slots=True)
class _Value:
    """A value of the pickle: how many values it is made of, and its name or text where it has one."""

    size: int = 1
    text: str = ""


def scan_pickle(stream: IO[bytes]) -> list[object]:
    """Follow one pickle; -> the arguments of its first steps. The stream then stands behind it.

    Raises ForeignObjectError for a call of anything but CALLABLE, HgldError for more than MAX_STEPS steps,
    MAX_BITS of a number or MAX_TUPLE values in a tuple, and ValueError or IndexError for bytes that are no pickle.
    """
    stack: list[_Value | None] = []  # None: a mark
    memo: dict[int, _Value] = {}
    first: list[object] = []
    for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if step >= MAX_STEPS:
            raise HgldError(f"it takes more than {MAX_STEPS:,} steps to load")
        if step < 4:
            first.append(argument)
        if isinstance(argument, int) and argument.bit_length() > MAX_BITS:
            raise HgldError(f"it has a whole number of {argument.bit_length():,} bits, more than {MAX_BITS}")
        name = opcode.name
        if name == "MARK":
            stack.append(None)
        elif name in _GET:
            stack.append(memo[int(str(argument))])
        elif name in _PUT or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else int(str(argument))] = _top(stack)
        elif name in _FILL:
            parts = _popped(stack, opcode)
            _top(stack).size += sum(part.size for part in parts)
        else:
            _replace(stack, opcode, argument)
    return first


def _replace(stack: list[_Value | None], opcode: Any, argument: object) -> None:
    """A step that takes values from the stack and puts its results there."""
    parts = _popped(stack, opcode)
    if opcode.name == "DUP":
        stack += [parts[0], parts[0]]
        return
    result = _Value(1 + sum(part.size for part in parts))
    if opcode.name in ("GLOBAL", "INST"):
        result.text = ".".join(str(argument).split(" ", 1))
    elif opcode.name == "STACK_GLOBAL":
        result.text = ".".join(part.text for part in parts)
    elif isinstance(argument, str):
        result.text = argument
    if opcode.name in _CALLS:
        called = result.text if opcode.name == "INST" else parts[0].text
        if called not in CALLABLE:
            raise ForeignObjectError(called)
    if opcode.name.startswith("TUPLE") and result.size > MAX_TUPLE:
        raise HgldError(f"it has tuples nested to more than {MAX_TUPLE:,} values")
    stack += [result] * len(opcode.stack_after)


def _popped(stack: list[_Value | None], opcode: Any) -> list[_Value]:
    """The values that a step takes from the stack, in their order; the container that it fills stays there."""
    takes = [item.name for item in opcode.stack_before]
    if opcode.name in _FILL:
        takes = takes[1:]
    if "mark" not in takes:
        parts = stack[len(stack) - len(takes) :] if takes else []
        if len(parts) < len(takes) or None in parts:
            raise ValueError("a damaged pickle")
        del stack[len(stack) - len(takes) :]
        return [part for part in parts if part is not None]
    mark = len(stack) - 1 - stack[::-1].index(None)
    parts = stack[mark + 1 :]
    del stack[mark:]
    return [part for part in parts if part is not None]


def _top(stack: list[_Value | None]) -> _Value:
    """The value on top of the stack."""
    value = stack[-1]
    if value is None:
        raise ValueError("a damaged pickle")
    return value
