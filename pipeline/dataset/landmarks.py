"""Landmarks, their categories and their images, of train and index; two id spaces that only the category links."""

import hashlib

import pandas as pd

from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.hierarchy.taxonomy.commons_category import normalise

SPLITS = ("train", "index")

_IMAGES = {"train": "train", "index": "index_image_to_landmark"}

# Enough for a 95 % interval of about 2 points around a measured accuracy.
CALIBRATION = 2000


def landmarks(params: Params, split: str) -> pd.DataFrame:
    """The landmarks of one split (landmark_id, category, url): normalised category, and what GLDv2 writes for it.

    Rows by landmark number. The ids of `train` and `index` name different things.
    """
    table = read_parquet(params.data / "metadata" / f"{split}_label_to_category.parquet")
    table = table.rename(columns={"category": "url"})
    table["category"] = table["url"].map(normalise).astype("str")
    order = table["landmark_id"].astype("int64").sort_values(kind="stable").index
    return table.loc[order, ["landmark_id", "category", "url"]].reset_index(drop=True)


def images(params: Params, split: str) -> pd.DataFrame:
    """The images of one split (id, landmark_id, category), by id; a landmark without a category has an empty one."""
    table = read_parquet(params.data / "metadata" / f"{_IMAGES[split]}.parquet", ["id", "landmark_id"])
    names = landmarks(params, split).set_index("landmark_id")["category"]
    table["category"] = table["landmark_id"].map(names).fillna("").astype("str")
    return table.sort_values("id", ignore_index=True)


def image_count(params: Params, split: str, landmark_ids: list[str]) -> int:
    """How many images of one split these landmarks have."""
    table = read_parquet(params.data / "metadata" / f"{_IMAGES[split]}.parquet", ["landmark_id"])
    return int(table["landmark_id"].isin(landmark_ids).sum())


def image_counts(params: Params) -> "pd.Series[int]":
    """How many images of train and index a category has, and so how many a verdict on it moves."""
    tables = [images(params, split)["category"] for split in SPLITS]
    counts: pd.Series[int] = pd.concat(tables).value_counts()
    return counts


def to_judge(labels: pd.DataFrame, calibration: int = CALIBRATION) -> set[str]:
    """The unlabelled categories, and up to `calibration` labelled ones: those whose hashes come first.

    A hash is as good as a die and needs no seed: the sample stays the same when other categories come and go.
    """
    unlabelled = labels["hierarchical_label"] == ""
    known = sorted(
        labels.loc[~unlabelled, "category"], key=lambda name: hashlib.sha256(name.encode()).digest()
    )
    return {*labels.loc[unlabelled, "category"], *known[:calibration]}
