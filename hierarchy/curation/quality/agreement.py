"""How far annotators agree: Krippendorff's alpha, pairwise agreement, and the labels that they confuse.

The functions take the verdicts that `newest` returns: one per annotator and category. "No label" is a label like any
other here. Krippendorff, Content Analysis, 2nd ed. (2004), chapter 11.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]


def judged_twice(verdicts: pd.DataFrame) -> int:
    """The number of categories with the verdicts of at least two annotators."""
    return int((verdicts["category"].value_counts() > 1).sum())


def nominal_distance(labels: Sequence[str]) -> Array:
    """(V, V) distances of labels: 0 for the same label, 1 otherwise."""
    return 1.0 - np.eye(len(labels))


def hierarchy_distance(labels: Sequence[str], natures: Mapping[str, str]) -> Array:
    """(V, V) distances of labels: 0 for the same label, 1/2 for labels of the same nature, 1 otherwise.

    "No label" (the empty text) has the distance 1 from every label. natures: label → natural or human-made.

    >>> natures = {"lake": "natural", "cave": "natural", "church": "human-made"}
    >>> hierarchy_distance(["", "cave", "church", "lake"], natures).tolist()
    [[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.5], [1.0, 1.0, 0.0, 1.0], [1.0, 0.5, 1.0, 0.0]]
    """
    of_label = np.array([natures.get(label, "") for label in labels], dtype=object)
    related = (of_label[:, None] == of_label[None, :]) & (of_label != "")
    return np.where(related, 0.5, 1.0) * nominal_distance(labels)


def coincidences(verdicts: pd.DataFrame) -> tuple[list[str], Array]:
    """The labels, sorted, and Krippendorff's coincidence matrix (V, V) of them.

    o[c, k] = sum over the categories of (number of c-k pairs of verdicts of different annotators) / (m - 1), where m
    is the number of verdicts on the category. Categories with one verdict do not count, so the matrix is empty where
    nothing was judged twice.
    """
    paired = verdicts[verdicts.groupby("category")["annotator"].transform("size") > 1]
    rows, _ = pd.factorize(paired["category"])
    columns, labels = pd.factorize(paired["hierarchical_label"], sort=True)
    counts = np.zeros((int(rows.max(initial=-1)) + 1, len(labels)))
    np.add.at(counts, (rows, columns), 1.0)
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    return [str(label) for label in labels], weighted.T @ counts - np.diag(weighted.sum(axis=0))


def krippendorff_alpha(coincidence: Array, distance: Array) -> float:
    """Krippendorff's alpha = 1 - D_o / D_e, at most 1; 0 is the agreement of chance.

    D_o = sum o[c, k] d²[c, k] / n, D_e = sum n[c] n[k] d²[c, k] / (n (n - 1)), with n[c] = sum over k of o[c, k] and
    n = sum over c of n[c]. NaN where D_e is 0: nothing was judged twice, or all verdicts are the same label.

    coincidence: from `coincidences`; distance: (V, V) d of its labels, with a zero diagonal.
    """
    squared = distance**2
    totals = coincidence.sum(axis=1)
    expected = float(totals @ squared @ totals)
    if expected == 0:
        return float("nan")
    return 1.0 - (float(totals.sum()) - 1.0) * float((coincidence * squared).sum()) / expected


def pairwise_agreement(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Per pair of annotators: the number of categories that both judged, and the fraction with the same label.

    Columns first, second, categories, agreement (NaN where both judged nothing), sorted by the names.
    """
    label_of = {name: group.set_index("category")["hierarchical_label"] for name, group in _by_annotator(verdicts)}
    rows = []
    for first, second in combinations(sorted(label_of), 2):
        both = pd.concat([label_of[first], label_of[second]], axis=1, join="inner", keys=["first", "second"])
        same = both["first"] == both["second"]
        rows.append((first, second, len(both), float(same.mean()) if len(both) else float("nan")))
    return pd.DataFrame(rows, columns=["first", "second", "categories", "agreement"])


def _by_annotator(verdicts: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), group) for name, group in verdicts.groupby("annotator", sort=True)]


def confusions(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Pairs of different labels that two annotators gave to one category, the most frequent first.

    Columns first, second (in alphabetical order), count: the number of pairs of verdicts.
    """
    counts: dict[tuple[str, str], int] = {}
    for _, labels in verdicts.groupby("category", sort=True)["hierarchical_label"]:
        for first, second in combinations(sorted(labels), 2):
            if first != second:
                counts[first, second] = counts.get((first, second), 0) + 1
    rows = [(first, second, count) for (first, second), count in counts.items()]
    rows.sort(key=lambda row: (-row[2], row[0], row[1]))
    return pd.DataFrame(rows, columns=["first", "second", "count"])
