"""A leaderboard as text, Markdown, LaTeX, CSV, JSON or an HTML page."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from textwrap import fill

from rich.cells import cell_len
from rich.table import Table

from hgld.benchmarks.comparison.leaderboard import Cell, Leaderboard
from hgld.foundation.display.html_page import render_page
from hgld.foundation.display.text_table import WIDTH, plain
from hgld.foundation.display.visible import visible
from hgld.foundation.files import without_nan

SIGNIFICANT = 0.05
_NAME_WIDTH = 36
_FIELDS = [name for name in Cell.__dataclass_fields__ if name not in ("model", "metric")]
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    c: f"\\{c}" for c in "&%$#_{}"
}


def text(board: Leaderboard) -> str:
    """Model × metric at most WIDTH columns wide, metrics that do not fit below; `best` below the best mean."""
    columns = {metric: [_lines(board.cells[model, metric]) for model in board.models] for metric in board.metrics}
    widths = {
        metric: max(len(metric), *(len(line) for cell in cells for line in cell)) + 2
        for metric, cells in columns.items()
    }
    names = min(max(5, *(cell_len(visible(model)) for model in board.models)), _NAME_WIDTH) + 2
    parts, waiting = [], list(board.metrics)
    while waiting:
        fitting = 1
        while fitting < len(waiting) and names + sum(widths[m] for m in waiting[: fitting + 1]) <= WIDTH:
            fitting += 1
        parts.append(_block(board, {metric: columns[metric] for metric in waiting[:fitting]}))
        waiting = waiting[fitting:]
    return "\n\n".join([*parts, fill(visible(board.note()), WIDTH)]) + "\n"


def _block(board: Leaderboard, columns: dict[str, list[list[str]]]) -> str:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("model", min_width=5, max_width=_NAME_WIDTH, overflow="fold")
    for metric in columns:
        table.add_column(metric, no_wrap=True)
    for number, model in enumerate(board.models):
        table.add_row(visible(model), *("\n".join(cells[number]) for cells in columns.values()))
    return plain(table)


def _lines(cell: Cell) -> list[str]:
    """The mean, its interval, and the difference or `best`."""
    if cell.mean != cell.mean:
        return ["–"]
    lines = [f"{cell.mean:.3f}{mark(cell)}{' best' if cell.best else ''}", f"[{cell.low:.3f}, {cell.high:.3f}]"]
    return [*lines, _difference(cell)] if cell.reference else lines


def _difference(cell: Cell) -> str:
    return f"{cell.difference:+.3f} [{cell.difference_low:+.3f}, {cell.difference_high:+.3f}]"


def mark(cell: Cell) -> str:
    """`*` where the difference is significant after Holm's correction."""
    return "*" if cell.p_holm < SIGNIFICANT else ""


def markdown(board: Leaderboard) -> str:
    """A table for GitHub; the best in bold."""

    def shown(cell: Cell) -> str:
        if cell.mean != cell.mean:
            return "–"
        mean = f"**{cell.mean:.3f}**" if cell.best else f"{cell.mean:.3f}"
        star = r"\*" if mark(cell) else ""
        return f"{mean}{star} [{cell.low:.3f}, {cell.high:.3f}]" + (
            f"<br>{_difference(cell)}" if cell.reference else ""
        )

    def escaped(name: str) -> str:
        return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", visible(name))

    header = ["model", *map(escaped, board.metrics)]
    rows = [header, ["---", *["---:"] * len(board.metrics)]]
    rows += [[escaped(model), *(shown(board.cells[model, m]) for m in board.metrics)] for model in board.models]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{table}\n\n{escaped(board.note())}\n"


def latex(board: Leaderboard) -> str:
    r"""A tabular for booktabs: the best in \textbf, intervals small, `*` for a significant difference."""

    def escaped(name: str) -> str:
        return "".join(_LATEX.get(char, char) for char in visible(name))

    def shown(cell: Cell) -> str:
        if cell.mean != cell.mean:
            return "--"
        mean = rf"\textbf{{{cell.mean:.3f}}}" if cell.best else f"{cell.mean:.3f}"
        star = "$^{*}$" if mark(cell) else ""
        return rf"{mean}{star} {{\scriptsize [{cell.low:.3f}, {cell.high:.3f}]}}"

    rows = [
        " & ".join([escaped(model), *(shown(board.cells[model, m]) for m in board.metrics)]) + r" \\"
        for model in board.models
    ]
    lines = [
        "% " + visible(board.note()),
        r"\begin{tabular}{l" + "r" * len(board.metrics) + "}",
        r"\toprule",
        " & ".join(["model", *map(escaped, board.metrics)]) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def comma_separated(board: Leaderboard) -> str:
    """One line per model and metric, with every number; empty where undefined."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(["model", "metric", *_FIELDS])
    for model in board.models:
        for metric in board.metrics:
            values = _rounded(board.cells[model, metric])
            writer.writerow(
                [visible(model), metric, *("" if values[name] != values[name] else values[name] for name in _FIELDS)]
            )
    return page.getvalue()


def as_json(board: Leaderboard) -> str:
    """The settings, and `cells`: one object per model and metric; null where undefined."""
    content = {
        "models": list(board.models),
        "metrics": list(board.metrics),
        "baseline": board.baseline,
        "queries": board.queries,
        "resamples": board.resamples,
        "seed": board.seed,
        "cells": [_rounded(board.cells[model, metric]) for model in board.models for metric in board.metrics],
    }
    return json.dumps(without_nan(content), indent=2, ensure_ascii=False) + "\n"


def _rounded(cell: Cell) -> dict[str, object]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(cell).items()}


def html(board: Leaderboard) -> str:
    """A page with one column per model."""
    return render_page("hgld.benchmarks.comparison", "leaderboard.html", board=board, mark=mark, difference=_difference)


FORMATS: dict[str, Callable[[Leaderboard], str]] = {
    "table": text,
    "md": markdown,
    "latex": latex,
    "csv": comma_separated,
    "json": as_json,
    "html": html,
}
