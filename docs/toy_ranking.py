"""Draws toy_ranking.svg: two rankings with the same AP and different H-AP.

    python -m docs.toy_ranking

The scores come from `hgld.benchmarks.metrics.evaluate`; the contribution of every rank is computed here from the
formulas, and the sum must be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hgld.benchmarks.metrics import evaluate

OUT = Path(__file__).with_name("toy_ranking.svg")
LEVELS = 3
CARD, STEP, LEFT = 80, 88, 186

# Labels as numbers, finest first: landmark, class, natural or human-made.
QUERY = (0, 0, 0)
SKIES = {"day": "#cfe4f3", "dusk": "#f6d3b0", "night": "#3d4a70"}
GROUND = '<rect y="66" width="80" height="14" fill="#8fa876"/>'
DRAWINGS = {
    "basilica": GROUND
    + '<path d="M20 44a20 22 0 0 1 40 0z" fill="#2c7a7b"/><path d="M40 22v-13M35.5 13.5h9" stroke="#d69e2e" '
    'stroke-width="2.5"/><path d="M18 44h44v26H18z" fill="#dd6b45"/><path d="M8 34h11v36H8zM61 34h11v36H61z" '
    'fill="#c05a38"/><path d="M6.5 34l7-13 7 13zM59.5 34l7-13 7 13z" fill="#2c7a7b"/><path d="M34 70V58a6 6 0 0 1 '
    '12 0v12zM25 50h5v8h-5zM50 50h5v8h-5z" fill="#6b2c17"/>',
    "spire": GROUND
    + '<path d="M28 38l9-31 9 31z" fill="#4a5568"/><path d="M28 38h18v32H28z" fill="#a0aec0"/><path d="M46 48l13-9 '
    '13 9v22H46z" fill="#b8c3d3"/><path d="M44 50l15-12 15 12" fill="none" stroke="#4a5568" stroke-width="4"/>'
    '<circle cx="37" cy="47" r="4" fill="#4a5568"/><path d="M33 70v-9a4 4 0 0 1 8 0v9zM56 70V58h6v12z" '
    'fill="#4a5568"/>',
    "chapel": GROUND
    + '<path d="M24 44h32v26H24z" fill="#fffaf0"/><path d="M19 46l21-19 21 19z" fill="#4c6fb1"/><path d="M35 30h10V19'
    'H35z" fill="#fffaf0"/><path d="M33 20l7-9 7 9z" fill="#4c6fb1"/><path d="M40 12V4M37 7h6" stroke="#33436b" '
    'stroke-width="2"/><path d="M36 70V60a4 4 0 0 1 8 0v10z" fill="#8a5a33"/>',
    "castle": GROUND
    + '<path d="M22 40h36v30H22z" fill="#a89b8c"/><path d="M10 26h5v5h4v-5h5v5h4v39H10zM52 31h4v-5h5v5h4v-5h5v44H52z" '
    'fill="#8c7f70"/><path d="M22 40v-6h5v4h5v-4h5v4h6v-4h5v4h5v-4h5v6z" fill="#a89b8c"/><path d="M34 70V58a6 6 0 0 1 '
    '12 0v12zM17 40h4v8h-4zM59 40h4v8h-4z" fill="#4b4239"/>',
    "bridge": '<rect y="58" width="80" height="22" fill="#6fa8c9"/><path d="M0 40h80v6H0z" fill="#7b6250"/><path '
    'd="M0 46h80v18h-6a11 12 0 0 0-22 0h-2a11 12 0 0 0-22 0h-2a11 12 0 0 0-22 0H0z" fill="#a5876f"/><path d="M6 71h14'
    'M34 74h16M58 70h14" stroke="#cfe4f3" stroke-width="2"/>',
    "mountain": GROUND
    + '<path d="M-4 68l30-44 16 22 10-12 32 34z" fill="#7a8797"/><path d="M26 24l-9 13.5 6-2 4 5 4-5 5 3z" '
    'fill="#fff"/><path d="M52 34l-6 7 5-1 4 4 5-2z" fill="#fff"/>',
    "waterfall": '<path d="M0 18h30l4 48H0zM80 14H50l-4 52h34z" fill="#6d7b5a"/><path d="M30 18h20l-2 48H33z" '
    'fill="#e8f4fb"/><path d="M35 22l1 40M40 22v42M45 22l-1 40" stroke="#a8d0e6" stroke-width="2"/><path d="M0 64h80'
    'v16H0z" fill="#5b9fc4"/><ellipse cx="40" cy="66" rx="17" ry="5" fill="#e8f4fb"/>',
}


@dataclass(frozen=True)
class Item:
    """A gallery image: its drawing, its light, and its labels."""

    drawing: str
    light: str
    labels: tuple[int, int, int]

    @property
    def agreement(self) -> int:
        """Levels shared with the query, counted from the coarsest."""
        shared = [a == b for a, b in zip(self.labels, QUERY, strict=True)]
        return sum(all(shared[level:]) for level in range(LEVELS))


OWN = [Item("basilica", "dusk", QUERY), Item("basilica", "night", QUERY)]
CHURCHES = [Item("spire", "day", (1, 0, 0)), Item("chapel", "day", (2, 0, 0))]
BUILT = [Item("castle", "day", (3, 1, 0)), Item("bridge", "day", (4, 2, 0))]
NATURAL = [Item("mountain", "day", (5, 3, 1)), Item("waterfall", "day", (6, 4, 1))]
RANKINGS = {
    "Ranking A errs among churches": [OWN[0], *CHURCHES, OWN[1], *BUILT, *NATURAL],
    "Ranking B errs wildly": [OWN[0], *NATURAL, OWN[1], *BUILT, *CHURCHES],
}
SHARED = {3: "same landmark", 2: "another church", 1: "human-made", 0: "nothing shared"}

STYLE = """
text{font:14px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:var(--ink)}
svg{--paper:#fcfcfa;--edge:#d9dcd8;--ink:#1f2a2e;--soft:#5b686d;--track:#e6e9e5;--t3:#00756b;--t2:#3fa796;--t1:#c49a3a;
--t0:#b9bfbd}
@media(prefers-color-scheme:dark){svg{--paper:#12181b;--edge:#333d41;--ink:#e9eeec;--soft:#a3b0b3;--track:#2b3438;
--t3:#35d0bb;--t2:#3b9a8c;--t1:#d3ab52;--t0:#5d676b}}
.paper{fill:var(--paper);stroke:var(--edge)}.title{font-size:19px;font-weight:650}.name{font-size:15px;font-weight:650}
.soft{fill:var(--soft)}.mid{text-anchor:middle}.end{text-anchor:end}.num{font-variant-numeric:tabular-nums}
.big{font-size:19px;font-weight:700;font-variant-numeric:tabular-nums}.track{fill:var(--track)}
.ap{fill:var(--soft)}.hap{fill:var(--t3)}.strong{font-weight:650}.frame{fill:none;stroke-width:3.5}
.s3{stroke:var(--t3)}.s2{stroke:var(--t2)}.s1{stroke:var(--t1)}.s0{stroke:var(--t0);stroke-width:1.5}
.f3{fill:var(--t3)}.f2{fill:var(--t2)}.f1{fill:var(--t1)}.off{fill:none;stroke:var(--t0);stroke-width:1.5}
""".replace("\n", "")


def scores(ranking: Sequence[Item]) -> tuple[float, float]:
    """AP of the landmark and H-AP by `evaluate`, on unit vectors with evenly decreasing cosines with the query."""
    cosine = torch.linspace(0.9, 0.1, len(ranking), dtype=torch.float64)
    gallery = torch.stack([cosine, (1 - cosine**2).sqrt()], dim=1)
    query = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([item.labels for item in ranking])
    row = evaluate(query, torch.tensor([QUERY]), gallery, labels, metrics=["AP_l0", "H-AP"]).iloc[0]
    return float(row["AP_l0"]), float(row["H-AP"])


def contributions(ranking: Sequence[Item]) -> tuple[list[float], list[float]]:
    """The contribution of each rank to AP, P(n) b_n / R, and to H-AP, Hrank(k) / k / sum rel."""
    depth = [item.agreement for item in ranking]
    own = [t == LEVELS for t in depth]
    rel = [t / LEVELS / depth.count(t) for t in depth]
    ap = [own[n] * sum(own[: n + 1]) / (n + 1) / sum(own) for n in range(len(depth))]
    hap = [sum(min(rel[k], r) for r in rel[: k + 1]) / (k + 1) / sum(rel) for k in range(len(depth))]
    return ap, hap


def text(x: float, y: float, words: str, style: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{words}</text>'


def picture(item: Item, x: float, y: float, size: float = CARD) -> str:
    """A small drawing with rounded corners."""
    return (
        f'<svg x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}" viewBox="0 0 80 80">'
        f'<g clip-path="url(#round)"><rect width="80" height="80" fill="{SKIES[item.light]}"/>'
        f'<use href="#{item.drawing}"/></g></svg>'
    )


def dots(x: float, y: float, agreement: int) -> str:
    """Three dots centred on x; the number of filled ones is the agreement."""
    parts = []
    for level in range(LEVELS):
        style = f"f{agreement}" if level < agreement else "off"
        parts.append(f'<circle cx="{x + 13 * (level - 1):g}" cy="{y:g}" r="4" class="{style}"/>')
    return "".join(parts)


def sums(y: float, name: str, style: str, parts: Sequence[float], total: float) -> str:
    """One line: the contribution of each rank, the score, and the score as a bar."""
    if abs(sum(parts) - total) > 1e-9:
        raise ArithmeticError(f"{name}: the contributions add up to {sum(parts)}, evaluate gives {total}")
    drawn = [text(LEFT - 12, y, name, f"end strong {style}")]
    for rank, part in enumerate(parts):
        shown = f"{part:.3f}" if part else "–"
        drawn.append(text(LEFT + STEP * rank + CARD / 2, y, shown, f"mid num {style}"))
    x = LEFT + STEP * len(parts)
    drawn.append(text(x + 58, y + 1, f"{total:.3f}", f"end big {style}"))
    drawn.append(f'<rect x="{x + 68:g}" y="{y - 11:g}" width="110" height="11" rx="3" class="track"/>')
    drawn.append(f'<rect x="{x + 68:g}" y="{y - 11:g}" width="{110 * total:.1f}" height="11" rx="3" class="{style}"/>')
    return "".join(drawn)


def row(y: float, name: str, ranking: Sequence[Item]) -> str:
    """A ranking: the pictures from best to worst, their agreement with the query, and both sums."""
    drawn = [text(LEFT, y, name, "name")]
    for rank, item in enumerate(ranking):
        x = LEFT + STEP * rank
        drawn.append(picture(item, x, y + 14))
        drawn.append(
            f'<rect x="{x:g}" y="{y + 14:g}" width="{CARD}" height="{CARD}" rx="10" class="frame s{item.agreement}"/>'
        )
        drawn.append(dots(x + CARD / 2, y + 110, item.agreement))
    ap, hap = scores(ranking)
    ap_parts, hap_parts = contributions(ranking)
    drawn.append(text(LEFT + STEP * len(ranking) + 178, y + 110, "the line adds up to", "soft end"))
    drawn.append(sums(y + 138, "AP", "ap", ap_parts, ap))
    drawn.append(sums(y + 164, "H-AP", "hap", hap_parts, hap))
    return "".join(drawn)


def legend(x: float, y: float) -> str:
    """The legend of the dots."""
    drawn = []
    for line, (agreement, words) in enumerate(SHARED.items()):
        drawn.append(dots(x + 17, y + 23 * line - 4, agreement) + text(x + 40, y + 23 * line, words, "soft"))
    return "".join(drawn)


def figure() -> str:
    """The figure as SVG text."""
    results = [scores(ranking) for ranking in RANKINGS.values()]
    label = "; ".join(f"{name}: AP {ap:.3f}, H-AP {hap:.3f}" for name, (ap, hap) in zip(RANKINGS, results, strict=True))
    symbols = "".join(f'<g id="{name}">{drawing}</g>' for name, drawing in DRAWINGS.items()).replace(".500", ".5")
    rows = "".join(row(84 + 202 * n, name, ranking) for n, (name, ranking) in enumerate(RANKINGS.items()))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1092 476" role="img" '
        f'aria-label="{label}"><title>{label}</title><style>{STYLE}</style>'
        f'<defs><clipPath id="round"><rect width="80" height="80" rx="10"/></clipPath>{symbols}</defs>'
        '<rect x=".5" y=".5" width="1091" height="475" rx="14" class="paper"/>'
        + text(24, 40, "Same AP, different H-AP: what stands between the two right answers matters", "title")
        + text(24, 84, "Query", "name")
        + picture(Item("basilica", "day", QUERY), 24, 98, 104)
        + legend(24, 310)
        + rows
        + "</svg>\n"
    )


if __name__ == "__main__":
    OUT.write_text(figure(), encoding="utf-8")
