"""How often are the published labels of H-GLDv2 wrong? Prints the estimate and updates the tables of the page.

    python -m docs.published_noise

Reads published_noise.csv, the reviewed sample, and published_noise_strata.csv, the sizes of the strata;
published_sample.py draws the sample. The table of words needs the published labels in ../shared/data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.hierarchy.comparison.published_noise import (
    ARGUABLE,
    JUDGEMENTS,
    WRONG,
    ReviewedLandmark,
    read_review,
    verdict_fraction,
)
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import PUBLISHED_LABELS

HERE = Path(__file__).resolve().parent
REVIEW, STRATA, PAGE = (HERE / f"published_noise{end}" for end in (".csv", "_strata.csv", ".md"))

SURE = "name differs, from 0.9"

# Words that name a kind of landmark, whose published labels are counted.
SAME_WORD = {
    "reservoir, embalse, Stausee, Talsperre, barrage": "reservoir|embalse|stausee|talsperre|barrage",
    "abbey, abbaye, Abtei, abbazia": "abbey|abbaye|abtei|abbazia",
    "monument, memorial, Denkmal": "monument|memorial|denkmal",
    "tunnel": "tunnel",
    "speedway, raceway, circuit": "speedway|raceway|circuit",
    "Ruine, Burgruine, castle ruins, zřícenina": "ruine|burgruine|castle ruins|zřícenina",
    "volcano, volcán, volcan, Vulkan": "volcano|volcán|volcan|vulkan",
    "tower": "tower",
}


def reviewed() -> list[ReviewedLandmark]:
    """The reviewed sample."""
    return read_review(REVIEW, {label.strip() for label in load_taxonomy().natures})


def strata() -> dict[str, tuple[int, int]]:
    """Stratum → its landmarks when the sample was drawn, and how many of them were drawn."""
    table = read_csv(STRATA, ["stratum", "landmarks", "drawn"], extra=True)
    return {str(row["stratum"]): (int(row["landmarks"]), int(row["drawn"])) for _, row in table.iterrows()}


def estimates(rows: list[ReviewedLandmark]) -> dict[str, str]:
    """Statement about all published labels → estimate with its interval."""
    blind = [replace(row, verdict=row.blind) for row in rows]
    sizes = {name: size for name, (size, _) in strata().items()}
    return {
        "wrong on any reading": str(verdict_fraction(rows, WRONG, sizes)),
        "– if right wherever the verdict is unknown": str(verdict_fraction(rows, WRONG, sizes, "miss")),
        "– if wrong wherever the verdict is unknown": str(verdict_fraction(rows, WRONG, sizes, "hit")),
        "wrong as first judged, blind": str(verdict_fraction(blind, WRONG, sizes)),
        "wrong, or another would do as well": str(verdict_fraction(rows, ARGUABLE, sizes)),
    }


def differing(rows: list[ReviewedLandmark]) -> dict[str, tuple[str, str]]:
    """Verdict → its fraction where our label differs, and where it differs with a score from 0.9."""
    sizes = {name: size for name, (size, _) in strata().items()}
    every = [row for row in rows if row.ours != row.published]
    sure = [row for row in every if row.stratum == SURE]
    texts = {"theirs": "theirs is right", "both": "both can be defended", "ours": "ours is right",
             "neither": "neither is right"}  # fmt: skip
    return {
        text: (
            str(verdict_fraction(every, (verdict,), sizes)),
            str(verdict_fraction(sure, (verdict,), sizes)),
        )
        for verdict, text in texts.items()
    }


def by_stratum(rows: list[ReviewedLandmark]) -> str:
    """The number of each verdict per stratum."""
    counts = Counter((row.stratum, row.verdict) for row in rows)
    lines = (
        [name, f"{size:,}", drawn, *(counts[name, verdict] for verdict in JUDGEMENTS)]
        for name, (size, drawn) in strata().items()
    )
    return table(["stratum", "landmarks", "reviewed", *JUDGEMENTS], lines)


def lost(rows: list[ReviewedLandmark]) -> str:
    """The rows in which the published label lost at either look, those wrong on any reading first."""
    losing = [row for row in rows if {row.blind, row.verdict} & set(WRONG)]
    losing.sort(key=lambda row: (row.verdict not in WRONG, row.published, row.category))
    lines = []
    for row in losing:
        verdict = f"{row.verdict}: {row.right}" if row.right else row.verdict
        lines.append([row.category, row.published, row.ours, row.blind, verdict, row.reason])
    return table(["Commons category", "published", "ours", "blind", "verdict", "why"], lines)


def same_word() -> str:
    """The published labels of landmarks whose names have the same word; empty without the published labels."""
    if not PUBLISHED_LABELS.is_file():
        return ""
    known = read_csv(PUBLISHED_LABELS, ["category", "hierarchical_label"], extra=True)
    known = known[known["hierarchical_label"] != ""]
    names = [normalise(url) for url in known["category"]]
    lines = []
    for words, pattern in SAME_WORD.items():
        regex = re.compile(rf"\b({pattern})\b", re.IGNORECASE)
        labels = zip(names, known["hierarchical_label"].str.strip(), strict=True)
        counts = Counter(label for name, label in labels if regex.search(name))
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]
        lines.append([words, counts.total(), ", ".join(f"{label} {count}" for label, count in most)])
    return table(["the name has the word", "landmarks", "most are published as"], lines)


def table(head: list[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([str(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(text: str, rows: list[ReviewedLandmark]) -> str:
    """The page with its tables updated; a table whose data are missing here is left unchanged."""
    blocks = {
        "estimates": table(["the published label is", "share of landmarks"], estimates(rows).items()),
        "strata": by_stratum(rows),
        "differing": table(
            ["of the landmarks where our label differs", "all", "score from 0.9"],
            ([text, *fractions] for text, fractions in differing(rows).items()),
        ),
        "words": same_word(),
        "lost": lost(rows),
    }
    for name, block in blocks.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start not in text or end not in text:
            raise HgldError(f"{PAGE}: no {start} … {end}; put both markers around the table")
        if block:
            text = f"{text[: text.index(start)]}{start}\n\n{block}\n\n{text[text.index(end) :]}"
    return text


def main() -> str:
    """Update the tables of the page; returns the text to print."""
    rows = reviewed()
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    lines = [f"published label {text}: {estimate}" for text, estimate in estimates(rows).items()]
    lines += [
        f"where ours differs, {text}: {every}; with a score from 0.9: {sure}"
        for text, (every, sure) in differing(rows).items()
    ]
    return "\n".join([by_stratum(rows), "", *lines])


if __name__ == "__main__":
    print(main())
