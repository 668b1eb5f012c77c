"""Class names as evidence: label probabilities and proposals for classes without a path to an anchor.

A class is labelled by its English name, with the rules (name_rules) or, where none matches, the text classifier trained
on the lexicons alone. A proposal for a class settles all its landmarks at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.fusion.proposals import top_two
from hgld.hierarchy.names.name_classifier import NameClassifier
from hgld.hierarchy.names.name_rules import SCORES, NameRules, Prediction
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy

COLUMNS = ["class", "label", "hierarchical_label", "score", "margin", "evidence", "categories"]

# added to every probability, so that a row whose labels are all missing becomes uniform
_EPSILON = 1e-9


def class_probabilities(
    names: Sequence[str], labels: Sequence[str], rules: NameRules, classifier: Callable[[], NameClassifier]
) -> tuple[Floats, list[str]]:
    """The probabilities (N, L) of the labels for classes with these names, rows sum to 1, and the evidence (N,).

    classifier: makes the text classifier; called only if no rule matches some name, as fitting it takes seconds.

    The row of an empty name, or of a kind without a label, is uniform.
    """
    columns = {label: column for column, label in enumerate(labels)}
    probabilities = np.full((len(names), len(labels)), 1 / len(labels))
    evidence = [""] * len(names)
    unmatched = []
    for row, name in enumerate(names):
        prediction = rules.predict(name)
        evidence[row] = prediction.evidence
        if prediction.hierarchical_label in columns:
            probabilities[row] = (1 - prediction.score) / (len(labels) - 1)
            probabilities[row, columns[prediction.hierarchical_label]] = prediction.score
        elif name and not prediction.evidence:
            unmatched.append(row)
            evidence[row] = "class text"
    if unmatched:
        model = classifier()
        predicted = model.probabilities([names[row] for row in unmatched])
        probabilities[unmatched] = align_labels(predicted, model.labels, labels)
    return probabilities, evidence


def best_class_by_name(
    classes: Mapping[str, str], rules: NameRules, taxonomy: Taxonomy
) -> tuple[str, Prediction] | None:
    """Of an item's classes (QID → English name) the one whose name decides the item's label, and its prediction.

    Only matches of the whole name or its head count. Of several, the label with the lowest precedence in the taxonomy
    decides, then the lowest QID number. None if there is no match.
    """
    precedences = taxonomy.precedences
    predictions = {qid: rules.predict(name) for qid, name in classes.items()}
    confident = [
        qid
        for qid, prediction in predictions.items()
        if prediction.hierarchical_label in precedences and prediction.score >= SCORES["head"]
    ]
    if not confident:
        return None
    best = min(confident, key=lambda qid: (precedences[predictions[qid].hierarchical_label], qid_number(qid)))
    return best, predictions[best]


def align_labels(probabilities: Floats, own_labels: Sequence[str], labels: Sequence[str]) -> Floats:
    """Probabilities (N, K) of `own_labels` as (N, L) of `labels`: other labels are dropped, and rows again sum to 1."""
    own_columns = {label: column for column, label in enumerate(own_labels)}
    aligned = np.zeros((len(probabilities), len(labels)))
    for column, label in enumerate(labels):
        if label in own_columns:
            aligned[:, column] = probabilities[:, own_columns[label]]
    aligned += _EPSILON
    return np.asarray(aligned / aligned.sum(axis=1, keepdims=True), dtype=np.float64)


def mean_by_category(
    categories: Sequence[str],
    classes: Mapping[str, Iterable[str]],
    probabilities: Mapping[str, Floats],
    labels: int,
) -> Floats:
    """(C, L): the mean probabilities of each category's informative classes; uniform without one.

    classes: category → its classes; probabilities: informative class → (L,).
    """
    means = np.full((len(categories), labels), 1 / labels)
    for row, category in enumerate(categories):
        own = [probabilities[qid] for qid in sorted(set(classes.get(category, ()))) if qid in probabilities]
        if own:
            means[row] = np.mean(own, axis=0)
    return means


def propose_classes(
    classes: Sequence[str],
    names: Sequence[str],
    probabilities: Floats,
    evidence: Sequence[str],
    labels: Sequence[str],
    counts: Mapping[str, int],
) -> pd.DataFrame:
    """One proposal per class with a margin above 0 (columns COLUMNS), in the order of `classes`.

    classes (N,) QIDs, their names (N,), probabilities (N, L) and evidence (N,). counts: class → the number of
    unlabelled categories that have it, which the proposal settles.
    """
    top = top_two(probabilities)
    table = pd.DataFrame(
        {
            "class": list(classes),
            "label": list(names),
            "hierarchical_label": np.asarray(labels, dtype=object)[top.best],
            "score": top.score,
            "margin": top.margin,
            "evidence": list(evidence),
            "categories": [counts.get(qid, 0) for qid in classes],
        },
        columns=COLUMNS,
    )
    text = dict.fromkeys(("class", "label", "hierarchical_label", "evidence"), "str")
    numbers = {"score": "float64", "margin": "float64", "categories": "int64"}
    return table[table["margin"] > 0].reset_index(drop=True).astype(text | numbers)
