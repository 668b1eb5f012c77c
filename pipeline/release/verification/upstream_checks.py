"""Does a release have exactly the images and landmarks of GLDv2? For those who have its metadata, data/P/metadata."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hgld.pipeline.dataset.landmarks import IMAGES
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.release.verification.image_checks import Ids, SplitImages, contained, hexadecimal, id_numbers
from hgld.pipeline.release.verification.label_checks import fault
from hgld.pipeline.release.verification.release_tables import LANDMARK_FILES, ReleaseTable


def upstream_faults(
    folder: Path,
    data: Path,
    tables: Mapping[str, ReleaseTable],
    landmarks: Mapping[str, pd.DataFrame],
    images: Mapping[str, SplitImages],
) -> list[str]:
    """Images and landmarks that are in one of the two only; images of another landmark; another clean subset.

    data: a profile's folder. Raises HgldError when its metadata is missing or damaged.
    """
    metadata, faults = data / "metadata", list[str]()
    for split in images:
        path = metadata / f"{IMAGES.get(split, split)}.parquet"
        columns = ["id", "landmark_id"] if split in IMAGES else ["id"]
        theirs = read_stage_table(path, columns)
        faults += _id_faults(folder / f"{split}.parquet", images[split].ids, _numbers(theirs["id"]), path)
        if split in IMAGES:
            faults += _owner_faults(tables[f"{split}.parquet"], theirs, path)
    for split, table in landmarks.items():
        path = metadata / f"{split}_label_to_category.parquet"
        ours = {*zip(table["landmark_id"], table["category"], strict=True)}
        theirs = read_stage_table(path)
        differ = sorted(ours ^ {*zip(theirs["landmark_id"], theirs["category"], strict=True)})
        names = [" ".join(pair) for pair in differ]
        faults += fault(folder / LANDMARK_FILES[split], f"landmarks that only one of it and {path} has", names)
    if "train" in images:
        path = metadata / "train_clean.parquet"
        clean = np.concatenate([
            id_numbers(batch.column("image_id").filter(batch.column("clean")))
            for batch in tables["train.parquet"].batches(["image_id", "clean"])
        ] or [np.zeros(0, np.uint64)])  # fmt: skip
        faults += _id_faults(
            folder / "train.parquet", np.sort(clean), _numbers(read_stage_table(path, ["id"])["id"]), path
        )
    return faults


def _clean_images(train: ReleaseTable) -> Ids:
    batches = train.batches(["image_id", "clean"])
    parts = [id_numbers(batch.column("image_id").filter(batch.column("clean"))) for batch in batches]
    return np.sort(np.concatenate([*parts, np.zeros(0, np.uint64)]))


def _numbers(ids: "pd.Series[str]") -> Ids:
    return id_numbers(pa.array(ids, pa.string()))


def _id_faults(path: Path, ours: Ids, theirs: Ids, source: Path) -> list[str]:
    return [
        *fault(path, f"images of {source} that it lacks", hexadecimal(theirs[~contained(theirs, ours)])),
        *fault(path, f"images that {source} lacks", hexadecimal(ours[~contained(ours, theirs)])),
    ]


def _owner_faults(table: ReleaseTable, theirs: pd.DataFrame, source: Path) -> list[str]:
    """Images that have another landmark than in GLDv2."""
    ids, owners = pa.array(theirs["id"], pa.string()), pa.array(theirs["landmark_id"], pa.string())
    wrong = list[str]()
    for batch in table.batches(["image_id", "landmark_id"]):
        place = pc.index_in(batch.column("image_id"), value_set=ids)
        differ = pc.not_equal(batch.column("landmark_id"), owners.take(place))
        wrong += batch.column("image_id").filter(differ).to_pylist()
    return fault(table.path, f"images of another landmark than in {source}", wrong)
