"""The release as a dataset: train images, test images as queries, index images as the gallery.

Levels are named finest first, by default landmark, hierarchical_label, natural_or_human_made (supercategory is the
fourth). `landmark` is the Commons category: train and index number their landmarks independently, and the category
links them. Every level has **one** enumeration over the three roles, in sorted order of the names.

A missing coarse label ("" in the release) means that the image agrees with images of its own landmark at every level,
and with nothing else. At that level it therefore gets a class of its own landmark alone; the agreement counted from
the coarsest level is then exactly what is known.
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
from hgld.foundation.tables import read_parquet
from hgld.foundation.tar_images import ImageTars

LEVELS = ("landmark", "supercategory", "hierarchical_label", "natural_or_human_made")
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


@contextmanager
def open_release(
    data: Path, levels: Sequence[str] = DEFAULT_LEVELS, *, clean_only: bool = True
) -> Iterator[RetrievalDataset]:
    """The release and the images below `data`, a profile's folder; the tars are closed at the end.

    train: images whose landmark has a label at every level, with `clean_only` only the clean ones. query: the Public
    and Private test images with a list of relevant images. gallery: every index image. Raises HgldError for an unknown
    level, a missing table, an image without a category and a role without images.
    """
    levels = known_levels(levels)
    folder = data / "release"
    train = read_parquet(folder / "train.parquet", ["image_id", "landmark_id", *COLUMNS, "clean"])
    index = read_parquet(folder / "index.parquet", ["image_id", "landmark_id", *COLUMNS])
    test = read_parquet(folder / "test.parquet", ["image_id", "usage", "relevant", *COLUMNS])
    queries = test[test["usage"].isin(USAGES) & (test["relevant"] != "")]
    coarse = [level for level in levels if level != "landmark"]
    labelled = train[(train[coarse] != "").all(axis=1)] if coarse else train
    tables = [labelled[labelled["clean"]] if clean_only else labelled, queries, index]
    for split, table in zip(("train", "test", "index"), tables, strict=True):
        _check_split(split, table, folder)
    labels, class_names = encode(tables, levels)
    with ImageTars(data / "images" / "images.parquet", data / "images") as tars:
        images = [
            ReleaseImages(list(table["image_id"]), list(table["category"]), codes, tars)
            for table, codes in zip(tables, labels, strict=True)
        ]
        yield RetrievalDataset(
            train=images[0],
            query=images[1],
            gallery=images[2],
            levels=levels,
            class_names=class_names,
            query_columns=queries[["usage", *COLUMNS]].reset_index(drop=True),
            query_group="hierarchical_label",
            subsets={usage: list(queries["usage"] == usage) for usage in USAGES},
            left_out=len(test) - len(queries),
            lists_differ=_lists_differ(queries, index),
        )


def known_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels as a tuple. Raises HgldError for unknown names, repeated names, and any order but finest first."""
    for level in levels:
        if level not in LEVELS:
            raise HgldError(
                f"unknown level {level!r}{suggest(level, LEVELS)}; known, finest first: {', '.join(LEVELS)}"
            )
    if not levels or list(levels) != sorted(set(levels), key=LEVELS.index):
        raise HgldError(f"levels {list(levels)} are not in the order finest first, each once: {', '.join(LEVELS)}")
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
    """Number the labels of several tables (n_i rows, COLUMNS) with one enumeration per level.

    -> one (n_i, L) int64 tensor per table, and per level the sorted class names. A missing label becomes the class
    `? <category>`.
    """
    ends = np.cumsum([len(table) for table in tables])[:-1]
    rows = pd.concat([table[list(COLUMNS)] for table in tables], ignore_index=True)
    codes, class_names = [], []
    for level in levels:
        text = rows["category" if level == "landmark" else level]
        text = text.where(text != "", "? " + rows["category"])
        names, numbers = np.unique(text.to_numpy(dtype=object).astype(str), return_inverse=True)
        codes.append(numbers.astype(np.int64))
        class_names.append(tuple(str(name) for name in names))
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
