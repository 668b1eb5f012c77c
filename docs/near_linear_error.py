"""Draws near_linear_error.svg: the error of the near-linear rank losses, and its bound.

    python -m docs.near_linear_error

Left, one sigmoid on the grid: the largest error over all distances, and the formula. Right, SupHAP and its gradient on
difficult scores, float32 sums against float64 pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.ranking.kernel_grid import Grid, Precision
from hgld.benchmarks.ranking.rank_score import Method, force
from hgld.benchmarks.ranking.surrogates import SUPRANK_SETTINGS

OUT = Path(__file__).with_name("near_linear_error.svg")
POINTS, STEPS = (4, 6, 8, 10, 12, 14, 16), (2.0, 3.0, 5.0)
CHOSEN = {(8, 3.0): "float32", (16, 5.0): "float64"}
PUBLISHED = SUPRANK_SETTINGS["sop"]
TAU, DELTA, ITEMS = PUBLISHED.tau, PUBLISHED.delta, 2000
METHODS: tuple[tuple[Method, torch.dtype], ...] = (("pairs", torch.float64), ("near_linear", torch.float32))
WIDTH, HEIGHT, TOP, FLOOR = 980, 400, 60, 330

# Uniform numbers (N,) -> scores.
SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "random embeddings": lambda u: torch.special.ndtri(u.clamp(1e-4, 0.9999)) * 0.05,
    "all over -1 to 1": lambda u: 2 * u - 1,
    "all equal": lambda u: torch.full_like(u, 0.3),
    "two clusters, δ apart": lambda u: torch.where(u < 0.5, 0.2, 0.2 + DELTA),
    "five values": lambda u: (u * 5).floor() / 50,
    "only -1 and 1": lambda u: torch.where(u < 0.5, -1.0, 1.0),
    "within 1e-6": lambda u: 0.7 + 1e-6 * u,
}

STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:var(--ink)}
svg{--paper:#fcfcfa;--edge:#d9dcd8;--ink:#1f2a2e;--soft:#5b686d;--s0:#c49a3a;--s1:#00756b;--s2:#4c6fb1}
@media(prefers-color-scheme:dark){svg{--paper:#12181b;--edge:#333d41;--ink:#e9eeec;--soft:#a3b0b3;--s0:#d3ab52;
--s1:#35d0bb;--s2:#8fb0ee}}
.paper{fill:var(--paper);stroke:var(--edge)}.grid{stroke:var(--edge)}.title{font-size:15px;font-weight:650}
.soft{fill:var(--soft);font-size:12px}.end{text-anchor:end}.mid{text-anchor:middle}.c0{fill:var(--s0)}.c1{fill:var(--s1)}
.c2{fill:var(--s2)}.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.line{fill:none;stroke-width:1.5}
.dash{stroke-dasharray:5 4;stroke-width:1.5}.ring{fill:none;stroke:var(--ink);stroke-width:1.5}
""".replace("\n", "")


def predicted(points: int, steps: float) -> float:
    """The formula: (1/2 . 3/2 ... (points - 1)/2)^2 / (pi steps)^points."""
    return math.prod((2 * k + 1) / 2 for k in range(points // 2)) ** 2 / (math.pi * steps) ** points


def kernel_error(points: int, steps: float) -> float:
    """Largest error of sigmoid(x / tau) over sources and targets at many positions of a grid step."""
    y = torch.cat([torch.linspace(0, TAU, 41), torch.linspace(0, 0.3, 400)]).double().sort().values[None]
    grid = Grid(y, TAU, Precision(points=points, steps=steps, series=1e-6))
    slot = torch.zeros(y.numel(), dtype=torch.long)
    kernel = torch.sigmoid(grid.lags() / TAU)
    worst = 0.0
    for source in range(41):
        mass = torch.zeros(y.numel(), dtype=torch.float64)
        mass[source] = 1.0
        fields = grid.convolve(grid.spread(1, slot, grid.all_points, mass), [kernel])
        (value,) = grid.interpolate(fields, slot, grid.all_points)
        worst = max(worst, float((value - torch.sigmoid((y[0] - y[0, source]) / TAU)).abs().max()))
    return worst


def loss_error(name: str) -> tuple[float, float]:
    """Relative error of SupHAP and of its gradient: float32 sums against float64 pairs, on the same scores."""
    generator = torch.Generator().manual_seed(0)
    scores = SCORES[name](torch.rand(4, ITEMS, generator=generator, dtype=torch.float64)).float()
    fine = torch.randint(0, 200, (4 + ITEMS,), generator=generator)
    labels = torch.stack([fine, fine // 10, fine // 100], dim=1)
    results = []
    for method, dtype in METHODS:
        leaf = scores.to(dtype).requires_grad_()
        with force(method):
            value = LOSSES["sup_hap"](**asdict(PUBLISHED))(leaf, labels[:4], torch.eye(ITEMS, dtype=dtype), labels[4:])
        (gradient,) = torch.autograd.grad(value, leaf)
        results.append((value.detach().double(), gradient.double()))
    (value, gradient), (ours, back) = results
    scale = max(float(gradient.norm()), 1e-3)
    return float((ours - value).abs() / value), float((back - gradient).norm()) / scale


def text(x: float, y: float, words: str, style: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{words}</text>'


def height(error: float, low: int, high: int) -> float:
    """The y coordinate of an error between 10^low and 10^high."""
    fraction = (math.log10(max(error, 10.0**low)) - low) / (high - low)
    return FLOOR - fraction * (FLOOR - TOP)


def axis(left: float, right: float, low: int, high: int) -> str:
    """Lines for the powers of ten."""
    parts = []
    for power in range(low, high + 1, 2):
        y = height(10.0**power, low, high)
        parts.append(f'<line class="grid" x1="{left:g}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(left - 8, y + 4, f"1e{power}", "soft end"))
    return "".join(parts)


def kernel_panel() -> str:
    """Left: error of one sigmoid by points and steps."""
    left, right, low, high = 70.0, 430.0, -14, -2
    drawn = [
        text(left - 46, 28, "One sigmoid on the grid: largest error", "title"),
        axis(left, right, low, high),
    ]

    def px(points: int) -> float:
        return left + 20 + (points - POINTS[0]) / (POINTS[-1] - POINTS[0]) * (right - left - 90)

    for at, steps in enumerate(STEPS):
        curve = " ".join(f"{px(p):.1f},{height(predicted(p, steps), low, high):.1f}" for p in POINTS)
        drawn.append(f'<polyline class="line l{at}" points="{curve}"/>')
        for points in POINTS:
            y = height(kernel_error(points, steps), low, high)
            drawn.append(f'<circle class="c{at}" cx="{px(points):.1f}" cy="{y:.1f}" r="4"/>')
            if (points, steps) in CHOSEN:
                drawn.append(f'<circle class="ring" cx="{px(points):.1f}" cy="{y:.1f}" r="8"/>')
                drawn.append(text(px(points) + 10, y + (18 if points == POINTS[-1] else -3), CHOSEN[points, steps]))
        end = height(predicted(POINTS[-1], steps), low, high)
        drawn.append(text(px(POINTS[-1]) + 12, end + 4, f"step τ/{steps:g}", f"c{at}"))
    drawn.extend(text(px(points), FLOOR + 20, str(points), "soft mid") for points in POINTS)
    drawn.append(
        text((left + right) / 2, FLOOR + 42, "nodes per point; dots: measured, lines: the formula", "soft mid")
    )
    return "".join(drawn)


def loss_panel(errors: dict[str, tuple[float, float]]) -> str:
    """Right: error of the loss and the gradient on each kind of scores, and the bounds."""
    left, right, low, high = 540.0, 950.0, -10, -2
    drawn = [
        text(left - 46, 28, "SupHAP in float32, 2,000 items: relative error", "title"),
        axis(left, right, low, high),
    ]
    for at, (bound, words) in enumerate(((1e-5, "loss, at most"), (1e-4, "gradient, at most"))):
        y = height(bound, low, high)
        drawn.append(f'<line class="dash l{at + 1}" x1="{left:g}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(text(right, y - 5, words, f"end c{at + 1}"))
        drawn.append(f'<circle class="c{at + 1}" cx="{left + 8 + 60 * at:g}" cy="48" r="4.5"/>')
        drawn.append(text(left + 18 + 60 * at, 52, ("loss", "gradient")[at], "soft"))
    step = (right - left) / len(errors)
    for n, (name, pair) in enumerate(errors.items()):
        x = left + (n + 0.5) * step
        for at, error in enumerate(pair):
            drawn.append(
                f'<circle class="c{at + 1}" cx="{x + 8 * at - 4:.1f}" cy="{height(error, low, high):.1f}" r="4.5">'
                f"<title>{name}: {error:.1e}</title></circle>"
            )
        drawn.append(
            f'<text class="soft end" transform="translate({x + 6:.1f},{FLOOR + 16:g}) rotate(-24)">{name}</text>'
        )
    return "".join(drawn)


def figure() -> str:
    """The whole drawing."""
    errors = {name: loss_error(name) for name in SCORES}
    worst = [max(pair[at] for pair in errors.values()) for at in range(2)]
    label = f"Largest relative error in float32: loss {worst[0]:.0e}, gradient {worst[1]:.0e}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{label}</title><style>{STYLE}</style>"
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="14" class="paper"/>'
        f"{kernel_panel()}{loss_panel(errors)}</svg>\n"
    )


if __name__ == "__main__":
    OUT.write_text(figure(), encoding="utf-8")
