"""The accuracy of proposals for unlabelled landmarks, where a file of true labels exists, as for the sample."""

from pathlib import Path

import pandas as pd

from hgld.foundation.tables import read_csv
from hgld.hierarchy.taxonomy.commons_category import normalise


def unlabelled_accuracy(proposals: pd.DataFrame, truth: Path) -> tuple[float, int]:
    """The fraction of proposals (category, hierarchical_label) that equal the true label, and how many have one.

    truth: a CSV with the columns category (in any spelling) and drawn_as (the label); used for measuring only. (NaN, 0)
    when it has none of the categories.

    Raises HgldError when the file is missing or lacks these columns.
    """
    table = read_csv(truth, ["category", "drawn_as"], extra=True)
    true_label = dict(zip(table["category"].map(normalise), table["drawn_as"], strict=True))
    pairs = [
        (label, true_label[category])
        for category, label in zip(proposals["category"], proposals["hierarchical_label"], strict=True)
        if category in true_label
    ]
    correct = sum(proposed == true for proposed, true in pairs)
    return (correct / len(pairs) if pairs else float("nan")), len(pairs)
