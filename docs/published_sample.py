"""Draws the sample of published_noise.csv, and converts a reviewer's sheet.

    python -m docs.published_sample redraw                    # check that the reviewed landmarks are the drawn ones
    python -m docs.published_sample frame OUT.txt             # the strata with the current name model, and what moved
    python -m docs.published_sample sheet SHEET.csv           # the sample for a reviewer, who fills the last columns
    python -m docs.published_sample enter SHEET.csv NAME OUT  # a filled sheet as a review, and its agreement with ours

The first two read the published labels in ../shared/data; the second trains the name model on them (about a minute).
published_noise_frame.txt freezes the strata at the time of the draw, one letter per landmark in the order of their
ids, so that the draw does not change with the name model.
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
from hgld.hierarchy.comparison.proportions import wilson
from hgld.hierarchy.comparison.published_noise import COLUMNS, SampledLandmark, read_review
from hgld.hierarchy.comparison.stratified_sampling import draw_sample, hash_uniform
from hgld.hierarchy.fusion.proposals import top_two
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_classifier import Lexicon, cross_fit_classifier
from hgld.hierarchy.names.name_rules import build_name_rules
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands.assign import assign
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.oxigraph import serving
from tests.paths import PUBLISHED_LABELS, SHARED

HERE = Path(__file__).resolve().parent
REVIEW, STRATA, FRAME = (HERE / f"published_noise{end}" for end in (".csv", "_strata.csv", "_frame.txt"))
CROSSWALK = SHARED / "gldv2" / "crosswalk_wikidata.csv"

SEED = "published noise 1"
SHEET = ["landmark_id", "category", "a", "b", "choice", "right", "reason"]
CHOICES = ("a", "b", "both", "neither", "unknown")


def published() -> pd.DataFrame:
    """The published landmarks with a label; adds name, the normal form of the category, and label, stripped."""
    if not PUBLISHED_LABELS.is_file():
        raise HgldError(f"no {PUBLISHED_LABELS}; the published labels are needed to draw the sample")
    known = read_csv(PUBLISHED_LABELS, ["landmark_id", "category", "hierarchical_label"], extra=True)
    known = known[known["hierarchical_label"] != ""]
    names = [normalise(url) for url in known["category"]]
    return known.assign(name=names, label=known["hierarchical_label"].str.strip())


def population() -> list[SampledLandmark]:
    """All published landmarks with our label: Wikidata's where the crosswalk has the item, else the name model's.

    The name model is cross-fitted: no landmark was in the training set of the model that labels it.
    """
    known, from_wikidata = published(), wikidata_labels()
    lexicon = Lexicon(build_name_rules(load_class_names(), load_taxonomy()), load_name_words())
    model, probabilities = cross_fit_classifier(known["name"].tolist(), known["hierarchical_label"].tolist(), lexicon)
    labels = [label.strip() for label in model.labels]
    landmarks = []
    for landmark, name, label in zip(known["landmark_id"], known["name"], known["label"], strict=True):
        (best,), (score,), _, (second,) = top_two(probabilities[name][None])
        ours, text = labels[best], f"{score:.4f}"
        other = labels[second] if ours == label else ours
        if from_wikidata.get(landmark):
            ours, text = from_wikidata[landmark], ""
            other = other if ours == label else ours
        landmarks.append(SampledLandmark(landmark, name, label, ours, text, other))
    return landmarks


def wikidata_labels() -> dict[str, str]:
    """The labels of `hgld assign` for the landmarks of the crosswalk, from the excerpt of Wikidata beside it."""
    with tempfile.TemporaryDirectory() as folder, serving([SHARED / "wikidata"]) as endpoint:
        out = Path(folder) / "labels.csv"
        assign(CROSSWALK, Endpoint(endpoint, "hgld", in_flight=2), out)
        table = read_csv(out, ["landmark_id", "hierarchical_label"], extra=True)
    return dict(zip(table["landmark_id"], table["hierarchical_label"].str.strip(), strict=True))


def strata() -> pd.DataFrame:
    """The strata of the draw (letter, stratum, landmarks, drawn)."""
    table = read_csv(STRATA, ["letter", "stratum", "landmarks", "drawn"])
    return table.astype({"landmarks": "int64", "drawn": "int64"})


def frame() -> dict[str, str]:
    """Landmark → its stratum when the sample was drawn."""
    ids = sorted(published()["landmark_id"], key=int)
    letters = "".join(FRAME.read_text(encoding="utf-8").split())
    if len(letters) != len(ids):
        raise HgldError(f"{FRAME}: {len(letters)} letters for the {len(ids)} landmarks of {PUBLISHED_LABELS}")
    names = dict(zip(strata()["letter"], strata()["stratum"], strict=True))
    return {landmark: names[letter] for landmark, letter in zip(ids, letters, strict=True)}


def labels() -> set[str]:
    """The known labels, stripped: one ends in a space."""
    return {label.strip() for label in load_taxonomy().natures}


def redraw() -> str:
    """Check that the reviewed landmarks are the drawn ones, and that the strata have the sizes used in the estimate."""
    known, table = frame(), strata()
    drawn = set(draw_sample(known, dict(zip(table["stratum"], table["drawn"], strict=True)), SEED))
    reviewed = {row.landmark_id for row in read_review(REVIEW, labels())}
    counts, sizes = Counter(known.values()), dict(zip(table["stratum"], table["landmarks"], strict=True))
    problems = [
        f"{FRAME}: {counts[name]} landmarks in '{name}', {size} in {STRATA.name}"
        for name, size in sizes.items()
        if counts[name] != size
    ]
    if drawn != reviewed:
        problems.append(
            f"{len(drawn - reviewed)} drawn and not reviewed, {len(reviewed - drawn)} reviewed and not drawn"
        )
    if problems:
        raise HgldError(*problems)
    return f"the {len(drawn)} reviewed landmarks are the ones drawn from {len(known):,}; strata as stated"


def current_frame(out: Path) -> str:
    """Write the strata with our current labels, and count the landmarks whose stratum is that of the draw."""
    letter = dict(zip(strata()["stratum"], strata()["letter"], strict=True))
    landmarks = sorted(population(), key=lambda landmark: int(landmark.landmark_id))
    text = "".join(letter[landmark.stratum] for landmark in landmarks)
    out.write_text("\n".join(wrap(text, 100)) + "\n", encoding="utf-8")
    frozen = "".join(FRAME.read_text(encoding="utf-8").split())
    same = sum(now == then for now, then in zip(text, frozen, strict=True))
    return f"{out}: {same:,} of {len(text):,} landmarks are in the same stratum as when the sample was drawn"


def sheet(out: Path) -> str:
    """Write a blind sheet for a reviewer: two labels per row in random order, without telling which is published."""
    rows = []
    shuffled = sorted(read_review(REVIEW, labels()), key=lambda row: hash_uniform(f"{SEED} sheet", row.landmark_id))
    for row in shuffled:
        pair = [row.published, row.beside]
        if hash_uniform(f"{SEED} pair", row.landmark_id) < 0.5:
            pair.reverse()
        rows.append([row.landmark_id, row.category, *pair, "", "", ""])
    write_csv(pd.DataFrame(rows, columns=SHEET), out)
    return f"{out}: {len(rows)} landmarks; choice is one of {', '.join(CHOICES)}"


def enter(filled: Path, reviewer: str, out: Path) -> str:
    """Convert a filled sheet into a review, and report its agreement with the blind verdicts of published_noise.csv."""
    answers = {str(row["landmark_id"]): row for row in read_csv(filled, SHEET).to_dict("records")}
    reference = read_review(REVIEW, labels())
    if answers.keys() != {row.landmark_id for row in reference}:
        raise HgldError(f"{filled}: its landmarks are not those of the sample; start from a new sheet")
    rows = []
    for row in reference:
        answer = answers[row.landmark_id]
        verdict, right = str(answer["choice"]), str(answer["right"])
        if verdict in ("a", "b"):
            chosen = str(answer[verdict])
            verdict = {row.ours: "ours", row.published: "theirs"}.get(chosen, "neither")
            right = chosen if verdict == "neither" else right
        review = {"blind": verdict, "verdict": verdict, "right": right, "reason": str(answer["reason"])}
        rows.append(replace(row, **review, decided_by=reviewer))
    write_csv(pd.DataFrame([[row.stratum, *astuple(row)] for row in rows], columns=COLUMNS), out)
    review_rows = read_review(out, labels())
    pairs = [(row.blind, other.blind) for row, other in zip(review_rows, reference, strict=True)]
    same = wilson(sum(verdict == other for verdict, other in pairs), len(pairs))
    return f"{out}: {len(rows)} landmarks; the same blind verdict in {same}, kappa {cohen_kappa(pairs):.2f}"


COMMANDS: dict[str, Callable[..., str]] = {
    "redraw": redraw,
    "frame": lambda out: current_frame(Path(out)),
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
