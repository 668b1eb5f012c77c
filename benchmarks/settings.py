"""Settings that refuse what they do not know.

A mistyped setting that is swallowed trains another model than the one asked for, and nobody notices. The losses are
therefore built from keywords only, and an unknown one is an error that names the nearest known setting.
"""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from hgld.hierarchy.errors import HgldError, suggest

T = TypeVar("T")


def strict(cls: type[T]) -> type[T]:
    """Make `cls(...)` keyword-only; an unknown or missing setting raises HgldError with a suggestion.

    >>> @strict
    ... class Point:
    ...     def __init__(self, *, x: float = 0.0) -> None:
    ...         self.x = x
    >>> Point(y=1.0)
    Traceback (most recent call last):
        ...
    hgld.hierarchy.errors.HgldError: Point: unknown setting 'y'; the settings are: x
    """
    parameters = inspect.signature(cls).parameters
    required = {name for name, p in parameters.items() if p.default is p.empty}
    original = cls.__init__

    def initialise(self: Any, *values: object, **settings: object) -> None:
        if values:
            raise HgldError(
                f"{cls.__name__}: settings are given by name, as in {next(iter(parameters))}=...; got {values[0]!r}"
            )
        for name in settings.keys() - parameters.keys():
            hint = suggest(name, list(parameters)) or f"; the settings are: {', '.join(parameters)}"
            raise HgldError(f"{cls.__name__}: unknown setting {name!r}{hint}")
        if missing := sorted(required - settings.keys()):
            raise HgldError(f"{cls.__name__}: setting {missing[0]!r} is needed and has no default")
        original(self, **settings)

    initialise.__doc__ = original.__doc__
    # help() and inspect still show the settings
    initialise.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    cls.__init__ = initialise  # type: ignore[method-assign]
    return cls
