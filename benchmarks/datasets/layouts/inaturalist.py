"""iNaturalist 2018 (Van Horn et al., CVPR 2018): species in 7 levels of the taxonomy, or in supercategories.

train2018.json, val2018.json, and images in train_val2018/. The 7 levels need the published names: categories.json
beside them, or put into train2018.json. With Inat_dataset_splits/Inaturalist_train_set1.txt and ..._test_set1.txt the
images are split by class, as in the papers on retrieval (Smooth-AP, HAPPIER); otherwise train2018.json trains and
val2018.json is tested on, or, with the split `class`, the first half of all species trains.

A genus or family is identified by its place in the tree: plants and animals share some of their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import protocol_of, split_list
from hgld.benchmarks.datasets.layouts.list_files import (
    chosen_levels,
    json_object,
    json_value,
    only_split,
    required,
    text_lines,
)
from hgld.foundation.errors import HgldError

TITLE = "iNaturalist 2018"
RANKS = ("species", "genus", "family", "order", "class", "phylum", "kingdom")
BASE = ("species", "supercategory")
SPLITS = "Inat_dataset_splits"


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """The images, by default with all 7 levels if their names are there, else with BASE."""
    only_split(split, TITLE, ("class",))
    categories = _categories(folder)
    full = all(isinstance(category.get(rank), str) for category in categories.values() for rank in RANKS[1:])
    known = BASE if not full or (levels is not None and "supercategory" in levels) else RANKS
    if not full and levels is not None and set(levels) & set(RANKS[1:]):
        raise HgldError(
            f"{TITLE}: no taxonomy in {folder}; the levels {', '.join(RANKS[1:])} need categories.json there"
        )
    chosen = chosen_levels(levels, known, TITLE)
    official = (folder / SPLITS).is_dir()
    table, text = _by_class(folder) if official else _by_image(folder)
    unknown = set(table["category"]) - set(categories)
    if unknown:
        raise HgldError(f"{TITLE}: images of category {min(unknown)}, which is in no list of categories in {folder}")
    labels = {level: {number: _key(row, level) for number, row in categories.items()} for level in chosen}
    columns = {level: table["category"].map(labels[level]).astype("str") for level in chosen}
    images = ImageList(
        name=TITLE,
        folder=folder,
        rows=pd.DataFrame({"path": table["path"], "split": table["split"], "id": table["path"], **columns}),
        levels=chosen,
        names={level: {_key(row, level): _name(row, level) for row in categories.values()} for level in chosen},
        facts={"data": TITLE, "split": text},
        protocol=protocol_of(set(table["split"]), str(folder)),
    )
    return split_list(images, split) if split else images


def _categories(folder: Path) -> dict[int, dict[str, Any]]:
    """The categories by number, with their ranks if categories.json or train2018.json has them."""
    named = folder / "categories.json"
    rows = (
        json_value(named, TITLE)
        if named.exists()
        else json_object(folder / "train2018.json", TITLE, "categories")["categories"]
    )
    try:
        categories = {int(row["id"]): dict(row) for row in rows}
        for row in categories.values():
            if not isinstance(row["name"], str) or not isinstance(row["supercategory"], str):
                raise TypeError("a name that is no text")
    except (KeyError, TypeError, ValueError) as error:
        raise HgldError(
            f"{TITLE}: {named if named.exists() else folder / 'train2018.json'}: expected categories with id, name and "
            f"supercategory ({type(error).__name__}: {str(error)[:80]})"
        ) from None
    return categories


def _key(row: dict[str, Any], level: str) -> str:
    """What identifies a class: of the ranks, all above it too."""
    if level == "species":
        return str(row["id"])
    if level == "supercategory":
        return str(row[level])
    return "/".join(str(row[rank]) for rank in reversed(RANKS[RANKS.index(level) :]))


def _name(row: dict[str, Any], level: str) -> str:
    return str(row["name"] if level == "species" else row[level])


def _by_class(folder: Path) -> tuple[pd.DataFrame, str]:
    """The split of the papers on retrieval: lists of paths such as train_val2018/Aves/2761/NAME.jpg."""
    rows = []
    for role in ("train", "test"):
        path = folder / SPLITS / f"Inaturalist_{role}_set1.txt"
        for number, line in text_lines(path, TITLE):
            parts = line.split("/")
            if len(parts) < 3 or not parts[-2].isdecimal():
                raise HgldError(f"{path}:{number}: expected SUPERCATEGORY/CATEGORY/NAME.jpg; found {line[:100]}")
            rows.append((line, role, int(parts[-2])))
    return pd.DataFrame(rows, columns=["path", "split", "category"]), f"by class, as the lists in {SPLITS} have it"


def _by_image(folder: Path) -> tuple[pd.DataFrame, str]:
    """The official split: the images of train2018.json and of val2018.json."""
    tables = []
    for role, name in (("train", "train2018.json"), ("test", "val2018.json")):
        path = required(folder / name, TITLE)
        content = json_object(path, TITLE, "images", "annotations")
        try:
            images = {int(image["id"]): str(image["file_name"]) for image in content["images"]}
            rows = [(images[int(row["image_id"])], role, int(row["category_id"])) for row in content["annotations"]]
        except (KeyError, TypeError, ValueError) as error:
            raise HgldError(f"{TITLE}: {path}: an image without id, file_name or annotation ({error!r:.80})") from None
        tables.append(pd.DataFrame(rows, columns=["path", "split", "category"]))
    return pd.concat(tables, ignore_index=True), "the official one: train2018.json trains, val2018.json is tested on"
