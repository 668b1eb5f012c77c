"""A confusion matrix as a picture: SVG text for a page, PNG for a paper.

Blue on the diagonal, orange beside it, grey where a label is left empty: told apart with any kind of colour vision, and
never so dark that dark text on them cannot be read. The shade grows with the square root of the share of the row, so
that a rare confusion is still seen.
"""

from html import escape
from itertools import pairwise
from pathlib import Path

from hgld.foundation.files import replacing
from hgld.hierarchy.comparison.confusion import EMPTY, Matrix

INK = "#1d2126"
_LINE = "#8a929b"
_SHADES = {"equal": (96, 163, 217), "other": (240, 152, 62), "empty": (150, 157, 165)}

# SVG units: of a cell, and of the names beside and above them.
_CELL, _LEFT, _TOP, _EDGE = 17, 176, 176, 26

# The same for the PNG, in inches.
_CELL_INCH, _LEFT_INCH, _TOP_INCH, _EDGE_INCH, _BOTTOM_INCH = 0.2, 2.0, 2.2, 0.45, 0.75
DPI = 150

LEGEND = "Shade: share of the row (square root). Blue: the same label. Orange: another label. Grey: no label."


def shade(matrix: Matrix, row: str, column: str) -> str:
    """The colour of a cell that is not empty, as #rrggbb."""
    kind = "empty" if column == EMPTY else "equal" if row == column else "other"
    depth = 0.12 + 0.88 * matrix.share(row, column) ** 0.5
    return "#" + "".join(f"{round(255 + (full - 255) * depth):02x}" for full in _SHADES[kind])


def number(count: int) -> str:
    """A count in at most three characters, as wide as a cell.

    >>> number(128), number(1585), number(128710)
    ('128', '2k', '.1M')
    """
    if count < 1000:
        return str(count)
    return f"{(count + 500) // 1000}k" if count < 99_500 else f"{count / 1e6:.1f}M".removeprefix("0")


def svg(matrix: Matrix, rows: str, columns: str) -> str:
    """The matrix as inline SVG in its natural size; every cell has a <title> with its names, count and share.

    rows, columns: what stands in the rows and in the columns, such as "reference" and "ours".
    """
    across = {column: at for at, column in enumerate(matrix.columns)}
    down = {row: at for at, row in enumerate(matrix.labels)}
    wide, high = _LEFT + _CELL * len(across) + _EDGE, _TOP + _CELL * len(down) + 4
    parts = [
        f'<rect class="plot" x="{_LEFT}" y="{_TOP}" width="{_CELL * len(across)}" height="{_CELL * len(down)}"/>'
    ]
    for row, at in down.items():
        y = _TOP + _CELL * at
        parts.append(
            f'<text class="name" x="{_LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(_short(row))}</text>'
        )
        parts.append(f'<path class="rule" d="M{_LEFT} {y}H{_LEFT + _CELL * len(across)}"/>')
    for column, at in across.items():
        x = _LEFT + _CELL * at
        turn = f"translate({x + 12} {_TOP - 6}) rotate(-90)"
        parts.append(f'<text class="name" transform="{turn}">{escape(_short(column))}</text>')
        parts.append(f'<path class="rule" d="M{x} {_TOP}V{_TOP + _CELL * len(down)}"/>')
    for (row, column), count in matrix.counts.items():
        x, y = _LEFT + _CELL * across[column], _TOP + _CELL * down[row]
        of_row = f"{count} of {matrix.row_totals[row]} ({matrix.share(row, column):.1%})"
        told = f"{rows}: {row}, {columns}: {column}: {of_row}"
        parts.append(
            f'<g><title>{escape(told)}</title><rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" '
            f'fill="{shade(matrix, row, column)}"/>'
            f'<text class="count" x="{x + _CELL / 2:g}" y="{y + 12}" text-anchor="middle">{number(count)}</text></g>'
        )
    for group, first, last in _groups(matrix):
        top, bottom = _TOP + _CELL * first, _TOP + _CELL * last
        parts.append(f'<path class="group" d="M{_LEFT} {top}H{_LEFT + _CELL * len(across)}"/>')
        parts.append(f'<path class="group" d="M{_LEFT + _CELL * first} {_TOP}V{_TOP + _CELL * len(down)}"/>')
        middle, side = (top + bottom) / 2, wide - _EDGE + 16
        if last - first > 3:
            turn = f"translate({side} {middle:g}) rotate(-90)"
            parts.append(f'<text class="name" transform="{turn}" text-anchor="middle">{escape(group)}</text>')
    parts.append(
        f'<text class="axis" x="{_LEFT - 6}" y="{_TOP - 18}" text-anchor="end">{escape(columns)} →</text>'
    )
    parts.append(
        f'<text class="axis" x="{_LEFT - 6}" y="{_TOP - 4}" text-anchor="end">{escape(rows)} ↓</text>'
    )
    return (
        f'<svg class="heatmap" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" role="img" '
        f'aria-label="{escape(rows)} by {escape(columns)}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def write_png(matrix: Matrix, path: Path, title: str, rows: str, columns: str) -> None:
    """The matrix as a PNG at DPI dots an inch, atomically; equal matrices give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    across, down = list(matrix.columns), list(matrix.labels)
    wide = _LEFT_INCH + _CELL_INCH * max(len(across), 12) + _EDGE_INCH
    high = _TOP_INCH + _CELL_INCH * len(down) + _BOTTOM_INCH
    figure = Figure(figsize=(wide, high), facecolor="white")
    FigureCanvasAgg(figure)
    share = (
        _LEFT_INCH / wide,
        _BOTTOM_INCH / high,
        _CELL_INCH * len(across) / wide,
        _CELL_INCH * len(down) / high,
    )
    axes = figure.add_axes(share)
    axes.set(xlim=(0, max(1, len(across))), ylim=(max(1, len(down)), 0))
    axes.set_xticks(
        [at + 0.5 for at in range(len(across))],
        [_short(name) for name in across],
        rotation=90,
        fontsize=8,
        color=INK,
    )
    axes.set_yticks(
        [at + 0.5 for at in range(len(down))], [_short(name) for name in down], fontsize=8, color=INK
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for name in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        name.set_parse_math(False)
    for (row, column), count in matrix.counts.items():
        x, y = across.index(column), down.index(row)
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=shade(matrix, row, column), edgecolor="none"))
        axes.text(x + 0.5, y + 0.54, number(count), fontsize=6, color=INK, ha="center", va="center")
    axes.hlines(range(1, len(down)), 0, len(across), color="#e3e6e9", linewidth=0.4, zorder=0)
    axes.vlines(range(1, len(across)), 0, len(down), color="#e3e6e9", linewidth=0.4, zorder=0)
    for group, first, last in _groups(matrix):
        axes.hlines(first, 0, len(across), color=_LINE, linewidth=1)
        axes.vlines(first, 0, len(down), color=_LINE, linewidth=1)
        if last - first > 3:
            place = len(across) + 0.5
            axes.text(place, (first + last) / 2, group, rotation=270, fontsize=9, color=INK, va="center")
    for spine in axes.spines.values():
        spine.set_color(_LINE)
    heading = figure.text(
        0.15 / wide, 1 - 0.15 / high, title, fontsize=11, color=INK, va="top", weight="bold"
    )
    heading.set_parse_math(False)
    below = f"Rows: {rows}. Columns: {columns}.\n" + LEGEND.replace(". Blue", ".\nBlue")
    figure.text(0.15 / wide, 0.12 / high, below, fontsize=8, color=INK, va="bottom")
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None})


def _short(name: str) -> str:
    """A name that fits its place: the longest that the 78 labels have is 26 letters."""
    return name if len(name) <= 28 else f"{name[:27]}…"


def _groups(matrix: Matrix) -> list[tuple[str, int, int]]:
    """Each group with its first place and the place behind its last."""
    starts = [at for at, group in enumerate(matrix.groups) if at == 0 or matrix.groups[at - 1] != group]
    return [(matrix.groups[first], first, last) for first, last in pairwise([*starts, len(matrix.groups)])]
