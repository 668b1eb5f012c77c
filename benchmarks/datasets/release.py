"""The release as tensors: which images are trained on, which are queries, and what their labels are.

Levels are named finest first, by default landmark, hierarchical_label, natural_or_human_made (supercategory is the
fourth that exists). `landmark` is the Commons category: train and index count their landmark ids in different spaces,
and the category is what links them. Every level has **one** enumeration over all splits, in sorted order of the names.

A missing coarse label ("" in the release) has a meaning: the image agrees with images of its own landmark at every
level, and with nothing else. Its label at that level is therefore one of its own landmark, as if the landmark were the
only one of an unknown class. Agreement counted from the coarsest level is then exactly what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2
from torchvision.transforms.functional import pil_to_tensor

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.tables import read_parquet
from hgld.foundation.tar_images import ImageTars

LEVELS = ("landmark", "supercategory", "hierarchical_label", "natural_or_human_made")
DEFAULT_LEVELS = ("landmark", "hierarchical_label", "natural_or_human_made")
COLUMNS = ("category", "supercategory", "hierarchical_label", "natural_or_human_made")
# Decoded images are kept in memory up to this size: the sample fits (10-20 MB), GLDv2 does not.
CACHE_BYTES = 2 << 30


@dataclass(frozen=True)
class Split:
    """Images and their labels: `rows` one row an image (image_id, category, ...), labels (n, L) int64."""

    rows: pd.DataFrame
    labels: Tensor

    @property
    def ids(self) -> list[str]:
        """Image ids in row order."""
        return list(self.rows["image_id"])


@dataclass(frozen=True)
class Release:
    """The three splits, the level names and, per level, the label that each number stands for."""

    train: Split
    index: Split
    test: Split
    levels: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    left_out: int  # test images that are no query: Ignored, or nothing relevant listed


def read_release(folder: Path, levels: Sequence[str] = DEFAULT_LEVELS, *, clean_only: bool = True) -> Release:
    """Read train, index and test of a release.

    train: images whose landmark has a label at every level, only the clean ones with `clean_only`. index: every image.
    test: the queries, Public or Private images with something relevant. Raises HgldError for an unknown level, a
    missing table, an image without a category, and a split that is left empty.
    """
    levels = known_levels(levels)
    train = read_parquet(folder / "train.parquet", ["image_id", "landmark_id", *COLUMNS, "clean"])
    index = read_parquet(folder / "index.parquet", ["image_id", "landmark_id", *COLUMNS])
    test = read_parquet(folder / "test.parquet", ["image_id", "usage", "relevant", *COLUMNS])
    queries = test[test["usage"].isin(["Public", "Private"]) & (test["relevant"] != "")]
    coarse = [level for level in levels if level != "landmark"]
    labelled = train[(train[coarse] != "").all(axis=1)] if coarse else train
    if clean_only:
        labelled = labelled[labelled["clean"]]
    tables = {"train": labelled, "index": index, "test": queries}
    for split, table in tables.items():
        _check_split(split, table, folder)
    codes, names = encode(list(tables.values()), levels)
    splits = {
        name: Split(table.reset_index(drop=True), labels)
        for (name, table), labels in zip(tables.items(), codes, strict=True)
    }
    return Release(**splits, levels=levels, names=names, left_out=len(test) - len(queries))


def known_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels, checked: known names, finest first. Raises HgldError."""
    for level in levels:
        if level not in LEVELS:
            raise HgldError(
                f"unknown level {level!r}{suggest(level, LEVELS)}; known, finest first: {', '.join(LEVELS)}"
            )
    if not levels or list(levels) != sorted(set(levels), key=LEVELS.index):
        raise HgldError(
            f"levels must be named once each and finest first, as in {', '.join(LEVELS)}; got {list(levels)}"
        )
    return tuple(levels)


def _check_split(split: str, table: pd.DataFrame, folder: Path) -> None:
    if table.empty:
        raise HgldError(
            f"{folder / (split + '.parquet')}: no image is left for {split}; check the release and `levels`"
        )
    nameless = table.loc[table["category"] == "", "image_id"]
    if len(nameless):
        raise HgldError(
            f"{folder / (split + '.parquet')}: image {nameless.iloc[0]} has no category (of {len(nameless)})"
        )


def encode(
    tables: Sequence[pd.DataFrame], levels: Sequence[str]
) -> tuple[list[Tensor], tuple[tuple[str, ...], ...]]:
    """Number the labels of several tables by one enumeration a level.

    -> one (n, L) int64 tensor a table, and per level the sorted names. A missing label is named `? <category>`.
    """
    sizes = np.cumsum([len(table) for table in tables])[:-1]
    whole = pd.concat([table[list(COLUMNS)] for table in tables], ignore_index=True)
    columns, names = [], []
    for level in levels:
        text = whole["category" if level == "landmark" else level]
        text = text.where(text != "", "? " + whole["category"])
        known, codes = np.unique(text.to_numpy(dtype=object).astype(str), return_inverse=True)
        columns.append(codes.astype(np.int64))
        names.append(tuple(str(name) for name in known))
    labels = np.stack(columns, axis=1)
    return [torch.from_numpy(part.copy()) for part in np.split(labels, sizes)], tuple(names)


def renumbered(labels: Tensor) -> Tensor:
    """Every column counted from 0 without gaps, as proxies need it. (n, L) -> (n, L)."""
    return torch.stack([torch.unique(column, return_inverse=True)[1] for column in labels.T], dim=1)


class Pictures(Dataset[Tensor]):
    """Images by position, (3, size, size): uint8, or what `change` makes of it.

    The shorter side is scaled to `size`, the middle is cut out. Small sets stay decoded in memory. Raises HgldError
    that names the image when one is missing or broken.
    """

    def __init__(
        self, tars: ImageTars, ids: Sequence[str], size: int, change: v2.Transform | None = None
    ) -> None:
        self.tars, self.ids, self.size, self.change = tars, list(ids), size, change
        self.in_memory = len(self.ids) * 3 * size * size <= CACHE_BYTES
        self._kept: dict[int, Tensor] = {}
        self._fit = v2.Compose([v2.Resize(size, antialias=True), v2.CenterCrop(size)])

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, at: int) -> Tensor:
        picture = self._kept.get(at)
        if picture is None:
            picture = pil_to_tensor(self._fit(self.tars.image(self.ids[at])))
            if self.in_memory:
                self._kept[at] = picture
        return picture if self.change is None else self.change(picture)


class Seeded(Dataset[tuple[Tensor, Tensor]]):
    """Pictures with their labels, by (position, number): the number seeds what is random about the picture."""

    def __init__(self, pictures: Pictures, labels: Tensor, seed: int) -> None:
        self.pictures, self.labels, self.seed = pictures, labels, seed

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, drawn: tuple[int, int]) -> tuple[Tensor, Tensor]:
        at, number = drawn
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed((self.seed * 1_000_003 + number) % 2**63)
            return self.pictures[at], self.labels[at]
