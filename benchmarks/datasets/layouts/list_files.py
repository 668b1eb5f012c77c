"""How the lists of official layouts are read: each error names the layout, the file, and where it was expected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.benchmarks.datasets.files.splits import check_split
from hgld.foundation.errors import HgldError, lacks_memory, reason, suggest
from hgld.foundation.text_input import open_text

_MOST_BYTES = 1 << 30


def required(path: Path, title: str) -> Path:
    """The path of a file or folder of a layout. Raises HgldError where it is not."""
    if not path.exists():
        raise HgldError(f"{title}: no {path.name} in {path.parent}; it is part of the official layout (docs/data.md)")
    return path


def only_split(split: str | None, title: str, allowed: Sequence[str] = ()) -> None:
    """Raise HgldError for a way to split that the layout does not have."""
    if split is not None and not allowed:
        raise HgldError(f"{title} has its own split; --split is for tables and folders")
    check_split(split, allowed or ("",))


def chosen_levels(levels: Sequence[str] | None, known: Sequence[str], title: str) -> tuple[str, ...]:
    """The levels of a layout, or those of them that were asked for. Raises HgldError for others, and another order."""
    if levels is None:
        return tuple(known)
    for level in levels:
        if level not in known:
            raise HgldError(f"{title}: no level {level!r}{suggest(level, known)}; finest first: {', '.join(known)}")
    if not levels or list(levels) != sorted(set(levels), key=list(known).index):
        raise HgldError(
            f"{title}: levels {', '.join(levels)}: expected, each once and finest first: {', '.join(known)}"
        )
    return tuple(levels)


def text_lines(path: Path, title: str) -> list[tuple[int, str]]:
    """The lines of a text file with their numbers, without empty ones. Raises HgldError for a file without any."""
    required(path, title)
    with open_text(path, newline=None, expected=f"a list of {title}", largest=_MOST_BYTES) as file:
        lines = [(number, line) for number, raw in enumerate(file, 1) if (line := raw.strip())]
    if not lines:
        raise HgldError(f"{title}: {path} is empty; download it again")
    return lines


def text_table(path: Path, title: str, columns: Sequence[str], *, header: Sequence[str] = ()) -> pd.DataFrame:
    """A list whose lines have these columns, separated by spaces (the last may contain some); and `line`, their number.

    header: the words of the first line. Raises HgldError for another header, and a line with other columns.
    """
    lines = text_lines(path, title)
    if header:
        number, first = lines.pop(0)
        if first.split() != list(header):
            raise HgldError(f"{path}:{number}: expected the header {' '.join(header)}; found {first[:100]}")
    rows = []
    for number, line in lines:
        values = line.split(None, len(columns) - 1)
        if len(values) != len(columns):
            raise HgldError(f"{path}:{number}: expected {' '.join(columns)}; found {line[:100]}")
        rows.append([*values, number])
    return pd.DataFrame(rows, columns=[*columns, "line"]).astype(dict.fromkeys(columns, "str"))


def json_object(path: Path, title: str, *keys: str) -> dict[str, Any]:
    """A JSON file with a list of objects under each of `keys`. Raises HgldError for anything else."""
    content = json_value(path, title)
    for key in keys:
        value = content.get(key) if isinstance(content, dict) else None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise HgldError(f"{title}: {path}: no list of objects {key!r}; is this the official file?")
    return dict(content)


def json_value(path: Path, title: str) -> Any:
    """The content of a JSON file."""
    required(path, title)
    try:
        with open_text(path, expected=f"a JSON file of {title}", largest=_MOST_BYTES) as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise HgldError(f"{title}: {path}: not JSON: {reason(error)[:200]}; download it again") from None


def matlab_table(path: Path, title: str, name: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a struct array of a MATLAB file, with these fields. Raises HgldError for anything else."""
    content = matlab_value(path, title, name)
    if content.dtype.names is None or not set(fields) <= set(content.dtype.names):
        raise HgldError(f"{title}: {path}: {name} lacks one of the fields {', '.join(fields)}")
    return [{field: row[field] for field in fields} for row in content]


def matlab_value(path: Path, title: str, name: str) -> Any:
    """One variable of a MATLAB file as an array of at least one dimension."""
    import numpy as np
    from scipy.io import loadmat

    required(path, title)
    try:
        return np.atleast_1d(loadmat(str(path), squeeze_me=True, variable_names=[name])[name])
    except KeyError:
        raise HgldError(f"{title}: {path}: no variable {name}; is this the official file?") from None
    except Exception as error:  # a damaged file can raise anything
        if lacks_memory(error):
            # scipy asks for what the headers declare, which may be damaged
            raise MemoryError(
                f"{title}: {path} declares values that do not fit into memory; if its {path.stat().st_size:,} bytes "
                "are not that many, it is damaged: download it again"
            ) from None
        raise HgldError(f"{title}: {path}: not a MATLAB file: {reason(error)[:200]}; download it again") from None


def first_half(labels: Sequence[int], path: Path, title: str) -> list[str]:
    """The roles: train for the first half of the classes in the order of their numbers, test for the others."""
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise HgldError(f"{title}: {path} has a single class; the first half of the classes is to train on")
    train = set(classes[: len(classes) // 2])
    return ["train" if label in train else "test" for label in labels]


def whole(text: object, path: Path, line: int | None, what: str) -> int:
    """A whole number from 0 up."""
    from hgld.foundation.text_input import whole_number

    number = whole_number(str(text))
    if number is None:
        where = f"{path}:{line}" if line else f"{path}"
        raise HgldError(f"{where}: {what} {str(text)[:60]!r} is not a whole number")
    return number
