"""Sorted files: the fewest rows are called misplaced, each with its place; sorting keeps each row's text."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgld.foundation.sorted_rows import order_problems, sort_csv

COLUMNS = ["name", "comment"]


def _key(values):
    return (values[0],)


@pytest.mark.parametrize(("numbers", "misplaced"), [
    ([1, 2, 3], {}),
    ([9, 1, 2, 3], {0: "after line 5"}),
    ([2, 3, 4, 1], {3: "before line 2"}),
    ([1, 5, 2, 3], {1: "after line 5"}),
    ([2, 1], {1: "before line 2"}),
    ([1, 2, 2], {2: "duplicate of line 3"}),
    ([2, 1, 2], {1: "before line 2", 2: "duplicate of line 2"}),
])  # fmt: skip
def test_each_misplaced_row_is_told_where_it_goes(numbers: list[int], misplaced: dict[int, str]) -> None:
    found = order_problems([(number,) for number in numbers], range(2, 2 + len(numbers)))
    assert found.keys() == misplaced.keys()
    for row, text in misplaced.items():
        assert text in found[row]


@given(st.lists(st.integers(0, 12), max_size=9))
def test_the_rows_that_are_not_misplaced_increase_and_no_longer_choice_does(numbers: list[int]) -> None:
    problems = order_problems([(number,) for number in numbers], range(len(numbers)))
    kept = [number for row, number in enumerate(numbers) if row not in problems]
    assert all(low < high for low, high in pairwise(kept))
    # by brute force: the longest increasing choice of the first occurrences
    first = list(dict.fromkeys(numbers))
    longest = 0
    for mask in range(1 << len(first)):
        choice = [number for place, number in enumerate(first) if mask >> place & 1]
        if all(low < high for low, high in pairwise(choice)):
            longest = max(longest, len(choice))
    assert len(kept) == longest


def test_sorting_keeps_the_text_of_rows_and_is_idempotent(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffname,comment\r\nb,"two\nlines, kept"\r\n\r\n"c",# why\r\na,"quoted"'.encode())
    assert sort_csv(path, COLUMNS, _key)
    assert path.read_bytes() == b'name,comment\na,"quoted"\nb,"two\nlines, kept"\n"c",# why\n'
    assert not sort_csv(path, COLUMNS, _key)


def test_a_file_that_cannot_be_read_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,comment\nb,1\na\n")
    assert not sort_csv(path, COLUMNS, _key)
    assert path.read_text() == "name,comment\nb,1\na\n"


def test_an_empty_table_is_sorted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,comment\n")
    assert not sort_csv(path, COLUMNS, _key)
