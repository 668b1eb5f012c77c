"""CSV files that people edit and that are kept sorted, so that a diff shows one line per decision."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.tables import read_csv_with_lines

# The rows of a file are sorted by a key: a tuple of numbers and texts.
Key = tuple[Any, ...]


def order_problems(keys: Sequence[Key], lines: Sequence[int]) -> dict[int, str]:
    """Row number → what is wrong with its place: it repeats the key of an earlier row, or it is out of order.

    keys, lines: the key and the line of each row. As few rows as possible are out of order: one row that was added at
    the wrong place is one problem, wherever it is.

    >>> order_problems([(9,), (1,), (2,), (2,)], [2, 3, 4, 5])
    {3: 'duplicate of line 4; delete one of the two', 0: 'out of order: it belongs after line 4; sort the rows: \
hgld check --fix'}
    """
    first: dict[Key, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    problems = {
        row: f"duplicate of line {lines[first[key]]}; delete one of the two"
        for row, key in enumerate(keys)
        if first[key] != row
    }
    rows = list(first.values())
    sorted_rows = [rows[place] for place in _longest_increasing([keys[row] for row in rows])]
    in_place = set(sorted_rows)
    sorted_keys = [keys[row] for row in sorted_rows]
    for row in rows:
        if row not in in_place:
            place = bisect_left(sorted_keys, keys[row])
            where = f"after line {lines[sorted_rows[place - 1]]}" if place else f"before line {lines[sorted_rows[0]]}"
            problems[row] = f"out of order: it belongs {where}; sort the rows: hgld check --fix"
    return problems


def _longest_increasing(keys: Sequence[Key]) -> list[int]:
    """The positions of a longest increasing subsequence of distinct keys; of several, the one that begins first.

    Patience sorting from the end, in O(n log n).
    """
    ranks = {key: rank for rank, key in enumerate(sorted(keys))}
    tails: list[int] = []
    last: list[int] = []
    following: dict[int, int] = {}
    for position in reversed(range(len(keys))):
        length = bisect_left(tails, -ranks[keys[position]])
        following[position] = last[length - 1] if length else -1
        tails[length : length + 1] = [-ranks[keys[position]]]
        last[length : length + 1] = [position]
    chain, position = [], last[-1] if last else -1
    while position >= 0:
        chain.append(position)
        position = following[position]
    return chain


def sort_csv(path: Path, columns: list[str], key: Callable[[Sequence[str]], Key]) -> bool:
    r"""Sort the rows of a CSV, and write "\n" line ends and no byte order mark; whether that changed the file.

    Each row keeps its text, quotes and comments included. Rows of equal keys keep their order. Blank lines are removed.
    A file that `read_csv` refuses, or for which `key` raises ValueError, is left as it is.

    Raises HgldError when the file cannot be written.
    """
    try:
        after = _sorted_text(path, columns, key)
    except (HgldError, ValueError):
        return False
    if after.encode() == path.read_bytes():
        return False
    write_text(after, path)
    return True


def _sorted_text(path: Path, columns: list[str], key: Callable[[Sequence[str]], Key]) -> str:
    table, starts = read_csv_with_lines(path, columns)
    keys = [key([str(value) for value in row]) for row in table.itertuples(index=False, name=None)]
    with path.open(encoding="utf-8-sig", newline="") as handle:
        lines = list(handle)
    bounds = [start - 1 for start in starts] + [len(lines)]
    rows = ["".join(lines[start:end]) for start, end in pairwise(bounds)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return "".join(text.rstrip("\r\n") + "\n" for text in [lines[0], *(rows[row] for row in order)])
