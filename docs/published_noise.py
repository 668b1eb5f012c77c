"""How often are the published labels of H-GLDv2 wrong? Prints the estimate, and writes the tables of the page.

    python docs/published_noise.py

It is made of published_noise.csv, the reviewed sample, and published_noise_strata.csv, the sizes of the strata; how the
sample is drawn is in published_sample.py. The table of words is made where the published labels are in ../shared/data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.hierarchy.comparison.published_noise import ARGUABLE, VERDICTS, WRONG, Judged, read_review, share
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy

HERE = Path(__file__).resolve().parent
REVIEW, STRATA, PAGE = (HERE / f"published_noise{end}" for end in (".csv", "_strata.csv", ".md"))
PUBLISHED = HERE.parents[1] / "shared" / "data" / "gldv2" / "train_label_to_hierarchical.part.csv.gz"

SURE = "name differs, from 0.9"

# Words that say what a landmark is; what is published for them?
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


def reviewed() -> list[Judged]:
    """The reviewed sample."""
    return read_review(REVIEW, {label.strip() for label in load_taxonomy().natures})


def strata() -> dict[str, tuple[int, int]]:
    """Stratum → how many landmarks it had when the sample was drawn, and how many were drawn."""
    table = read_csv(STRATA, ["stratum", "landmarks", "drawn"], extra=True)
    return {str(row["stratum"]): (int(row["landmarks"]), int(row["drawn"])) for _, row in table.iterrows()}


def estimates(rows: list[Judged]) -> dict[str, str]:
    """What is said of all published labels, in words → share and interval."""
    blind = [replace(row, verdict=row.blind) for row in rows]
    sizes = {name: size for name, (size, _) in strata().items()}
    return {
        "wrong on any reading": share(rows, WRONG, sizes).text,
        "– if right wherever the verdict is unknown": share(rows, WRONG, sizes, "miss").text,
        "– if wrong wherever the verdict is unknown": share(rows, WRONG, sizes, "hit").text,
        "wrong as first judged, blind": share(blind, WRONG, sizes).text,
        "wrong, or another would do as well": share(rows, ARGUABLE, sizes).text,
    }


def differing(rows: list[Judged]) -> dict[str, tuple[str, str]]:
    """Verdict → its share where our label differs, and where it differs with a score from 0.9."""
    sizes = {name: size for name, (size, _) in strata().items()}
    every = [row for row in rows if row.ours != row.published]
    sure = [row for row in every if row.stratum == SURE]
    words = {"theirs": "theirs is right", "both": "both can be defended", "ours": "ours is right",
             "neither": "neither is right"}  # fmt: skip
    return {
        said: (share(every, (one,), sizes).text, share(sure, (one,), sizes).text)
        for one, said in words.items()
    }


def by_stratum(rows: list[Judged]) -> str:
    """The verdicts of each stratum."""
    counted = Counter((row.stratum, row.verdict) for row in rows)
    lines = (
        [name, f"{size:,}", drawn, *(counted[name, one] for one in VERDICTS)]
        for name, (size, drawn) in strata().items()
    )
    return table(["stratum", "landmarks", "reviewed", *VERDICTS], lines)


def lost(rows: list[Judged]) -> str:
    """The rows in which the published label lost at either look, those that are wrong on any reading first."""
    found = [row for row in rows if {row.blind, row.verdict} & set(WRONG)]
    found.sort(key=lambda row: (row.verdict not in WRONG, row.published, row.category))
    lines = []
    for row in found:
        verdict = f"{row.verdict}: {row.right}" if row.right else row.verdict
        lines.append([row.category, row.published, row.ours, row.blind, verdict, row.reason])
    return table(["Commons category", "published", "ours", "blind", "verdict", "why"], lines)


def same_word() -> str:
    """How landmarks whose names say the same thing are published; empty without the published labels."""
    if not PUBLISHED.is_file():
        return ""
    known = read_csv(PUBLISHED, ["category", "hierarchical_label"], extra=True)
    known = known[known["hierarchical_label"] != ""]
    names = [normalise(url) for url in known["category"]]
    lines = []
    for words, pattern in SAME_WORD.items():
        said = re.compile(rf"\b({pattern})\b", re.IGNORECASE)
        labels = zip(names, known["hierarchical_label"].str.strip(), strict=True)
        counted = Counter(label for name, label in labels if said.search(name))
        most = sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:3]
        lines.append([words, counted.total(), ", ".join(f"{label} {count}" for label, count in most)])
    return table(["the name has the word", "landmarks", "most are published as"], lines)


def table(head: list[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *([str(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(text: str, rows: list[Judged]) -> str:
    """The page with its tables made anew; one that cannot be made here stays as it is."""
    made = {
        "estimates": table(["the published label is", "share of landmarks"], estimates(rows).items()),
        "strata": by_stratum(rows),
        "differing": table(
            ["of the landmarks where our label differs", "all", "score from 0.9"],
            ([said, *shares] for said, shares in differing(rows).items()),
        ),
        "words": same_word(),
        "lost": lost(rows),
    }
    for name, block in made.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start not in text or end not in text:
            raise HgldError(f"{PAGE}: no {start} … {end}")
        if block:
            text = f"{text[: text.index(start)]}{start}\n\n{block}\n\n{text[text.index(end) :]}"
    return text


def main() -> str:
    """Write the tables of the page; returns the estimate."""
    rows = reviewed()
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    lines = [f"published label {what}: {says}" for what, says in estimates(rows).items()]
    lines += [
        f"where ours differs, {what}: {every}; with a score from 0.9: {sure}"
        for what, (every, sure) in differing(rows).items()
    ]
    return "\n".join([by_stratum(rows), "", *lines])


if __name__ == "__main__":
    print(main())
