"""Strict constructors: keyword-only settings, checked by name and type.

A mistyped setting that is silently ignored trains another model than the one asked for. The losses therefore take
keywords only; an unknown one is an error that names the nearest setting, and so is a value of another type than the
default: YAML reads 1e-2 as text, and NaN passes every comparison. A class states the range of each number in RANGES;
those of its bases apply too.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hgld.foundation.errors import HgldError, suggest

T = TypeVar("T")

# type of the default, type that a value must have, its name in messages
ACCEPTED: tuple[tuple[type, Any, str], ...] = (
    (bool, bool, "true or false"),
    (int, Integral, "a whole number"),
    (float, Real, "a number"),
    (str, str, "text"),
    (tuple, Sequence, "a list"),
)


class Range(NamedTuple):
    """The numbers that a setting may have, from low to high; many: a list of such numbers."""

    low: float
    high: float
    whole: bool = False
    many: bool = False

    def problem(self, value: Any) -> str:
        """What the value must be, or "" if it is in the range.

        >>> Range(0, 2).problem(1.5), Range(0, 2).problem(3), Range(1, 9, many=True).problem([1, 10])
        ('', 'a number from 0 to 2', 'a list of numbers from 1 to 9')
        """
        kind = "whole number" if self.whole else "number"
        values: Sequence[Any] = [value]
        if self.many:
            values = value if isinstance(value, Sequence) and not isinstance(value, str) else []
        if values and all(is_number(item, whole=self.whole) and self.low <= item <= self.high for item in values):
            return ""
        return f"{f'a list of {kind}s' if self.many else f'a {kind}'} from {self.low:g} to {self.high:g}"


TEMPERATURE = Range(1e-12, 1e6)
POSITIVE = Range(1e-9, 1e6)
LEVEL = Range(0, 63, whole=True)
COSINE = Range(-1, 1)
# Cosines differ by at most 2, and so do unit vectors in distance.
MARGIN = Range(0, 2)
CLASSES = Range(1, 1e8, whole=True)
WIDTH = Range(1, 1 << 16, whole=True)
SEED = Range(-(2**63), 2**63 - 1, whole=True)


def strict(cls: type[T]) -> type[T]:
    """Class decorator: `cls(...)` is keyword-only; an unknown, missing or ill-typed setting raises HgldError.

    >>> @strict
    ... class Point:
    ...     def __init__(self, *, x: float = 0.0) -> None:
    ...         self.x = x
    >>> Point(y=1.0)
    Traceback (most recent call last):
        ...
    hgld.foundation.errors.HgldError: Point: unknown setting 'y'; the settings are: x
    """
    parameters = inspect.signature(cls).parameters
    required = {name for name, p in parameters.items() if p.default is p.empty}
    ranges = ranges_of(cls)
    original = cls.__init__

    def initialise(self: Any, *values: object, **settings: object) -> None:
        if values:
            raise HgldError(
                f"{cls.__name__}: settings are given by name, as in {next(iter(parameters))}=...; got {values[0]!r}"
            )
        for name in sorted(settings.keys() - parameters.keys()):
            hint = suggest(name, list(parameters)) or f"; the settings are: {', '.join(parameters)}"
            raise HgldError(f"{cls.__name__}: unknown setting {name!r}{hint}")
        if missing := sorted(required - settings.keys()):
            raise HgldError(f"{cls.__name__}: setting {missing[0]!r} is needed and has no default")
        for name, value in settings.items():
            default = parameters[name].default
            expected = _type_error(default, value)
            if not expected and name in ranges and not (value is None and default is None):
                expected = ranges[name].problem(value)
            if expected:
                raise HgldError(f"{cls.__name__}: {name} must be {expected}, got {_short(value)}")
            if isinstance(value, np.generic):
                settings[name] = value.item()
        original(self, **settings)

    initialise.__doc__ = original.__doc__
    # keeps the settings visible to help() and inspect
    initialise.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    cls.__init__ = initialise  # type: ignore[method-assign]
    cls.SETTINGS = tuple(parameters)  # type: ignore[attr-defined]
    return cls


def ranges_of(cls: type) -> dict[str, Range]:
    """The ranges of the settings of a loss, by name."""
    return {name: span for base in reversed(cls.__mro__) for name, span in vars(base).get("RANGES", {}).items()}


def is_number(value: Any, *, whole: bool = False) -> bool:
    """Whether a value is a finite number, or whole one, and not a bool."""
    return isinstance(value, Integral if whole else Real) and not isinstance(value, bool) and _is_finite(value)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float64
        return True


def _short(value: object) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _type_error(default: object, value: object) -> str:
    """What a setting with this default must be, or "" if the value has a suitable type.

    >>> _type_error(0.01, "1e-2"), _type_error(0.01, 1), _type_error(0, 0.5), _type_error((1, 2), 5)
    ('a number', '', 'a whole number', 'a list')
    """
    for default_type, value_type, name in ACCEPTED:
        if isinstance(default, default_type):
            # In Python a bool is a number, and a str a sequence.
            mismatch = isinstance(value, bool) != (default_type is bool)
            mismatch |= isinstance(value, str) != (default_type is str)
            infinite = isinstance(value, Real) and not _is_finite(value)
            return name if mismatch or not isinstance(value, value_type) or infinite else ""
    return ""  # required or None by default: checked by the class itself
