"""Settings that refuse what they do not know.

A mistyped setting that is swallowed trains another model than the one asked for, and nobody notices. The losses are
therefore built from keywords only, an unknown one is an error that names the nearest known setting, and so is a value
of another kind than the default: YAML reads 1e-2 as text, and NaN passes every comparison.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

from hgld.foundation.errors import HgldError, suggest

T = TypeVar("T")

# kind of default, what may replace it, its name
KINDS: tuple[tuple[type, Any, str], ...] = (
    (bool, bool, "true or false"),
    (int, Integral, "a whole number"),
    (float, Real, "a number"),
    (str, str, "text"),
    (tuple, Sequence, "a list"),
)


def strict(cls: type[T]) -> type[T]:
    """Make `cls(...)` keyword-only; an unknown or missing setting raises HgldError with a suggestion.

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
            if kind := _misfit(parameters[name].default, value):
                raise HgldError(f"{cls.__name__}: {name} must be {kind}, got {value!r}")
        original(self, **settings)

    initialise.__doc__ = original.__doc__
    # help() and inspect still show the settings
    initialise.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    cls.__init__ = initialise  # type: ignore[method-assign]
    return cls


def is_number(value: object) -> bool:
    """Whether a value is a finite number, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _misfit(default: object, value: object) -> str:
    """What a value would have to be to stand in for a default of its kind; nothing where it can.

    >>> _misfit(0.01, "1e-2"), _misfit(0.01, 1), _misfit(0, 0.5), _misfit((1, 2), 5)
    ('a number', '', 'a whole number', 'a list')
    """
    for of, wanted, kind in KINDS:
        if isinstance(default, of):
            # bool is a number and str a sequence, to Python
            strange = isinstance(value, bool) != (of is bool) or isinstance(value, str) != (of is str)
            return kind if strange or not isinstance(value, wanted) or value != value else ""
    return ""  # required, or None by default: the class itself knows
