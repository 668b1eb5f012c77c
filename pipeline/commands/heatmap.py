"""A confusion matrix as a heat map: one drawing, saved as PNG for a paper or as SVG for a page.

Blue on the diagonal, orange beside it, grey where our label is empty: distinguishable with any colour vision, and light
enough for dark numbers. The shade grows with the square root of the row fraction, so that rare confusions are visible.
"""

import io
import re
import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hgld.foundation.display.svg import cut, escape
from hgld.foundation.display.visible import visible
from hgld.foundation.files import replacing
from hgld.hierarchy.comparison.confusion import EMPTY, ConfusionMatrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNT_INK = "#14181c"  # on the shades, which are the same in light and dark pages
_INK, _EDGE, _RULE = "#1d2126", "#8a929b", "#e9ebee"
_CSS_VARIABLES = {_INK: "var(--ink)", _EDGE: "var(--edge)", _RULE: "var(--rule)"}
SHADES = {"equal": (96, 163, 217), "other": (240, 152, 62), "empty": (150, 157, 165)}

# The unit of all coordinates is a cell; margins hold the names of labels and groups, and title and legend of the PNG.
_CELL_INCH, DPI = 0.2, 150
_LEFT, _TOP, _RIGHT, _TITLE, _LEGEND = 10, 10, 2, 2, 3

LEGEND = "Shade: fraction of the row (square root). Blue: the same label. Orange: another label. Grey: no label."


def shade(matrix: ConfusionMatrix, row: str, column: str) -> str:
    """The colour of a non-zero cell, as #rrggbb."""
    kind = "empty" if column == EMPTY else "equal" if row == column else "other"
    depth = 0.12 + 0.88 * matrix.row_fraction(row, column) ** 0.5
    return "#" + "".join(f"{round(255 + (full - 255) * depth):02x}" for full in SHADES[kind])


def short_count(count: int) -> str:
    """A count in at most three characters, the width of a cell.

    >>> short_count(128), short_count(1585), short_count(128710)
    ('128', '2k', '.1M')
    """
    if count < 1000:
        return str(count)
    return f"{(count + 500) // 1000}k" if count < 99_500 else f"{count / 1e6:.1f}M".removeprefix("0")


def svg(matrix: ConfusionMatrix, rows: str, columns: str) -> str:
    """The matrix as inline SVG; every cell has a <title> with its labels, count and row fraction.

    rows, columns: what the rows and the columns are, such as "reference" and "ours". Fonts, and the colours --ink,
    --edge and --rule, come from the page.
    """
    import matplotlib

    page = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}):
        _save(_draw(matrix, rows, columns), page, format="svg", transparent=True, metadata={"Date": None})
    text = page.getvalue()
    text = re.sub(r"<(metadata|defs)>.*?</\1>", "", text[text.index("<svg") :], flags=re.DOTALL)
    tooltips = [
        f"{rows}: {row}, {columns}: {column}: {count} of {matrix.row_totals[row]} "
        f"({matrix.row_fraction(row, column):.1%})"
        for (row, column), count in matrix.counts.items()
    ]
    text = re.sub('<g id="cell-([0-9]+)">', lambda cell: f"<g><title>{escape(tooltips[int(cell[1])])}</title>", text)
    text = re.sub('<g id="[a-z0-9]+_[0-9]+">', "<g>", text)
    text = re.sub(' transform="rotate[(]-0 [^"]*"', "", re.sub(r"\s*\n\s*", " ", text))
    for colour, variable in _CSS_VARIABLES.items():
        text = text.replace(colour, variable)
    return text.replace(
        "<svg ", f'<svg class="heatmap" role="img" aria-label="{escape(rows)} by {escape(columns)}" ', 1
    )


def write_png(matrix: ConfusionMatrix, path: Path, title: str, rows: str, columns: str) -> None:
    """Write the matrix as a PNG of DPI dots per inch, atomically; equal matrices give equal bytes."""
    figure = _draw(matrix, rows, columns, title)
    with replacing(path) as part:
        _save(figure, part, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})


def _save(figure: "Figure", target: IO[str] | Path, **settings: Any) -> None:
    """Save a figure; a letter that the font lacks is a box in a PNG, while a page has fonts of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(target, **settings)


def _draw(matrix: ConfusionMatrix, rows: str, columns: str, title: str = "") -> "Figure":
    """The matrix as a figure; title: draw it above the matrix, and the legend below."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    across, down = len(matrix.columns), len(matrix.labels)
    left, top, bottom = (_LEFT, _TOP + _TITLE, _LEGEND) if title else (_margin(matrix), _margin(matrix), 0.2)
    width, height = left + max(across, 12) + _RIGHT, top + down + bottom
    figure = Figure(figsize=(width * _CELL_INCH, height * _CELL_INCH))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-left, width - left), ylim=(down + bottom, -top))
    axes.set_axis_off()

    def write(x: float, y: float, text: str, size: float, rotation: float = 0, **style: str) -> None:
        style = {"color": _INK, "ha": "left", "va": "center", **style}
        axes.text(x, y, text, style, fontsize=size, rotation=rotation, rotation_mode="anchor", parse_math=False)

    def frame(x: float, y: float, right: float, bottom: float, colour: str, line: float) -> None:
        axes.plot(
            [x, right, right, x, x],
            [y, y, bottom, bottom, y],
            color=colour,
            lw=line,
            clip_on=False,
            zorder=line,
        )

    for n, name in enumerate(matrix.columns):
        write(n + 0.55, -0.4, _short_name(name), 8, rotation=90)
        frame(n, 0, n + 1, down, _RULE, 0.4)
    for n, name in enumerate(matrix.labels):
        write(-0.4, n + 0.55, _short_name(name), 8, ha="right")
        frame(0, n, across, n + 1, _RULE, 0.4)
    write(-0.4, -1.2, f"{columns} →", 8, ha="right", weight="bold")
    write(-0.4, -0.4, f"{rows} ↓", 8, ha="right", weight="bold")
    x = {name: n for n, name in enumerate(matrix.columns)}
    y = {name: n for n, name in enumerate(matrix.labels)}
    for n, ((row, column), count) in enumerate(matrix.counts.items()):
        colour = shade(matrix, row, column)
        axes.add_patch(Rectangle((x[column], y[row]), 1, 1, color=colour, lw=0, clip_on=False, gid=f"cell-{n}"))
        write(x[column] + 0.5, y[row] + 0.54, short_count(count), 6, color=COUNT_INK, ha="center")
    for group, first, last in _groups(matrix):
        frame(0, first, across, last, _EDGE, 1)
        frame(first, 0, last, down, _EDGE, 1)
        if last - first > 3:
            write(across + 0.8, (first + last) / 2, group, 9, rotation=270, ha="center")
    frame(0, 0, across, down, _EDGE, 1)
    if title:
        write(0.7 - left, 0.7 - top, visible(title), 11, va="top", weight="bold")
        write(0.7 - left, down + 0.8, LEGEND.replace(". Blue", ".\nBlue"), 8, va="top")
    return figure


def _short_name(name: str) -> str:
    """A name that fits into the margin: the longest of the 78 labels has 26 characters."""
    return cut(name, 28)


def _margin(matrix: ConfusionMatrix) -> float:
    """Cells of margin beside the matrix on a page: as many as the longest name needs."""
    longest = max((len(_short_name(name)) for name in matrix.columns), default=0)
    return min(_LEFT, max(4.0, 1 + longest * 0.34))


def _groups(matrix: ConfusionMatrix) -> Iterator[tuple[str, int, int]]:
    """Each group with the index of its first label and the one behind its last."""
    first = 0
    for group, members in groupby(matrix.groups):
        last = first + len(list(members))
        yield group, first, last
        first = last
