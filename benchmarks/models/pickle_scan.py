"""A look at a pickle before it is loaded: what it calls, and whether its values are of reasonable size.

A pickle is a program. Even where it may call only harmless functions, a few hundred bytes can allocate gigabytes
(`bytearray(10**10)`, entry 2**31 of the memo), or take hours: by referring to a value twice, and to the result twice,
and so on, one that has 2**60 parts is hashed or printed. Here the program is followed with the sizes of its values
instead of the values. Which names it may refer to is checked again by the reader that loads it.
"""

from __future__ import annotations

import pickletools
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import IO, Any

from hgld.foundation.errors import HgldError

MAX_STEPS = 1_000_000
MAX_BITS = 1024  # of a whole number: Python refuses to print much longer ones
MAX_WORK = 16_000_000  # values, and characters of text, that are given to the functions it calls
# Of the keys of dictionaries and the members of sets, so that they are hashed and compared fast: whole numbers above
# can be chosen to have equal hashes.
MAX_KEY_BITS = 60
MAX_KEY_LENGTH = 1000

_GET = {"GET", "BINGET", "LONG_BINGET"}
_PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
_CALLS = {"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"}
_REFERENCES = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"}
_FILL = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
# The part of what a step takes that it hashes.
_KEYS = {
    **dict.fromkeys(("SETITEM", "SETITEMS", "DICT"), slice(None, None, 2)),
    **dict.fromkeys(("ADDITEMS", "FROZENSET"), slice(None)),
}


class ForeignObjectError(HgldError):
    """A pickle that calls something which plain contents do not need; `name` is what it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it contains {name}")
        self.name = name

    def __reduce__(self) -> tuple[type[ForeignObjectError], tuple[str]]:
        return type(self), (self.name,)


@dataclass(slots=True)
class _Value:
    """A value of the pickle."""

    size: int = 1  # values, and characters of text, that it consists of
    text: str = ""  # its text, its name, or that of its first part
    key: str = ""  # why it may not be a key
    member: str = ""  # why something in it may not be a key


class _Stack:
    """The values on the stack, and where its marks are."""

    def __init__(self) -> None:
        self.values: list[_Value] = []
        self.marks: list[int] = []

    def top(self) -> _Value:
        return self.values[self._checked(1)]

    def pop(self, opcode: Any) -> list[_Value]:
        """The values that a step takes, in their order; the container that it fills stays there."""
        takes = [item.name for item in opcode.stack_before[opcode.name in _FILL :]]
        if "mark" in takes or (opcode.name == "POP" and self.marks[-1:] == [len(self.values)]):
            start = self.marks.pop()
        else:
            start = self._checked(len(takes))
        parts = self.values[start:]
        del self.values[start:]
        return parts

    def _checked(self, count: int) -> int:
        """The place from which on there are so many values above the last mark."""
        start = len(self.values) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise ValueError("a damaged pickle")
        return start


def scan_pickle(
    stream: IO[bytes], allowed: Container[str], persistent: str = "", *, scale: float = 1.0
) -> list[object]:
    """Follow one pickle; -> the arguments of its first steps. The stream then stands behind it.

    allowed: the names (`module.function`) that it may call. persistent: what its references to other parts of the file
    begin with; "" where there may be none. scale: how many times MAX_STEPS and MAX_WORK are allowed, for files that
    are larger than usual.

    Raises ForeignObjectError for a call of anything else, HgldError beyond the bounds of this module, and ValueError,
    IndexError or KeyError for bytes that are no pickle.
    """
    stack = _Stack()
    memo: dict[int, _Value] = {}
    first: list[object] = []
    most_steps, most_work, work = int(scale * MAX_STEPS), int(scale * MAX_WORK), 0
    for step, (opcode, argument, _) in enumerate(_steps(stream)):
        name = opcode.name
        if step >= most_steps:
            raise HgldError(f"it takes more than {most_steps:,} steps to load")
        if step < 4:
            first.append(argument)
        if isinstance(argument, int) and name != "FRAME" and argument.bit_length() > MAX_BITS:
            raise HgldError(f"it has a whole number of {argument.bit_length():,} bits, more than {MAX_BITS}")
        if name == "MARK":
            stack.marks.append(len(stack.values))
        elif name in _GET:
            stack.values.append(memo[int(str(argument))])
        elif name in _PUT or name == "MEMOIZE":
            place = len(memo) if name == "MEMOIZE" else int(str(argument))
            if not 0 <= place < most_steps:
                raise HgldError(f"it numbers one of its values {place:,}, and may have {most_steps:,}")
            memo[place] = stack.top()
        else:
            parts = stack.pop(opcode)
            for part in parts[_KEYS.get(name, slice(0))]:
                _check_key(part.key)
            if name in _CALLS or name in _REFERENCES or name == "BUILD":
                work += sum(part.size for part in parts)
                if work > most_work:
                    raise HgldError(f"it makes more than {most_work:,} values")
                if name == "BUILD" and stack.top().text:
                    raise HgldError(f"it changes {stack.top().text[:80]}, which it did not make")
                _check_call(name, argument, parts, allowed, persistent)
            _put_back(stack, opcode, argument, parts, most_work)
    return first


def _steps(stream: IO[bytes]) -> Iterator[tuple[Any, Any, int | None]]:
    """The steps of a pickle. Raises HgldError for a name that is not ASCII, as all names of Python's modules are."""
    try:
        yield from pickletools.genops(stream)
    except UnicodeDecodeError as error:
        raise HgldError(f"it names {error.object[:80].decode('utf-8', 'replace')!r}, which is not ASCII") from None


def _check_key(fault: str) -> None:
    if fault:
        raise HgldError(f"it has a key or a member of a set that is {fault}")


def _check_call(name: str, argument: object, parts: list[_Value], allowed: Container[str], persistent: str) -> None:
    """Raise an error unless the step calls one of the allowed functions, with values that may be hashed."""
    if name in _REFERENCES:
        kind = parts[0].text if parts else ""
        if not persistent or kind != persistent:
            raise ForeignObjectError("torch.nn.Module" if kind == "module" else f"a reference outside of it ({name})")
    elif name != "BUILD":
        called = _dotted(argument) if name == "INST" else parts[0].text
        if called not in allowed:
            raise ForeignObjectError(called or "a function without a name")
        for part in parts:  # a set or a dictionary made of a list
            _check_key(part.member if called.endswith(("set", "Dict")) else "")


def _put_back(stack: _Stack, opcode: Any, argument: object, parts: list[_Value], most: int) -> None:
    """What a step leaves on the stack: the container that it fills, its argument, or a value made of the parts."""
    name = opcode.name
    size = min(sum(part.size for part in parts), most + 1)  # of 2**60 parts it would be a long number
    member = next((fault for part in parts if (fault := part.member or part.key)), "")
    if name in _FILL:
        stack.top().size += size
        stack.top().member = stack.top().member or member
        return
    if name == "DUP":
        stack.values += [parts[0], parts[0]]
        return
    result = _Value(1 + size, parts[0].text if parts else "", member=member)
    if name in _CALLS:
        result.text = ""
        result.key = "made of too much" if size > MAX_KEY_LENGTH else ""
    elif name == "GLOBAL":
        result.text = _dotted(argument)
    elif name == "STACK_GLOBAL":
        result.text = ".".join(part.text for part in parts)
    elif isinstance(argument, str | bytes):
        result.text = argument if isinstance(argument, str) else ""
        result.size += len(argument)
        result.key = "too long" if len(argument) > MAX_KEY_LENGTH else ""
    elif isinstance(argument, int):
        result.key = "too large" if argument.bit_length() > MAX_KEY_BITS else ""
    elif opcode.stack_after and opcode.stack_after[0].name in ("tuple", "frozenset"):
        result.key = f"a {opcode.stack_after[0].name}"
    stack.values += [result] * len(opcode.stack_after)


def _dotted(argument: object) -> str:
    return ".".join(str(argument).split(" ", 1))
