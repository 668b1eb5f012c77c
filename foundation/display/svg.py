"""Small charts as inline SVG text: lines, grouped bars, horizontal bars, points, and a curve in the unit square.

Series are coloured by CSS classes (s0 to s7, then again), so that the page chooses light and dark colours. Every mark
has a <title> with its value. Coordinates are rounded: equal input gives equal text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape as html_escape
from typing import NamedTuple
from unicodedata import east_asian_width

from hgld.foundation.display.visible import visible

WIDTH, NARROW = 720.0, 360.0
SERIES = 8
_LEAST_GROUP = 100.0  # of `bars`: room for three bars with their values


class CurvePoint(NamedTuple):
    """A point of `unit_square`: (x, y), the interval [low, high] of y, and the tooltip."""

    x: float
    y: float
    low: float
    high: float
    tooltip: str


def for_any_screen(chart: Callable[[float], str]) -> str:
    """A chart drawn twice, as .wide and .narrow: the page displays the one that is legible on its screen.

    chart: draws it in a given width.
    """
    drawn = {"wide": chart(WIDTH), "narrow": chart(NARROW)}
    return "".join(text.replace("<svg ", f'<svg class="{name}" ', 1) for name, text in drawn.items())


def escape(text: str) -> str:
    """Text for an element or an attribute of SVG or HTML: escaped, and its hidden characters shown."""
    return html_escape(visible(text))


def cut(text: str, columns: int) -> str:
    """The beginning of a text that fits into a number of columns; a wide East Asian character fills two.

    >>> cut("castle / fort", 13), cut("castle / fort", 9), cut("東京タワー", 6)
    ('castle / fort', 'castle /…', '東京…')
    """
    text = visible(text)
    widths = [2 if east_asian_width(char) in "WF" else 1 for char in text]
    if sum(widths) <= columns:
        return text
    end = next(n for n in range(len(text)) if sum(widths[: n + 1]) > columns - 1)
    return f"{text[:end]}…"


def lines(series: Mapping[str, Sequence[float]], x: Sequence[float], label: str, width: float = WIDTH) -> str:
    """A line chart: one line per series over common x values."""
    height, left, bottom = 260.0, 46.0, 30.0
    top = max((value for values in series.values() for value in values), default=1.0) or 1.0
    low, high = (min(x), max(x)) if len(x) else (0.0, 1.0)

    def px(value: float) -> float:
        return left + (value - low) / ((high - low) or 1.0) * (width - left - 14)

    def py(value: float) -> float:
        return 14 + (1 - value / top) * (height - 14 - bottom)

    parts = [_grid(top, left, width, py)]
    for number, (name, values) in enumerate(series.items()):
        n = number % SERIES
        points = [(px(a), py(b)) for a, b in zip(x, values, strict=True)]
        parts.append(
            f'<polyline class="line s{n}" points="{_coordinates(points)}"><title>{escape(name)}</title></polyline>'
        )
        for a, b in zip(x, values, strict=True):
            parts.append(
                f'<circle class="s{n}" cx="{px(a):.1f}" cy="{py(b):.1f}" r="2.5">'
                f"<title>{escape(name)}, {a:g}: {b:.4f}</title></circle>"
            )
    for value in dict.fromkeys([low, *([x[len(x) // 2]] if len(x) > 2 else []), high]):
        parts.append(_text(f"{px(value):.1f}", f"{height - 8:.0f}", f"{value:g}", "middle"))
    return _figure(parts, width, height, label)


def bars(groups: Mapping[str, Sequence[float]], names: Sequence[str], label: str, width: float = WIDTH) -> str:
    """Grouped vertical bars for values in [0, 1]: one group per key, one bar per name; NaN draws no bar.

    Groups that do not fit beside each other are drawn in several rows.
    """
    height, left = 260.0, 46.0
    rows = max(1, -(-len(groups) // int((width - left - 8) // _LEAST_GROUP)))
    per_row = -(-len(groups) // rows)
    span = (width - left - 8) / max(1, per_row)
    parts = []
    for row in range(rows):
        here = list(groups.items())[row * per_row : (row + 1) * per_row]
        parts += _row_of_bars(here, names, left, width, span, row * height)
    return _figure(parts, width, rows * height, label)


def _row_of_bars(
    groups: Sequence[tuple[str, Sequence[float]]],
    names: Sequence[str],
    left: float,
    width: float,
    span: float,
    above: float,
) -> list[str]:
    """The groups of one row, each `span` wide; `above` is its upper edge."""
    base = above + 226.0

    def py(value: float) -> float:
        return above + 14 + (1 - value) * 212

    parts = [_grid(1.0, left, width, py)]
    bar = min(46.0, span * 0.8 / max(1, len(names)))
    for g, (group, values) in enumerate(groups):
        middle = left + (g + 0.5) * span
        for n, value in enumerate(values):
            if value != value:
                continue
            x = middle + (n - len(names) / 2) * bar
            parts.append(
                f'<rect class="s{n % SERIES}" x="{x + 1:.1f}" y="{py(value):.1f}" '
                f'width="{bar - 2:.1f}" height="{base - py(value):.1f}" rx="2">'
                f"<title>{escape(group)}, {escape(names[n])}: {value:.4f}</title></rect>"
            )
            if bar >= 25:
                parts.append(_text(f"{x + bar / 2:.1f}", f"{py(value) - 4:.1f}", f"{value:.2f}", "middle"))
        parts.append(_text(f"{middle:.1f}", f"{base + 22:.0f}", group, "middle"))
    return parts


def horizontal_bars(values: Mapping[str, tuple[float, int]], label: str, width: float = WIDTH) -> str:
    """One horizontal bar per name for a value in [0, 1], labelled with the value and its number of queries."""
    step, left, columns = (22.0, 190.0, 30) if width >= WIDTH else (22.0, 134.0, 19)
    scale = width - left - (96 if width >= WIDTH else 76)
    parts = []
    for n, (name, (value, count)) in enumerate(values.items()):
        y = 6 + n * step
        parts.append(_text(f"{left - 8:.0f}", f"{y + 13:.0f}", cut(name, columns), "end"))
        parts.append(
            f'<rect class="s0" x="{left:.0f}" y="{y + 2:.0f}" '
            f'width="{value * scale:.1f}" height="{step - 7:.0f}" rx="2">'
            f"<title>{escape(name)}: {value:.4f}, {count} queries</title></rect>"
        )
        parts.append(_text(f"{left + value * scale + 6:.1f}", f"{y + 13:.0f}", f"{value:.2f} · {count}"))
    return _figure(parts, width, 12 + step * len(values), label)


def unit_square(
    points: Sequence[CurvePoint],
    x_name: str,
    y_name: str,
    label: str,
    *,
    diagonal: bool = False,
    width: float = WIDTH,
) -> str:
    """A curve with its interval band in [0, 1] × [0, 1]; diagonal: also draw x = y, dashed."""
    height, left, bottom = 360.0, 62.0, 44.0

    def px(value: float) -> float:
        return left + value * (width - left - 14)

    def py(value: float) -> float:
        return 14 + (1 - value) * (height - 14 - bottom)

    parts = [_grid(1.0, left, width, py)]
    if diagonal:
        parts.append(f'<path class="diagonal" d="M{px(0):.1f} {py(0):.1f}L{px(1):.1f} {py(1):.1f}"/>')
    lower = [(px(point.x), py(point.low)) for point in points]
    upper = [(px(point.x), py(point.high)) for point in reversed(points)]
    parts.append(f'<polygon class="band" points="{_coordinates([*lower, *upper])}"/>')
    curve = _coordinates([(px(point.x), py(point.y)) for point in points])
    parts.append(f'<polyline class="line s0" points="{curve}"/>')
    for point in points:
        parts.append(
            f'<circle class="s0" cx="{px(point.x):.1f}" cy="{py(point.y):.1f}" r="3">'
            f"<title>{escape(point.tooltip)}</title></circle>"
        )
    for n in range(5):
        parts.append(_text(f"{px(n / 4):.1f}", f"{height - bottom + 18:.0f}", f"{n / 4:.2f}", "middle"))
    parts.append(_text(f"{width:.0f}", f"{height - 6:.0f}", cut(x_name, 45), "end"))
    parts.append(f'<text transform="translate(14 {py(1):.0f}) rotate(-90)" text-anchor="end">{escape(y_name)}</text>')
    return _figure(parts, width, height, label)


def unit_points(points: Sequence[CurvePoint], x_name: str, y_name: str, label: str) -> str:
    """Single points in [0, 1] × [0, 1], NARROW wide, with the diagonal x = y, dashed; see `CurvePoint`."""
    size, left, bottom = NARROW, 50.0, 40.0

    def px(value: float) -> float:
        return left + value * (size - left - 14)

    def py(value: float) -> float:
        return 14 + (1 - value) * (size - 14 - bottom)

    parts = [_grid(1.0, left, size, py)]
    parts.append(f'<path class="diagonal" d="M{px(0):.1f} {py(0):.1f}L{px(1):.1f} {py(1):.1f}"/>')
    marks = (
        f'<circle cx="{px(point.x):.1f}" cy="{py(point.y):.1f}" r="2.5"><title>{escape(point.tooltip)}</title></circle>'
        for point in points
    )
    parts.append(f'<g class="s0 points">{"".join(marks)}</g>')
    for n in range(5):
        parts.append(_text(f"{px(n / 4):.1f}", f"{size - bottom + 18:.0f}", f"{n / 4:.2f}", "middle"))
    parts.append(_text(f"{size:.0f}", f"{size - 4:.0f}", cut(x_name, 45), "end"))
    parts.append(f'<text transform="translate(12 {py(1):.0f}) rotate(-90)" text-anchor="end">{escape(y_name)}</text>')
    return _figure(parts, size, size, label)


def point_map(groups: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], label: str) -> str:
    """Points in the plane, NARROW wide, both axes to one scale; groups: CSS class, name and points, drawn in order."""
    everything = [point for *_, points in groups for point in points] or [(0.0, 0.0)]
    lows = [min(point[axis] for point in everything) for axis in (0, 1)]
    highs = [max(point[axis] for point in everything) for axis in (0, 1)]
    margin = 8.0
    scale = (NARROW - 2 * margin) / (max(high - low for low, high in zip(lows, highs, strict=True)) or 1.0)
    height = 2 * margin + (highs[1] - lows[1]) * scale
    parts = []
    for classes, name, points in groups:
        marks = (
            f'<circle cx="{margin + (x - lows[0]) * scale:.1f}" cy="{margin + (highs[1] - y) * scale:.1f}" r="3"/>'
            for x, y in points
        )
        parts.append(f'<g class="{classes} points"><title>{escape(name)}</title>{"".join(marks)}</g>')
    return _figure(parts, NARROW, height, label)


def _text(x: str, y: str, text: str, anchor: str = "") -> str:
    anchored = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x}" y="{y}"{anchored}>{escape(text)}</text>'


def _coordinates(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _grid(top: float, left: float, width: float, py: Callable[[float], float]) -> str:
    """Five horizontal grid lines from 0 to `top` with their values."""
    parts = []
    for n in range(5):
        y = py(top * n / 4)
        parts.append(f'<line class="grid" x1="{left:.0f}" x2="{width:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(f"{left - 6:.0f}", f"{y + 4:.1f}", f"{top * n / 4:.2f}", "end"))
    return "".join(parts)


def _figure(parts: list[str], width: float, height: float, label: str) -> str:
    """The <svg> element; `label` is its text alternative."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
