"""What follows from verdicts: the newest of each annotator, those that all agree on, and those that are out of date."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from hgld.hierarchy.curation.verdict import instant


def newest(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The newest row of each annotator and category; of rows of the same time, the last; sorted by category."""
    by_time = verdicts.assign(instant=verdicts["decided_on"].map(instant).astype("str"))
    by_time = by_time.sort_values("instant", kind="stable", ignore_index=True)
    last = by_time.drop_duplicates(["annotator", "category"], keep="last")
    return last.sort_values(["category", "instant", "annotator"], ignore_index=True).drop(columns="instant")


def settled(verdicts: pd.DataFrame, adjudicators: Collection[str] = ()) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(accepted, conflicts): one row per category on which all annotators agree; and every row of the others.

    The newest row of an annotator and category counts (see newest). Where several annotators agree, the row has the
    latest time, and its annotator column names all of them.

    verdicts: all of one kind. adjudicators: on a category that one of them has judged, only their verdicts count.
    """
    last = newest(verdicts)
    by_adjudicator = last["annotator"].isin(list(adjudicators))
    decided = by_adjudicator.groupby(last["category"]).transform("any").astype("bool")
    last = last[by_adjudicator | ~decided]
    opinions = last.groupby("category", sort=True)["hierarchical_label"].transform("nunique")
    agreed = last[opinions == 1]
    names = agreed.groupby("category", sort=True)["annotator"].agg(lambda group: ", ".join(sorted(group)))
    accepted = agreed.drop_duplicates("category", keep="last").reset_index(drop=True)
    accepted["annotator"] = accepted["category"].map(names).astype("str")
    return accepted, last[opinions > 1].reset_index(drop=True)


def is_stale(verdict: Mapping[Any, Any], label: str) -> bool:
    """Whether the current suggestion is a label that the annotator of `verdict` was not asked about.

    label: the current suggestion, "" for none. A verdict is not stale when it records no suggestion, when its own
    label is the current suggestion, or when there is none now; a new source of the same label does not matter.

    >>> is_stale({"hierarchical_label": "church", "suggested_label": "church", "suggested_by": "clip"}, "lake")
    True
    """
    recorded = bool(verdict["suggested_by"])
    return recorded and label not in ("", verdict["suggested_label"], verdict["hierarchical_label"])
