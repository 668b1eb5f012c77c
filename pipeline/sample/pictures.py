"""Which pictures the sample world has: for each landmark how many, in which split, under which id."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.pipeline.sample.draw import SHAPES, Landmark, shape_of
from hgld.pipeline.sample.look import seeded

COLUMNS = ["category", "train_landmark_id", "index_landmark_id", "drawn_as", "queries", "note"]

TRAIN_VIEWS = (4, 14)
INDEX_VIEWS = (3, 8)
FIRST_VIEW = {"train": 0, "index": 100, "test": 200}
"""Views are numbered apart, so no picture of a landmark is in two splits."""

CLUTTER_SHARE = 0.03
STRAY_QUERIES = 15
UNCLEAN_LANDMARKS = 0.1
UNCLEAN_PICTURES = 0.12
PUBLIC_SHARE = 1 / 3


@dataclass(frozen=True)
class Place:
    """One row of landmarks.csv; an id is empty where the landmark is not in that split."""

    category: str
    train_id: str
    index_id: str
    drawn_as: str
    queries: int


@dataclass(frozen=True)
class Picture:
    """One image: what is drawn (`shown`, `view`) and whose it is said to be (`place`; None: nobody's)."""

    id: str
    split: str
    place: Place | None
    shown: Landmark
    view: int
    clean: bool
    """Shows its landmark and was kept by the cleaning (train_clean.csv)."""

    public: bool


def read_places(path: Path) -> list[Place]:
    """The landmarks of landmarks.csv by category, so the order of its rows plays no role.

    Raises HgldError for a label without drawing, a category or id given twice, an id or a count that is no
    number, a landmark in neither split, or queries for a landmark that is not in the index.
    """
    rows = read_csv(path, COLUMNS)
    for column in ("category", "train_landmark_id", "index_landmark_id"):
        given = rows.loc[rows[column] != "", column]
        if given.duplicated().any():
            raise HgldError(
                f"{path}: {column} {given[given.duplicated()].iloc[0]!r} is given twice; make it unique"
            )
    places = [_place(path, row) for row in rows.sort_values("category").itertuples(index=False)]
    if not places:
        raise HgldError(f"{path}: no landmarks; the sample needs at least one row")
    return places


def _place(path: Path, values: Iterable[str]) -> Place:
    row = dict(zip(COLUMNS, values, strict=True))
    where = f"{path}: {row['category']!r}"
    for column in ("train_landmark_id", "index_landmark_id", "queries"):
        if not row[column].isdecimal() and not (column != "queries" and row[column] == ""):
            raise HgldError(f"{where}: {column} must be a whole number, found {row[column]!r}")
    place = Place(
        row["category"],
        row["train_landmark_id"],
        row["index_landmark_id"],
        row["drawn_as"],
        int(row["queries"]),
    )
    if not (place.train_id or place.index_id):
        raise HgldError(f"{where}: in neither split; give a train_landmark_id, an index_landmark_id or both")
    if place.queries and not place.index_id:
        raise HgldError(f"{where}: {place.queries} queries, but nothing in the index; set queries to 0")
    shape_of(Landmark(place.category, place.drawn_as))
    return place


def pictures_of(place: Place) -> list[Picture]:
    """All pictures of one landmark, in train, index and test."""
    r = seeded("pictures", place.category)
    kept = r.random() >= UNCLEAN_LANDMARKS
    counts = {
        "train": _long_tail(r.random(), TRAIN_VIEWS) if place.train_id else 0,
        "index": _long_tail(r.random(), INDEX_VIEWS) if place.index_id else 0,
        "test": place.queries,
    }
    return [
        _picture(place, split, number, kept) for split, count in counts.items() for number in range(count)
    ]


def _long_tail(chance: float, bounds: tuple[int, int]) -> int:
    """Mostly few, seldom many: like GLDv2, where half of the landmarks have a handful of pictures."""
    low, high = bounds
    return low + int((high - low + 1) * chance**1.35)


def _picture(place: Place, split: str, number: int, kept: bool) -> Picture:
    view = FIRST_VIEW[split] + number
    r = seeded("picture", split, place.category, view)
    shown = Landmark(place.category, place.drawn_as)
    strays = split == "train" and r.random() < CLUTTER_SHARE
    if strays:
        shown = Landmark(f"clutter {view} near {place.category}", r.choice(sorted(SHAPES)))
    clean = split == "train" and kept and not strays and r.random() >= UNCLEAN_PICTURES
    return Picture(
        image_id(split, place.category, view), split, place, shown, view, clean, r.random() < PUBLIC_SHARE
    )


def stray_queries() -> list[Picture]:
    """Test images that show no landmark of the index, as most of GLDv2's do."""
    strays = []
    for number in range(STRAY_QUERIES):
        r = seeded("stray", number)
        shown, view = Landmark(f"stray {number}", r.choice(sorted(SHAPES))), FIRST_VIEW["test"]
        name = image_id("test", shown.category, view)
        strays.append(Picture(name, "test", None, shown, view, False, r.random() < PUBLIC_SHARE))
    return strays


def image_id(split: str, category: str, view: int) -> str:
    """16 hex digits, as GLDv2 names its images."""
    return hashlib.sha256(f"{split}\x1f{category}\x1f{view}".encode()).hexdigest()[:16]


def all_pictures(places: list[Place]) -> pd.DataFrame:
    """Every picture of the world, sorted by id: one row each, with its Picture in column `picture`."""
    pictures = [picture for place in places for picture in pictures_of(place)] + stray_queries()
    rows = [{"id": picture.id, "split": picture.split, "picture": picture} for picture in pictures]
    return pd.DataFrame(rows).sort_values("id", ignore_index=True)
