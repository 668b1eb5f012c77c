"""Text tables: fixed width, whatever the terminal, and cells are never markup."""

import pytest

from hgld.foundation.display.text_table import WIDTH, TextTable


def test_cells_are_printed_as_they_are() -> None:
    table = TextTable(["label", "count"], [["[red]lake[/red] :smile:", 7]], text=["label"])
    assert str(table).splitlines()[1].split(maxsplit=2) == ["[red]lake[/red]", ":smile:", "7"]


def test_long_text_is_cut_and_numbers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = [["a" * 50, "b" * 50, 123_456_789]]
    lines = str(TextTable(["ours", "reference", "count"], rows, text=["ours", "reference"])).splitlines()
    assert len(lines) == 2 and max(map(len, lines)) <= WIDTH
    assert lines[1].split() == ["a" * 35 + "…", "b" * 35 + "…", "123456789"]
