"""Draws hierarchy_example.svg, the figure of the README: four answers to a query, graded by the levels they share.

    python -m docs.hierarchy_example

Landmarks, labels and pictures are those of the sample (tests/sources checks the labels against its facts).
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path

from hgld.pipeline.sample.draw import Landmark, draw

OUT = Path(__file__).with_name("hierarchy_example.svg")
WIDTH, PICTURE, ROW, TOP = 580, 78, 92, 170
GRADES = ("nothing shared", "human-made, too", "another church", "same landmark")

STYLE = """
svg{--paper:#fcfcfa;--edge:#d9dcd8;--ink:#1f2a2e;--soft:#5b686d;--on:#00756b;--off:#b9bfbd}
@media(prefers-color-scheme:dark){svg{--paper:#12181b;--edge:#333d41;--ink:#e9eeec;--soft:#a3b0b3;--on:#35d0bb;
--off:#5d676b}}
text{font:17px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:var(--ink)}
.paper{fill:var(--paper);stroke:var(--edge)}.rule{stroke:var(--edge)}.name{font-weight:650;font-size:18px}
.soft,.path{fill:var(--soft)}.shared{fill:var(--on);font-weight:650}.mid{text-anchor:middle}.small{font-size:15px}
.on{fill:var(--on);stroke:var(--on)}.off{fill:none;stroke:var(--off)}circle{stroke-width:2}
""".replace("\n", "")


@dataclass(frozen=True)
class Example:
    """A landmark of the sample with its labels, fine to coarse, and the view of it that is shown."""

    category: str
    drawn_as: str
    levels: tuple[str, str, str]
    """Supercategory, hierarchical label, natural or human-made."""

    view: int

    @property
    def name(self) -> str:
        """The category as a reader knows it."""
        return self.category.replace("_", " ").partition(" (")[0]


CATHEDRAL = ("Catholic cathedral", "church", "human-made")
QUERY = Example("Cathedral_of_Palma_de_Mallorca", "church", CATHEDRAL, 3)
ANSWERS = (
    Example("Cathedral_of_Palma_de_Mallorca", "church", CATHEDRAL, 7),
    Example("San_Francisco_Church_(Antigua_Guatemala)", "church", ("church building", "church", "human-made"), 2),
    Example("Brooklyn_Bridge", "bridge", ("suspension bridge", "bridge", "human-made"), 3),
    Example("Mount_Agung", "volcano", ("stratovolcano", "volcano", "natural"), 0),
)  # fmt: skip


def grade(answer: Example) -> int:
    """The number of levels (landmark, hierarchical label, natural or human-made) shared with the query."""
    return (answer.category == QUERY.category) + sum(
        mine == theirs for mine, theirs in zip(answer.levels[1:], QUERY.levels[1:], strict=True)
    )


def picture(example: Example, x: int, y: int) -> str:
    """The drawing of a landmark, embedded as JPEG."""
    category = f"http://commons.wikimedia.org/wiki/Category:{example.category}"
    buffer = io.BytesIO()
    draw(Landmark(category, example.drawn_as), example.view, 144).save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<image x="{x}" y="{y}" width="{PICTURE}" height="{PICTURE}" href="data:image/jpeg;base64,{data}"/>'


def path(example: Example, x: int, y: int) -> str:
    """Name of the landmark and, below it, its path; the levels that it shares with the query are emphasised."""
    own = "name shared" if example.category == QUERY.category else "name"
    steps = [
        f'<tspan class="{"shared" if level == same else "path"}">{escape(level)}</tspan>'
        for level, same in zip(example.levels[1:], QUERY.levels[1:], strict=True)
    ]
    return (
        f'<text x="{x}" y="{y}" class="{own}">{escape(example.name)}</text>'
        f'<text x="{x}" y="{y + 24}" class="soft">→ {escape(example.levels[0])} → {" → ".join(steps)}</text>'
    )


def answer_row(answer: Example, y: int) -> str:
    """One answer: its picture, path and grade in words and as filled dots."""
    shared = grade(answer)
    dots = "".join(
        f'<circle cx="{116 + 17 * n}" cy="{y + 64}" r="5.5" class="{"on" if n < shared else "off"}"/>' for n in range(3)
    )
    words = f'<text x="170" y="{y + 69}" class="small soft">{GRADES[shared]}</text>'
    return picture(answer, 16, y) + path(answer, 110, y + 19) + dots + words


def figure() -> str:
    """The figure as SVG text."""
    height = TOP + ROW * len(ANSWERS) + 4
    label = "; ".join(f"{answer.name}: {grade(answer)} of 3 levels shared" for answer in ANSWERS)
    label = f"Answers to a picture of the {QUERY.name}. {label}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{escape(label)}"><title>{escape(label)}</title><style>{STYLE}</style>'
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="12" class="paper"/>'
        f'<text x="16" y="28" class="soft">Query</text>{picture(QUERY, 16, 38)}{path(QUERY, 110, 71)}'
        f'<line x1="16" x2="{WIDTH - 16}" y1="130" y2="130" class="rule"/>'
        f'<text x="16" y="156" class="soft">Answers, and the number of levels they share</text>'
        + "".join(answer_row(answer, TOP + ROW * n) for n, answer in enumerate(ANSWERS))
        + "</svg>\n"
    )


if __name__ == "__main__":
    OUT.write_text(figure(), encoding="utf-8")
