"""The pictures of the sample: how many of each landmark, in which split, with which id."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.foundation.text_input import whole_number
from hgld.pipeline.sample.draw import SHAPES, Landmark, shape_of
from hgld.pipeline.sample.look import seeded

COLUMNS = ["category", "train_landmark_id", "index_landmark_id", "drawn_as", "queries", "note"]

TRAIN_VIEWS = (4, 14)
INDEX_VIEWS = (3, 8)
FIRST_VIEW = {"train": 0, "index": 100, "test": 200}
"""Disjoint ranges, so that no view of a landmark is in two splits."""

CLUTTER_FRACTION = 0.03
STRAY_QUERIES = 15
UNCLEAN_LANDMARKS = 0.1
UNCLEAN_PICTURES = 0.12
PUBLIC_FRACTION = 1 / 3


@dataclass(frozen=True)
class LandmarkRow:
    """One row of landmarks.csv; an id is empty where the landmark is not in that split."""

    category: str
    train_id: str
    index_id: str
    drawn_as: str
    queries: int


@dataclass(frozen=True)
class Picture:
    """One image: what it shows (`shown`, `view`) and the landmark that the metadata give it (None: no landmark)."""

    id: str
    split: str
    labelled_as: LandmarkRow | None
    shown: Landmark
    view: int
    clean: bool
    """Whether it shows its landmark and passed the cleaning (train_clean.csv)."""

    public: bool


def read_landmarks(path: Path) -> list[LandmarkRow]:
    """The rows of landmarks.csv, sorted by category.

    Raises HgldError for a label without a drawing, a duplicate category or id, an id or a count that is not a whole
    number, a landmark in neither split, and queries for a landmark that is not in the index.
    """
    table = read_csv(path, COLUMNS)
    for column in ("category", "train_landmark_id", "index_landmark_id"):
        values = table.loc[table[column] != "", column]
        if values.duplicated().any():
            raise HgldError(f"{path}: {column} {values[values.duplicated()].iloc[0]!r} is given twice; make it unique")
    rows = [_landmark_row(path, values) for values in table.sort_values("category").itertuples(index=False)]
    if not rows:
        raise HgldError(f"{path}: no landmarks; the sample needs at least one row")
    return rows


def _landmark_row(path: Path, values: Iterable[str]) -> LandmarkRow:
    cells = dict(zip(COLUMNS, values, strict=True))
    where = f"{path}: {cells['category']!r}"
    for column in ("train_landmark_id", "index_landmark_id", "queries"):
        if whole_number(cells[column]) is None and not (column != "queries" and cells[column] == ""):
            raise HgldError(f"{where}: {column} must be a whole number, found {cells[column]!r}")
    row = LandmarkRow(
        cells["category"],
        cells["train_landmark_id"],
        cells["index_landmark_id"],
        cells["drawn_as"],
        int(cells["queries"]),
    )
    if not (row.train_id or row.index_id):
        raise HgldError(f"{where}: in neither split; give a train_landmark_id, an index_landmark_id or both")
    if row.queries and not row.index_id:
        raise HgldError(f"{where}: {row.queries} queries, but nothing in the index; set queries to 0")
    shape_of(Landmark(row.category, row.drawn_as))
    return row


def pictures_of(row: LandmarkRow) -> list[Picture]:
    """All pictures of one landmark, in train, index and test."""
    r = seeded("pictures", row.category)
    kept = r.random() >= UNCLEAN_LANDMARKS
    counts = {
        "train": _long_tail(r.random(), TRAIN_VIEWS) if row.train_id else 0,
        "index": _long_tail(r.random(), INDEX_VIEWS) if row.index_id else 0,
        "test": row.queries,
    }
    return [_picture(row, split, number, kept) for split, count in counts.items() for number in range(count)]


def _long_tail(quantile: float, bounds: tuple[int, int]) -> int:
    """A count within the bounds, skewed towards the lower one: like in GLDv2, most landmarks have few pictures."""
    low, high = bounds
    return low + int((high - low + 1) * quantile**1.35)


def _picture(row: LandmarkRow, split: str, number: int, kept: bool) -> Picture:
    view = FIRST_VIEW[split] + number
    r = seeded("picture", split, row.category, view)
    shown = Landmark(row.category, row.drawn_as)
    stray = split == "train" and r.random() < CLUTTER_FRACTION
    if stray:
        shown = Landmark(f"clutter {view} near {row.category}", r.choice(sorted(SHAPES)))
    clean = split == "train" and kept and not stray and r.random() >= UNCLEAN_PICTURES
    public = r.random() < PUBLIC_FRACTION
    return Picture(image_id(split, row.category, view), split, row, shown, view, clean, public)


def stray_queries() -> list[Picture]:
    """Test images that show no landmark of the index, like most of GLDv2's."""
    strays = []
    for number in range(STRAY_QUERIES):
        r = seeded("stray", number)
        shown, view = Landmark(f"stray {number}", r.choice(sorted(SHAPES))), FIRST_VIEW["test"]
        name = image_id("test", shown.category, view)
        strays.append(Picture(name, "test", None, shown, view, False, r.random() < PUBLIC_FRACTION))
    return strays


def image_id(split: str, category: str, view: int) -> str:
    """16 hex digits, like GLDv2's image ids."""
    return hashlib.sha256(f"{split}\x1f{category}\x1f{view}".encode()).hexdigest()[:16]


def all_pictures(rows: list[LandmarkRow]) -> list[Picture]:
    """Every picture of the sample, sorted by id."""
    pictures = [picture for row in rows for picture in pictures_of(row)] + stray_queries()
    return sorted(pictures, key=lambda picture: picture.id)
