"""Strict constructors: keyword-only settings, checked by name and type.

A mistyped setting that is silently ignored trains another model than the one asked for. The losses therefore take
keywords only; an unknown one is an error that names the nearest setting, and so is a value of another type than the
default: YAML reads 1e-2 as text, and NaN passes every comparison.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

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
            if expected := _type_error(parameters[name].default, value):
                raise HgldError(f"{cls.__name__}: {name} must be {expected}, got {value!r}")
        original(self, **settings)

    initialise.__doc__ = original.__doc__
    # keeps the settings visible to help() and inspect
    initialise.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    cls.__init__ = initialise  # type: ignore[method-assign]
    return cls


def is_number(value: object) -> bool:
    """Whether a value is a finite number and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


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
            infinite = isinstance(value, Real) and not math.isfinite(value)
            return name if mismatch or not isinstance(value, value_type) or infinite else ""
    return ""  # required or None by default: checked by the class itself
