"""Small charts as inline SVG text: lines, grouped bars, horizontal bars, and a curve in the unit square.

Colours are CSS classes (s0, s1, s2 ..), so that the page decides them for light and dark. Every mark carries a <title>
with its value. Coordinates are rounded: equal input gives equal text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH = 720.0


def lines(series: Mapping[str, Sequence[float]], x: Sequence[float], label: str) -> str:
    """One line a series over common x values."""
    height, left, bottom = 260.0, 46.0, 30.0
    top = max((value for values in series.values() for value in values), default=1.0) or 1.0
    low, high = (min(x), max(x)) if len(x) else (0.0, 1.0)

    def px(value: float) -> float:
        return left + (value - low) / ((high - low) or 1.0) * (WIDTH - left - 14)

    def py(value: float) -> float:
        return 14 + (1 - value / top) * (height - 14 - bottom)

    parts = [_grid(top, left, py)]
    for at, (name, values) in enumerate(series.items()):
        points = " ".join(f"{px(a):.1f},{py(b):.1f}" for a, b in zip(x, values, strict=True))
        parts.append(
            f'<polyline class="line s{at}" points="{points}"><title>{escape(name)}</title></polyline>'
        )
        for a, b in zip(x, values, strict=True):
            parts.append(
                f'<circle class="s{at}" cx="{px(a):.1f}" cy="{py(b):.1f}" r="2.5">'
                f"<title>{escape(name)}, {a:g}: {b:.4f}</title></circle>"
            )
    for value in dict.fromkeys([low, *([x[len(x) // 2]] if len(x) > 2 else []), high]):
        parts.append(f'<text x="{px(value):.1f}" y="{height - 8:.0f}" text-anchor="middle">{value:g}</text>')
    return _figure(parts, height, label)


def bars(groups: Mapping[str, Sequence[float]], names: Sequence[str], label: str) -> str:
    """Grouped upright bars in 0..1: one group a key, one bar a name; NaN is left empty."""
    height, left, bottom = 260.0, 46.0, 34.0

    def py(value: float) -> float:
        return 14 + (1 - value) * (height - 14 - bottom)

    parts = [_grid(1.0, left, py)]
    span = (WIDTH - left - 8) / max(1, len(groups))
    wide = min(46.0, span * 0.8 / max(1, len(names)))
    for g, (group, values) in enumerate(groups.items()):
        middle = left + (g + 0.5) * span
        for n, value in enumerate(values):
            if value != value:
                continue
            x = middle + (n - len(names) / 2) * wide
            parts.append(
                f'<rect class="s{n}" x="{x + 1:.1f}" y="{py(value):.1f}" '
                f'width="{wide - 2:.1f}" height="{py(0) - py(value):.1f}" rx="2">'
                f"<title>{escape(group)}, {escape(names[n])}: {value:.4f}</title></rect>"
            )
            if wide >= 26:
                parts.append(
                    f'<text x="{x + wide / 2:.1f}" y="{py(value) - 4:.1f}" text-anchor="middle">{value:.2f}</text>'
                )
        parts.append(
            f'<text x="{middle:.1f}" y="{height - 12:.0f}" text-anchor="middle">{escape(group)}</text>'
        )
    return _figure(parts, height, label)


def unit_square(
    points: Sequence[tuple[float, float, float, float, str]],
    x_name: str,
    y_name: str,
    label: str,
    *,
    diagonal: bool = False,
) -> str:
    """A curve in 0..1 × 0..1 through points (x, y, low, high, told); low..high is the interval of y.

    diagonal: draw x = y, where a calibrated score lies.
    """
    height, left, bottom = 360.0, 62.0, 44.0

    def px(value: float) -> float:
        return left + value * (WIDTH - left - 14)

    def py(value: float) -> float:
        return 14 + (1 - value) * (height - 14 - bottom)

    parts = [_grid(1.0, left, py)]
    if diagonal:
        parts.append(f'<path class="diagonal" d="M{px(0):.1f} {py(0):.1f}L{px(1):.1f} {py(1):.1f}"/>')
    there = [(px(x), py(low)) for x, _, low, _, _ in points]
    back = [(px(x), py(high)) for x, _, _, high, _ in reversed(points)]
    parts.append(f'<polygon class="band" points="{_places([*there, *back])}"/>')
    parts.append(f'<polyline class="line s0" points="{_places([(px(x), py(y)) for x, y, *_ in points])}"/>')
    for x, y, _, _, told in points:
        parts.append(
            f'<circle class="s0" cx="{px(x):.1f}" cy="{py(y):.1f}" r="3"><title>{escape(told)}</title></circle>'
        )
    for n in range(5):
        parts.append(
            f'<text x="{px(n / 4):.1f}" y="{height - bottom + 18:.0f}" text-anchor="middle">{n / 4:.2f}</text>'
        )
    parts.append(f'<text x="{WIDTH:.0f}" y="{height - 6:.0f}" text-anchor="end">{escape(x_name)}</text>')
    parts.append(
        f'<text transform="translate(14 {py(1):.0f}) rotate(-90)" text-anchor="end">{escape(y_name)}</text>'
    )
    return _figure(parts, height, label)


def _places(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def rows(values: Mapping[str, tuple[float, int]], label: str) -> str:
    """One lying bar in 0..1 a row, with its value and how many stand behind it; in the order given."""
    step, left = 22.0, 190.0
    scale = WIDTH - left - 96
    parts = []
    for at, (name, (value, count)) in enumerate(values.items()):
        y = 6 + at * step
        parts.append(
            f'<text x="{left - 8:.0f}" y="{y + 13:.0f}" text-anchor="end">{escape(name[:30])}</text>'
        )
        parts.append(
            f'<rect class="s0" x="{left:.0f}" y="{y + 2:.0f}" '
            f'width="{value * scale:.1f}" height="{step - 7:.0f}" rx="2">'
            f"<title>{escape(name)}: {value:.4f}, {count} queries</title></rect>"
        )
        parts.append(
            f'<text x="{left + value * scale + 6:.1f}" y="{y + 13:.0f}">{value:.2f} · {count}</text>'
        )
    return _figure(parts, 12 + step * len(values), label)


def _grid(top: float, left: float, py: Callable[[float], float]) -> str:
    """Five horizontal lines with their values."""
    parts = []
    for n in range(5):
        y = py(top * n / 4)
        parts.append(f'<line class="grid" x1="{left:.0f}" x2="{WIDTH:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6:.0f}" y="{y + 4:.1f}" text-anchor="end">{top * n / 4:.2f}</text>')
    return "".join(parts)


def _figure(parts: list[str], height: float, label: str) -> str:
    """The whole drawing, named for those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
