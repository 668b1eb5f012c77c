"""Text tables of fixed width: for terminals, pipes and files, the same everywhere and without colour."""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from hgld.foundation.display.visible import visible

WIDTH = 100
_TEXT_WIDTH = 36  # two columns of text and a few of numbers fit into WIDTH


@dataclass(frozen=True)
class TextTable:
    """A table without borders. The columns named in `text` are left-aligned and cut at 36 characters.

    Control characters of the cells are shown, so that no value can forge a row.

    >>> print(TextTable(["label", "count"], [["lake", 7], ["castle / fort", 120]], text=["label"]))
    label          count
    lake               7
    castle / fort    120
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    text: Collection[str] = ()

    def __str__(self) -> str:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in self.header:
            if name in self.text:
                table.add_column(visible(name), no_wrap=True, overflow="ellipsis", max_width=_TEXT_WIDTH)
            else:
                table.add_column(visible(name), justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*(visible(str(value)) for value in row))
        return plain(table)


def plain(table: Table, width: int = WIDTH) -> str:
    """A rich table as plain text of at most `width` columns, without trailing spaces."""
    page = io.StringIO()
    console = Console(file=page, width=width, color_system=None, force_terminal=False, markup=False, emoji=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())
