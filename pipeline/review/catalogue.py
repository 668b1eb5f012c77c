"""Every landmark of the release with its label, for browsing: by label, by class, and by search."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
from anyascii import anyascii

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.hierarchy.fusion.evidence_kinds import titles
from hgld.hierarchy.taxonomy.qid import QID
from hgld.pipeline.dataset.landmarks import SPLITS, image_counts, landmark_table

PAGE = 60
LABELS = ["category", "supercategory", "hierarchical_label", "natural_or_human_made", "source", "qid", "annotator",
          "decided_on"]  # fmt: skip
EVIDENCE = [
    "category",
    "source",
    "hierarchical_label",
    "qid",
    "path",
    "score",
    "margin",
    "annotator",
    "decided_on",
    "note",
]
NO_LABEL = "(no label)"


class Group(NamedTuple):
    """Landmarks with a value in common, such as a label: how many there are, and how many images they have."""

    name: str
    landmarks: int
    images: int


@dataclass(frozen=True)
class Listing:
    """A page of landmarks, most images first. page: from 1; pages: how many there are; total: landmarks on all."""

    rows: Sequence[dict[str, Any]]
    page: int
    pages: int
    total: int


class UnknownLandmarkError(HgldError):
    """No landmark of the release has this name."""


class Catalogue:
    """The landmarks of a release, one row per category. A category without a label has the label NO_LABEL.

    Raises HgldError where the release is missing or damaged.
    """

    def __init__(self, params: Params) -> None:
        labels = read_parquet(params.data / "release" / "labels.parquet", LABELS)
        self._evidence = read_parquet(params.data / "release" / "evidence.parquet", EVIDENCE)
        self._evidence_rows = self._evidence.groupby("category", sort=False).indices
        tables = [landmark_table(params, split).assign(split=split) for split in SPLITS]
        ids = pd.concat(tables)
        ids = ids.assign(text=ids["split"] + " " + ids["landmark_id"])
        table = labels.assign(
            images=labels["category"].map(image_counts(params)).fillna(0).astype("int64"),
            ids=labels["category"].map(ids.groupby("category")["text"].agg(", ".join)).fillna(""),
            label=labels["hierarchical_label"].str.strip().replace("", NO_LABEL),
            search=[_searchable(name) for name in labels["category"]],
        )
        self._table = table.sort_values(["images", "category"], ascending=[False, True], ignore_index=True)
        self._place = {str(name): place for place, name in enumerate(self._table["category"])}
        self._of_id: dict[str, list[str]] = {}
        for landmark, category in zip(ids["landmark_id"], ids["category"], strict=True):
            self._of_id.setdefault(str(landmark), []).append(str(category))

    def __len__(self) -> int:
        return len(self._table)

    def natures(self) -> dict[str, list[Group]]:
        """Natural and human-made, and what has no label, each with its labels, most landmarks first."""
        table = self._table.assign(nature=self._table["natural_or_human_made"].replace("", NO_LABEL))
        groups = {str(nature): _groups(part, "label") for nature, part in table.groupby("nature")}
        return dict(sorted(groups.items(), key=lambda pair: (pair[0] == NO_LABEL, pair[0])))

    def classes(self, label: str) -> list[Group]:
        """The supercategories of a label, most landmarks first."""
        part = self._table[self._table["label"] == label]
        return _groups(part[part["supercategory"] != ""], "supercategory")

    def listing(self, label: str = "", supercategory: str = "", query: str = "", page: int = 1) -> Listing:
        """A page of the landmarks that have a label, a class, and what was searched for."""
        table = self._table
        if label:
            table = table[table["label"] == label]
        if supercategory:
            table = table[table["supercategory"] == supercategory]
        if query:
            table = (
                table[table["category"].isin(self._found(query))] if self._is_key(query) else _matching(table, query)
            )
        pages = max(1, -(-len(table) // PAGE))
        page = min(max(1, page), pages)
        rows = table.iloc[(page - 1) * PAGE : page * PAGE]
        columns = ["category", "label", "supercategory", "source", "images"]
        return Listing([_row(row) for row in rows[columns].to_dict("records")], page, pages, len(table))

    def _is_key(self, query: str) -> bool:
        """Whether this is a landmark id or a QID."""
        return query in self._of_id or bool(re.fullmatch(QID, query))

    def _found(self, key: str) -> list[str]:
        """The categories with an id or a QID."""
        by_item = self._table.loc[self._table["qid"] == key, "category"]
        return [*self._of_id.get(key, []), *by_item]

    def landmark(self, category: str) -> dict[str, Any]:
        """A landmark with every piece of evidence for its label. Raises UnknownLandmarkError."""
        place = self._place.get(category)
        if place is None:
            raise UnknownLandmarkError(f"no landmark {category!r} in the release")
        row = _row(self._table.iloc[place].to_dict())
        found = self._evidence.iloc[self._evidence_rows.get(category, [])].to_dict("records")
        known = titles()
        row["evidence"] = [{**_row(one), "title": known.get(one["source"], one["source"])} for one in found]
        row["by"] = known.get(row["source"], row["source"])
        return row


def _groups(table: pd.DataFrame, column: str) -> list[Group]:
    counts = table.groupby(column).agg(landmarks=("category", "size"), images=("images", "sum")).reset_index()
    counts = counts.sort_values(["landmarks", column], ascending=[False, True])
    return [Group(str(row[column]), int(row["landmarks"]), int(row["images"])) for row in counts.to_dict("records")]


def _matching(table: pd.DataFrame, query: str) -> pd.DataFrame:
    """The rows whose name has every word of the query, whatever its accents and capitals, or whose label it is."""
    chosen = pd.Series(data=True, index=table.index)
    for word in _searchable(query).split():
        chosen &= table["search"].str.contains(word, regex=False)
    return table[chosen | (table["label"].str.lower() == query.strip().lower())]


def _searchable(name: str) -> str:
    return anyascii(name).lower()


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    """A row of a table as plain values; missing numbers are None."""
    return {str(name): None if value != value else value for name, value in row.items()}
