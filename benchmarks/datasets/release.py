"""The release as a dataset: train images, test images as queries, index images as the gallery.

Levels are named finest first, by default landmark, hierarchical_label, natural_or_human_made (supercategory is the
fourth). `landmark` is the Commons category: train and index number their landmarks independently, and the category
links them. Every level has **one** enumeration over the three roles, in sorted order of the names.

A second axis is where a landmark is: landmark, country, continent. The two can be mixed, each in its own order, as in
landmark, hierarchical_label, continent: agreement is counted from the coarsest level, so the middle level is then "the
same kind of place on the same continent". A place with several countries or continents (`CH|FR`) has a class of
exactly these.

A missing coarse label or place ("" in the release) means that the image agrees with images of its own landmark at every
level, and with nothing else. At that level it therefore gets a class of its own landmark alone; the agreement counted
from the coarsest level is then exactly what is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import read_json, remedy
from hgld.foundation.tables import parquet_columns, read_parquet
from hgld.foundation.tar_images import ImageTars

LEVELS = ("landmark", "supercategory", "hierarchical_label", "natural_or_human_made")
PLACES = ("country", "continent")
AXES = (LEVELS, ("landmark", *PLACES))
DEFAULT_LEVELS = ("landmark", "hierarchical_label", "natural_or_human_made")
COLUMNS = ("category", "supercategory", "hierarchical_label", "natural_or_human_made")
USAGES = ("Public", "Private")


@dataclass(frozen=True)
class ReleaseImages:
    """The images of one role: ids and Commons categories (n), labels (n, L) int64, and the tars to read from."""

    ids: list[str]
    categories: list[str]
    labels: Tensor
    tars: ImageTars

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, n: int) -> Image.Image:
        """Image n as RGB."""
        return self.tars.image(self.ids[n])

    def caption(self, n: int) -> str:
        """The Commons category of image n."""
        return self.categories[n]

    def fingerprint(self) -> str:
        """A hash that differs when an image has been replaced, or others are meant."""
        return self.tars.fingerprint(self.ids)


@contextmanager
def open_release(
    data: Path, levels: Sequence[str] = DEFAULT_LEVELS, *, clean_only: bool = True
) -> Iterator[RetrievalDataset]:
    """The release and the images below `data`, a profile's folder; the tars are closed at the end.

    train: images whose landmark has a label at every level, with `clean_only` only the clean ones. query: the Public
    and Private test images with a list of relevant images. gallery: every index image. Raises HgldError for an unknown
    level, a missing table, an image without a category and a role without images.
    """
    folder = data / "release"
    roles = numbered_roles(folder, levels, clean_only=clean_only)
    _, queries, index = roles.tables
    with ImageTars(data / "images" / "images.parquet", data / "images") as tars:
        images = [
            ReleaseImages(list(table["image_id"]), list(table["category"]), codes, tars)
            for table, codes in zip(roles.tables, roles.labels, strict=True)
        ]
        yield RetrievalDataset(
            train=images[0],
            query=images[1],
            gallery=images[2],
            levels=roles.levels,
            class_names=roles.class_names,
            query_columns=queries[["usage", *COLUMNS, *roles.places]].reset_index(drop=True),
            query_group="hierarchical_label",
            subsets={usage: list(queries["usage"] == usage) for usage in USAGES},
            label_sources=_label_sources(folder / "labels.parquet", queries["category"]),
            continents=list(queries["continent"]) if roles.places else (),
            left_out=roles.left_out,
            lists_differ=_lists_differ(queries, index),
        )


@dataclass(frozen=True)
class NumberedRoles:
    """The rows of train, query and gallery with their labels (n, L) int64, numbered alike.

    places: the columns of the place, () for a release without them; left_out: of the queries.
    """

    tables: list[pd.DataFrame]
    labels: list[Tensor]
    levels: tuple[str, ...]
    class_names: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    left_out: int


def numbered_roles(folder: Path, levels: Sequence[str], *, clean_only: bool) -> NumberedRoles:
    """The three roles of the release in `folder`, as `open_release` describes them. Raises HgldError as it does."""
    levels = known_levels(levels)
    places = _place_columns(folder, levels)
    columns = ["image_id", "landmark_id", *COLUMNS, *(level for level in levels if level in places)]
    train = _read_split(folder / "train.parquet", [*columns, "clean"])
    index = _read_split(folder / "index.parquet", columns)
    test = _read_split(folder / "test.parquet", ["image_id", "usage", "relevant", *COLUMNS, *places])
    queries = test[test["usage"].isin(USAGES) & (test["relevant"] != "")]
    coarse = [level for level in levels if level != "landmark"]
    labelled = train[(train[coarse] != "").all(axis=1)] if coarse else train
    tables = [labelled[labelled["clean"]] if clean_only else labelled, queries, index]
    for split, table in zip(("train", "test", "index"), tables, strict=True):
        _check_split(split, table, folder)
    labels, class_names = encode(tables, levels)
    return NumberedRoles(tables, labels, levels, class_names, places, len(test) - len(queries))


def _place_columns(folder: Path, levels: Sequence[str]) -> tuple[str, ...]:
    """The columns of the place, () for a release without them. Raises HgldError if a level needs them."""
    paths = [folder / f"{split}.parquet" for split in ("train", "index", "test")]
    if all(set(PLACES) <= set(parquet_columns(path)) for path in paths):
        return PLACES
    if wanted := [level for level in levels if level in PLACES]:
        raise HgldError(
            f"level {wanted[0]!r}: the release in {folder} does not say where its landmarks are; run: dvc repro release"
        )
    return ()


def _label_sources(path: Path, categories: pd.Series) -> list[str]:
    """What the label of each category rests on, "" for none; [] for a release without the table."""
    if not path.is_file():
        return []
    labels = read_parquet(path, ["category", "source"]).drop_duplicates("category").set_index("category")["source"]
    return list(categories.map(labels).fillna("").astype(str))


def _read_split(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table of the release: texts without missing values, `clean` a bool, each image once.

    Raises HgldError for any other table, and for one with another number of rows than metadata.json beside it states.
    """
    table = read_parquet(path, columns)
    faults = [
        f"column {name} is not {'true or false' if name == 'clean' else 'text'} in every row"
        for name in columns
        if table[name].isna().any()
        or not (pd.api.types.is_bool_dtype if name == "clean" else pd.api.types.is_string_dtype)(table[name])
    ]
    repeated = table.loc[table["image_id"].duplicated(), "image_id"]
    if len(repeated):
        faults.append(f"image {repeated.iloc[0]} is listed twice ({len(repeated)} such rows)")
    metadata = read_json(file) if (file := path.parent / "metadata.json").is_file() else {}
    rows = metadata.get("rows")
    if isinstance(rows, dict) and rows.get(path.name, len(table)) != len(table):
        faults.append(f"it has {len(table)} rows, and metadata.json says {rows[path.name]}")
    if faults:
        raise HgldError(f"{path}: not a table of this release: {'; '.join(faults)}; {remedy(path)}")
    return table


def known_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels as a tuple. Raises HgldError for unknown names, repeated names, and any order but finest first."""
    known = list(dict.fromkeys(level for axis in AXES for level in axis))
    for level in levels:
        if level not in known:
            raise HgldError(
                f"unknown level {level!r}{suggest(level, known)}; known, finest first: "
                f"{'; '.join(', '.join(axis) for axis in AXES)}"
            )
    for axis in AXES:
        own = [level for level in levels if level in axis]
        if not levels or own != sorted(set(own), key=axis.index) or "landmark" in levels[1:]:
            raise HgldError(f"levels {list(levels)} are not in the order finest first, each once: {', '.join(axis)}")
    return tuple(levels)


def _check_split(split: str, table: pd.DataFrame, folder: Path) -> None:
    path = folder / f"{split}.parquet"
    if table.empty:
        raise HgldError(f"{path}: no usable image; check the release and train.levels")
    nameless = table.loc[table["category"] == "", "image_id"]
    if len(nameless):
        raise HgldError(
            f"{path}: image {nameless.iloc[0]} has no category ({len(nameless)} in total); run dvc repro release"
        )


def encode(tables: Sequence[pd.DataFrame], levels: Sequence[str]) -> tuple[list[Tensor], tuple[tuple[str, ...], ...]]:
    """Number the labels of several tables (n_i rows, COLUMNS and the levels) with one enumeration per level.

    -> one (n_i, L) int64 tensor per table, and per level the class names in the order of the numbers. A missing label
    becomes a class of its category alone, sorted as `? <category>`, with the name "".
    """
    ends = np.cumsum([len(table) for table in tables])[:-1]
    columns = list(dict.fromkeys([*COLUMNS, *(level for level in levels if level != "landmark")]))
    rows = pd.concat([table[columns] for table in tables], ignore_index=True)
    codes, class_names = [], []
    for level in levels:
        text = rows["category" if level == "landmark" else level]
        missing = (text == "").to_numpy(dtype=bool)
        text = text.where(text != "", "? " + rows["category"])
        names, numbers = np.unique(text.to_numpy(dtype=object).astype(str), return_inverse=True)
        codes.append(numbers.astype(np.int64))
        nameless = set(numbers[missing].tolist())
        class_names.append(tuple("" if n in nameless else str(name) for n, name in enumerate(names)))
    labels = np.split(np.stack(codes, axis=1), ends)
    return [torch.from_numpy(part.copy()) for part in labels], tuple(class_names)


def _lists_differ(queries: pd.DataFrame, index: pd.DataFrame) -> int:
    """Number of queries whose list of relevant images is not the set of index images of their category."""
    candidates = index[index["category"].isin(queries["category"])]
    of_category = candidates.groupby("category")["image_id"].agg(set)
    return sum(
        set(relevant.split()) != of_category.get(category, set())
        for relevant, category in zip(queries["relevant"], queries["category"], strict=True)
    )
