"""How often the proposals are right about the sample's unlabelled landmarks, whose truth only the sample knows."""

from pathlib import Path

import pandas as pd

from hgld.foundation.tables import read_csv
from hgld.hierarchy.taxonomy.commons_category import normalise


def unlabelled_accuracy(proposals: pd.DataFrame, truth: Path) -> tuple[float, int]:
    """The share of proposals (category, hierarchical_label) that name what `truth` says, and how many it speaks of.

    truth: a CSV with the columns category (any spelling of it) and drawn_as (its label). It measures; nothing that
    is proposed, decided or released ever comes from it. (NaN, 0) when it knows none of the categories.

    Raises HgldError when the file is missing or has other columns.
    """
    table = read_csv(truth, ["category", "drawn_as"], extra=True)
    known = dict(zip(table["category"].map(normalise), table["drawn_as"], strict=True))
    pairs = [
        (label, known[category])
        for category, label in zip(proposals["category"], proposals["hierarchical_label"], strict=True)
        if category in known
    ]
    if not pairs:
        return float("nan"), 0
    return sum(proposed == true for proposed, true in pairs) / len(pairs), len(pairs)
