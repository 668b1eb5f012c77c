"""Landmarks, categories and images of train and index: two id spaces that only the Commons category links."""

import hashlib
from collections.abc import Collection

import pandas as pd

from hgld.foundation.settings import Params
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.pipeline.dataset.schemas import check_known, read_stage_table

SPLITS = ("train", "index")

# The table of each split that has its images.
IMAGES = {"train": "train", "index": "index_image_to_landmark"}

# A 95 % confidence interval of about 2 points around a measured accuracy.
CALIBRATION = 2000


def landmark_table(params: Params, split: str) -> pd.DataFrame:
    """The landmarks of one split (landmark_id, category, url): normalised category, and GLDv2's spelling of it.

    Sorted by landmark number. An id of `train` and the same id of `index` are different landmarks.
    """
    table = read_stage_table(params.data / "metadata" / f"{split}_label_to_category.parquet")
    table = table.rename(columns={"category": "url"})
    table["category"] = table["url"].map(normalise).astype("str")
    order = table["landmark_id"].astype("int64").sort_values(kind="stable").index
    return table.loc[order, ["landmark_id", "category", "url"]].reset_index(drop=True)


def image_table(params: Params, split: str) -> pd.DataFrame:
    """The images of one split (id, landmark_id, category), sorted by id; an unknown landmark has an empty category."""
    table = read_stage_table(params.data / "metadata" / f"{IMAGES[split]}.parquet", ["id", "landmark_id"])
    categories = landmark_table(params, split).set_index("landmark_id")["category"]
    table["category"] = table["landmark_id"].map(categories).fillna("").astype("str")
    return table.sort_values("id", ignore_index=True)


def image_count(params: Params, split: str, landmark_ids: list[str]) -> int:
    """The number of images of these landmarks in one split."""
    table = read_stage_table(params.data / "metadata" / f"{IMAGES[split]}.parquet", ["landmark_id"])
    return int(table["landmark_id"].isin(landmark_ids).sum())


def image_counts(params: Params) -> "pd.Series[int]":
    """The number of train and index images of each category: those that a verdict on it relabels."""
    tables = []
    for split in SPLITS:
        images = read_stage_table(params.data / "metadata" / f"{IMAGES[split]}.parquet", ["landmark_id"])
        counts = images["landmark_id"].value_counts()
        table = landmark_table(params, split)
        tables.append(table.assign(images=table["landmark_id"].map(counts).fillna(0).astype("int64")))
    total = pd.concat(tables).groupby("category", sort=True)["images"].sum()
    return total[total > 0]


def build_labels(params: Params) -> pd.DataFrame:
    """The labels of the stage `build`, one row per category of the landmarks.

    Raises HgldError for a damaged table, and for one that lacks categories of the metadata.
    """
    path = params.data / "build" / "labels.parquet"
    labels = read_stage_table(path)
    for split in SPLITS:
        check_known(
            landmark_table(params, split)["category"],
            labels["category"],
            path,
            "categories of the metadata are missing",
        )
    return labels


def labels_and_proposals(
    params: Params, known: Collection[str], sources: Collection[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`build_labels`, and the proposals of the stage `refine` for the categories that have no label in it.

    known: the hierarchical labels of the taxonomy; sources: the known sources of proposals.

    Raises HgldError for a damaged table, unknown labels or sources, and proposals for other categories.
    """
    labels = build_labels(params)
    path = params.data / "refine" / "proposals.parquet"
    proposals = read_stage_table(path)
    unlabelled = labels.loc[labels["hierarchical_label"] == "", "category"]
    check_known(proposals["category"], unlabelled, path, "proposals are for categories that need none")
    names = {*known, ""}
    check_known(labels["hierarchical_label"], names, params.data / "build" / "labels.parquet", "labels are unknown")
    for column in ("hierarchical_label", "runner_up"):
        check_known(proposals[column], names, path, "labels are unknown")
    check_known(proposals["source"], sources, path, "sources are unknown")
    return labels, proposals


def evidence_categories(labels: pd.DataFrame, calibration: int = CALIBRATION) -> set[str]:
    """The categories to collect evidence for: the unlabelled ones, and up to `calibration` labelled ones.

    The sample is drawn by hash, so it needs no seed and hardly changes when categories are added or removed.
    """
    unlabelled = labels["hierarchical_label"] == ""
    known = sorted(labels.loc[~unlabelled, "category"], key=lambda name: hashlib.sha256(name.encode()).digest())
    return {*labels.loc[unlabelled, "category"], *known[:calibration]}
