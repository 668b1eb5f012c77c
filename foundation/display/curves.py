"""Curves of means with their deviations, as an SVG file for light and dark pages: panels beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hgld.foundation.display.svg import escape

PANEL, HEIGHT, TOP, FLOOR, LEFT = 470, 330, 62, 270, 62
STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:var(--ink)}
svg{--paper:#fcfcfa;--edge:#d9dcd8;--ink:#1f2a2e;--soft:#5b686d;--s0:#00756b;--s1:#a8741a;--s2:#4c6fb1;--s3:#a4476b}
@media(prefers-color-scheme:dark){svg{--paper:#12181b;--edge:#333d41;--ink:#e9eeec;--soft:#a3b0b3;--s0:#35d0bb;
--s1:#d3ab52;--s2:#8fb0ee;--s3:#e58bb0}}
.paper{fill:var(--paper);stroke:var(--edge)}.grid{stroke:var(--edge)}.zero{stroke:var(--soft);stroke-dasharray:4 4}
.title{font-size:15px;font-weight:650}.soft{fill:var(--soft);font-size:12px}.end{text-anchor:end}.mid{text-anchor:middle}
.line{fill:none;stroke-width:2}.bar{stroke-width:1.5;opacity:.6}
.c0{fill:var(--s0)}.c1{fill:var(--s1)}.c2{fill:var(--s2)}.c3{fill:var(--s3)}
.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.l3{stroke:var(--s3)}
""".replace("\n", "")


class Point(NamedTuple):
    """A mean and its standard deviation."""

    mean: float
    std: float


@dataclass(frozen=True)
class Panel:
    """Up to four lines over common positions: the title, the labels of the positions, and each series' points there."""

    title: str
    x: Sequence[str]
    series: Mapping[str, Sequence[Point]]


def curves(panels: Sequence[Panel], x_name: str, label: str) -> str:
    """All panels on one scale, which includes 0; a vertical bar is one standard deviation to both sides."""
    points = [point for panel in panels for values in panel.series.values() for point in values]
    ends = [point.mean + side * point.std for point in points for side in (-1, 1)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    width = PANEL * len(panels)
    parts = [_panel(panel, PANEL * n, x_name, (low, high)) for n, panel in enumerate(panels)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}"><title>{escape(label)}</title><style>{STYLE}</style>'
        f'<rect x=".5" y=".5" width="{width - 1}" height="{HEIGHT - 1}" rx="14" class="paper"/>{"".join(parts)}</svg>\n'
    )


def _panel(panel: Panel, start: float, x_name: str, scale: tuple[float, float]) -> str:
    low, high = scale
    left, right = start + LEFT, start + PANEL - 24

    def px(position: float) -> float:
        return left + 20 + position / max(1, len(panel.x) - 1) * (right - left - 40)

    def py(value: float) -> float:
        return FLOOR - (value - low) / ((high - low) or 1.0) * (FLOOR - TOP)

    parts = [_text(left - 40, 26, panel.title, "title")]
    for value in _ticks(low, high):
        parts.append(
            f'<line class="{"grid" if value else "zero"}" x1="{left}" x2="{right}" '
            f'y1="{py(value):.1f}" y2="{py(value):.1f}"/>'
        )
        parts.append(_text(left - 8, py(value) + 4, f"{value:+g}".replace("-", "−") if value else "0", "soft end"))
    parts += [_text(px(n), FLOOR + 20, name, "soft mid") for n, name in enumerate(panel.x)]
    parts.append(_text((left + right) / 2, FLOOR + 42, x_name, "soft mid"))
    for number, (name, points) in enumerate(panel.series.items()):
        shift = 3.0 * (number - (len(panel.series) - 1) / 2)
        parts.append(_series(number, name, [(px(n) + shift, point) for n, point in enumerate(points)], py))
        across = left - 40 + number * (PANEL - 60) / max(3, len(panel.series))
        parts.append(f'<circle class="c{number}" cx="{across + 5:.1f}" cy="43" r="4.5"/>')
        parts.append(_text(across + 15, 47, name, "soft"))
    return "".join(parts)


def _series(number: int, name: str, points: Sequence[tuple[float, Point]], py: Callable[[float], float]) -> str:
    """A line with its points and deviations."""
    line = " ".join(f"{x:.1f},{py(point.mean):.1f}" for x, point in points)
    parts = [f'<polyline class="line l{number}" points="{line}"/>']
    for x, point in points:
        ends = [py(point.mean + side * point.std) for side in (-1, 1)]
        parts.append(
            f'<line class="bar l{number}" x1="{x:.1f}" x2="{x:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}"/>'
            f'<circle class="c{number}" cx="{x:.1f}" cy="{py(point.mean):.1f}" r="3.5">'
            f"<title>{escape(name)}: {point.mean:+.3f} ± {point.std:.3f}</title></circle>"
        )
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Multiples of a round step that cover the range with four to eight lines, 0 among them."""
    steps = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    step = next((s for s in steps if (high - low) / s <= 7), 1.0)
    first, last = int(low / step - 1), int(high / step + 1)
    return [round(n * step, 3) for n in range(first, last + 1) if low <= n * step <= high]


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(words)}</text>'
