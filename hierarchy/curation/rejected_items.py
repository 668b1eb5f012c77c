"""The items that verdicts reject as another place than the category: found, and left out of the candidates."""

from pathlib import Path

import pandas as pd

from hgld.foundation.tables import read_csv

COLUMNS = ["category", "qid"]


def rejected_items(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Category and rejected item (columns COLUMNS). verdicts: the settled ones on landmarks."""
    rows = verdicts.loc[verdicts["rejected_item"] != "", ["category", "rejected_item"]]
    return rows.set_axis(COLUMNS, axis=1).reset_index(drop=True)


def read_rejected(path: Path) -> pd.DataFrame:
    """The table that the stage `check` writes; empty where it has not run."""
    return read_csv(path, COLUMNS) if path.is_file() else pd.DataFrame(columns=COLUMNS, dtype="str")


def without_rejected(items: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """The candidate items of the categories without the rejected ones; the next candidate takes over.

    items: one row per category and candidate, as of the stage `wikidata`; rejected: columns COLUMNS. A category that
    has no other candidate keeps a row, without an item, whose method is "none".
    """
    pairs = set(zip(rejected["category"], rejected["qid"], strict=True))
    own = zip(items["category"], items["qid"], strict=True)
    wrong = pd.Series([pair in pairs for pair in own], items.index, dtype="bool")
    empty = items[wrong].assign(qid="", method="none", confidence="").drop_duplicates("category")
    empty = empty[~empty["category"].isin(set(items.loc[~wrong, "category"]))]
    return pd.concat([items[~wrong], empty], ignore_index=True)
