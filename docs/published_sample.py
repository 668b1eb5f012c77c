"""Draws the landmarks of published_noise.csv, and takes a reviewer's verdicts on them.

    python docs/published_sample.py redraw                    # are the reviewed landmarks the drawn ones?
    python docs/published_sample.py frame OUT.txt             # the strata with the name model of today: who has moved?
    python docs/published_sample.py sheet SHEET.csv           # the sample for a reviewer, who fills the last columns
    python docs/published_sample.py enter SHEET.csv NAME OUT  # a filled sheet as a review, and how far it agrees

The first two read the published labels in ../shared/data; the second trains the name model on them, about a minute.
The strata are kept in published_noise_frame.txt as they were when the sample was drawn, a letter a landmark in the
order of their ids: the name model has become another one since, and a draw must not change with it.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from textwrap import wrap

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv, write_csv
from hgld.hierarchy.comparison.agreement import cohen_kappa
from hgld.hierarchy.comparison.proportions import percent, wilson
from hgld.hierarchy.comparison.published_noise import COLUMNS, Case, read_review
from hgld.hierarchy.comparison.stratified_sampling import draw, place
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_classifier import Lexicon, fit_held_out, ranked
from hgld.hierarchy.names.name_rules import class_reader
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands.assign import assign
from hgld.pipeline.sparql.oxigraph import serving

HERE = Path(__file__).resolve().parent
REVIEW, STRATA, FRAME = (HERE / f"published_noise{end}" for end in (".csv", "_strata.csv", "_frame.txt"))
DATA = HERE.parents[1] / "shared" / "data"
PUBLISHED = DATA / "gldv2" / "train_label_to_hierarchical.part.csv.gz"
CROSSWALK = DATA / "gldv2" / "crosswalk_wikidata.csv"

SEED = "published noise 1"
SHEET = ["landmark_id", "category", "a", "b", "choice", "right", "reason"]
CHOICES = ("a", "b", "both", "neither", "unknown")


def published() -> pd.DataFrame:
    """The published landmarks that have a label; name: their category's, label: theirs without the space at its end."""
    if not PUBLISHED.is_file():
        raise HgldError(f"{PUBLISHED} is not there; the published labels are needed to draw the sample")
    known = read_csv(PUBLISHED, ["landmark_id", "category", "hierarchical_label"], extra=True)
    known = known[known["hierarchical_label"] != ""]
    names = [normalise(url) for url in known["category"]]
    return known.assign(name=names, label=known["hierarchical_label"].str.strip())


def population() -> list[Case]:
    """All of them with our label: Wikidata's where the crosswalk has the item, else that of a name model.

    No model has seen the published label of the landmark that it speaks of.
    """
    known, given = published(), wikidata_labels()
    lexicon = Lexicon(class_reader(load_class_names(), load_taxonomy()), load_name_words())
    model, told = fit_held_out(known["name"].tolist(), known["hierarchical_label"].tolist(), lexicon)
    labels = [label.strip() for label in model.labels]
    cases = []
    for landmark, name, label in zip(known["landmark_id"], known["name"], known["label"], strict=True):
        (best,), (score,), _, (second,) = ranked(told[name][None])
        ours, text = labels[best], f"{score:.4f}"
        other = labels[second] if ours == label else ours
        if given.get(landmark):
            ours, text = given[landmark], ""
            other = other if ours == label else ours
        cases.append(Case(landmark, name, label, ours, text, other))
    return cases


def wikidata_labels() -> dict[str, str]:
    """What `hgld assign` says of the landmarks of the crosswalk, asked of the part of Wikidata beside it."""
    with tempfile.TemporaryDirectory() as folder, serving([DATA / "wikidata"]) as endpoint:
        out = Path(folder) / "labels.csv"
        assign(CROSSWALK, endpoint, out)
        table = read_csv(out, ["landmark_id", "hierarchical_label"], extra=True)
    return dict(zip(table["landmark_id"], table["hierarchical_label"].str.strip(), strict=True))


def strata() -> pd.DataFrame:
    """The strata of the draw: letter, stratum, landmarks, drawn."""
    table = read_csv(STRATA, ["letter", "stratum", "landmarks", "drawn"])
    return table.astype({"landmarks": "int64", "drawn": "int64"})


def frame() -> dict[str, str]:
    """Landmark → its stratum when the sample was drawn."""
    ids = sorted(published()["landmark_id"], key=int)
    letters = "".join(FRAME.read_text(encoding="utf-8").split())
    if len(letters) != len(ids):
        raise HgldError(f"{FRAME}: {len(letters)} letters for the {len(ids)} landmarks of {PUBLISHED}")
    names = dict(zip(strata()["letter"], strata()["stratum"], strict=True))
    return {landmark: names[letter] for landmark, letter in zip(ids, letters, strict=True)}


def labels() -> set[str]:
    """The labels there are, without the space at the end of one."""
    return {label.strip() for label in load_taxonomy().natures}


def redraw() -> str:
    """Whether the reviewed landmarks are those that are drawn, and the strata have the sizes that the estimate uses."""
    known, table = frame(), strata()
    drawn = set(draw(known, dict(zip(table["stratum"], table["drawn"], strict=True)), SEED))
    judged = {row.landmark_id for row in read_review(REVIEW, labels())}
    counted, sizes = Counter(known.values()), dict(zip(table["stratum"], table["landmarks"], strict=True))
    wrong = [
        f"{FRAME}: {counted[name]} landmarks in '{name}', {size} in {STRATA.name}"
        for name, size in sizes.items()
        if counted[name] != size
    ]
    if drawn != judged:
        wrong.append(
            f"{len(drawn - judged)} drawn and not reviewed, {len(judged - drawn)} reviewed and not drawn"
        )
    if wrong:
        raise HgldError("\n".join(wrong))
    return f"the {len(drawn)} reviewed landmarks are the ones drawn from {len(known):,}, in strata of the sizes stated"


def frame_of_today(out: Path) -> str:
    """Write the strata with our labels of today, to compare with those of the draw."""
    letter = dict(zip(strata()["stratum"], strata()["letter"], strict=True))
    cases = sorted(population(), key=lambda case: int(case.landmark_id))
    text = "".join(letter[case.stratum] for case in cases)
    out.write_text("\n".join(wrap(text, 100)) + "\n", encoding="utf-8")
    then = "".join(FRAME.read_text(encoding="utf-8").split())
    same = sum(one == other for one, other in zip(text, then, strict=True))
    return f"{out}: {same:,} of {len(text):,} landmarks are in the stratum that they had when the sample was drawn"


def sheet(out: Path) -> str:
    """Write the sample for a reviewer: two labels a row, not saying which is published or whether ours is the same."""
    rows = []
    for case in sorted(
        read_review(REVIEW, labels()), key=lambda case: place(f"{SEED} sheet", case.landmark_id)
    ):
        pair = [case.published, case.beside]
        if place(f"{SEED} pair", case.landmark_id) < 0.5:
            pair.reverse()
        rows.append([case.landmark_id, case.category, *pair, "", "", ""])
    write_csv(pd.DataFrame(rows, columns=SHEET), out)
    return f"{out}: {len(rows)} landmarks; choice is one of {', '.join(CHOICES)}"


def enter(filled: Path, reviewer: str, out: Path) -> str:
    """Write a filled sheet as a review; says how far it agrees with the blind verdicts of published_noise.csv."""
    given = {str(row["landmark_id"]): row for row in read_csv(filled, SHEET).to_dict("records")}
    first = read_review(REVIEW, labels())
    if given.keys() != {row.landmark_id for row in first}:
        raise HgldError(f"{filled}: its landmarks are not those of the sample; start from a new sheet")
    rows = []
    for row in first:
        answer = given[row.landmark_id]
        verdict, right = str(answer["choice"]), str(answer["right"])
        if verdict in ("a", "b"):
            chosen = str(answer[verdict])
            verdict = {row.ours: "ours", row.published: "theirs"}.get(chosen, "neither")
            right = chosen if verdict == "neither" else right
        said = {"blind": verdict, "verdict": verdict, "right": right, "reason": str(answer["reason"])}
        rows.append(replace(row, **said, decided_by=reviewer))
    write_csv(pd.DataFrame([[row.stratum, *astuple(row)] for row in rows], columns=COLUMNS), out)
    pairs = [(one.blind, other.blind) for one, other in zip(read_review(out, labels()), first, strict=True)]
    same = wilson(sum(one == other for one, other in pairs), len(pairs))
    return f"{out}: {len(rows)} landmarks; the same blind verdict in {percent(same)}, kappa {cohen_kappa(pairs):.2f}"


COMMANDS: dict[str, Callable[..., str]] = {
    "redraw": redraw,
    "frame": lambda out: frame_of_today(Path(out)),
    "sheet": lambda out: sheet(Path(out)),
    "enter": lambda filled, reviewer, out: enter(Path(filled), reviewer, Path(out)),
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    try:
        print(COMMANDS[sys.argv[1]](*sys.argv[2:]))
    except HgldError as error:
        sys.exit(f"error: {error}")
