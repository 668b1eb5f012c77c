"""What the names of a landmark's classes say where no path leads to an anchor: a proposal for the class.

A class is read by its English name (`class_text`); what cannot be read goes to the model of the lexicons. One proposal
for a class settles all its landmarks at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.proposals import DECIMALS
from hgld.hierarchy.names.name_classifier import NameModel
from hgld.hierarchy.names.name_rules import SCORES, ClassReader, Reading
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, number

COLUMNS = ["class", "label", "hierarchical_label", "score", "margin", "evidence", "categories"]


def class_probabilities(
    names: Sequence[str], labels: Sequence[str], reader: ClassReader, model: Callable[[], NameModel]
) -> tuple[Floats, list[str]]:
    """(N, L) how probable each label is for classes of these names, and the evidence of each.

    model: gives the model of the lexicons; asked only when a name cannot be read, as it takes seconds to make.

    A name that says that its landmarks stay open, or that is empty, says nothing: its row is uniform.
    """
    columns = {label: place for place, label in enumerate(labels)}
    found = np.full((len(names), len(labels)), 1 / len(labels))
    evidence = [""] * len(names)
    unread = []
    for row, name in enumerate(names):
        reading = reader.read(name)
        evidence[row] = reading.evidence
        if reading.hierarchical_label in columns:
            found[row] = (1 - reading.score) / (len(labels) - 1)
            found[row, columns[reading.hierarchical_label]] = reading.score
        elif name and not reading.evidence:
            unread.append(row)
    if unread:
        made = model()
        found[unread] = onto(made.probabilities([names[row] for row in unread]), made.labels, labels)
        for row in unread:
            evidence[row] = "class text"
    return found, evidence


def told_by_name(
    classes: Mapping[str, str], reader: ClassReader, taxonomy: Taxonomy
) -> tuple[str, Reading] | None:
    """The class of an item (QID → English name) whose name says best what the item is, and what it says; or None.

    Only what the name as a whole or its head says counts. Of several, the label that the taxonomy puts first decides
    (the lowest precedence of its anchors), then the lowest QID number.
    """
    first = taxonomy.precedences
    said = {qid: reader.read(name) for qid, name in classes.items()}
    sure = [
        qid for qid, one in said.items() if one.hierarchical_label in first and one.score >= SCORES["head"]
    ]
    best = min(sure, key=lambda qid: (first[said[qid].hierarchical_label], number(qid)), default=None)
    return (best, said[best]) if best else None


def onto(found: Floats, own: Sequence[str], labels: Sequence[str]) -> Floats:
    """Probabilities of the labels `own` as those of `labels`: what is not offered is left out, the rest sums to 1."""
    places = {label: place for place, label in enumerate(own)}
    kept = [places.get(label) for label in labels]
    picked = np.zeros((len(found), len(labels)))
    for column, place in enumerate(kept):
        if place is not None:
            picked[:, column] = found[:, place]
    picked += 1e-9
    return np.asarray(picked / picked.sum(axis=1, keepdims=True), dtype=np.float64)


def by_category(
    categories: Sequence[str], classes: Mapping[str, Iterable[str]], told: Mapping[str, Floats], labels: int
) -> Floats:
    """(C, L): the mean of what a category's classes say; uniform where none says anything.

    classes: category → its classes; told: class → (L,), only classes that say something.
    """
    found = np.full((len(categories), labels), 1 / labels)
    for row, category in enumerate(categories):
        said = [told[one] for one in sorted(set(classes.get(category, ()))) if one in told]
        if said:
            found[row] = np.mean(said, axis=0)
    return found


def class_table(
    classes: Sequence[str],
    names: Sequence[str],
    found: Floats,
    evidence: Sequence[str],
    labels: Sequence[str],
    counts: Mapping[str, int],
) -> pd.DataFrame:
    """One proposal a class that says something (columns COLUMNS), in the order of `classes`.

    counts: how many categories without a label have the class: those that the proposal settles.
    """
    rounded = np.round(found, DECIMALS)
    order = np.argsort(-rounded, axis=1, kind="stable")
    rows = []
    for row, (qid, name) in enumerate(zip(classes, names, strict=True)):
        best, second = order[row, :2]
        if rounded[row, best] > rounded[row, second]:
            margin = round(float(rounded[row, best] - rounded[row, second]), DECIMALS)
            rows.append(
                (
                    qid,
                    name,
                    labels[best],
                    float(rounded[row, best]),
                    margin,
                    evidence[row],
                    counts.get(qid, 0),
                )
            )
    frame = pd.DataFrame(rows, columns=COLUMNS)
    text = dict.fromkeys(("class", "label", "hierarchical_label", "evidence"), "str")
    numbers = {"score": "float64", "margin": "float64", "categories": "int64"}
    return frame.astype(text | numbers)
