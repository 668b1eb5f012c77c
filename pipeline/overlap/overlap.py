"""`hgld overlap`: images of a release that show the same picture, in two splits or of two landmarks."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pandas as pd

from hgld.foundation.display.text_table import TextTable
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_parquet, write_csv
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.overlap.image_hashes import image_hashes
from hgld.pipeline.overlap.near_pairs import MOST_BITS, NearPairs, near_pairs

COLUMNS = ["image_id", "split", "category", "hierarchical_label", "other_image_id", "other_split", "other_category",
           "other_hierarchical_label", "distance"]  # fmt: skip
SPLITS = ("train", "index", "test")

# A hash that more images share says nothing: it is that of an empty picture, or of a placeholder.
MOST_ALIKE = 50


@dataclass(frozen=True)
class Overlap:
    """pairs: columns COLUMNS, of images in different splits or of different categories; the others are notes.

    common: images left out because more than MOST_ALIKE have the same hash; broken: id → why it cannot be read; images:
    split → how many were compared.
    """

    pairs: pd.DataFrame
    images: Mapping[str, int]
    missing: Mapping[str, int]
    common: int
    broken: Mapping[str, str]


def overlap(release: Path, images: Path, out: Path, cache: Path, distance: int = MOST_BITS) -> list[str]:
    """Write the pairs to the CSV file `out`; returns a summary, a line each.

    release: the folder of the release; images: the folder of the tars, as the stage `images` makes it; cache: for the
    hashes, from which an interrupted run resumes; distance: in how many of 64 bits the hashes of a pair may differ.

    Raises HgldError where a table of the release or a tar is missing or damaged, and where no image is there.
    """
    with ImageTars(images / "images.parquet", images) as tars:
        found = find_overlap(_images(release), tars, cache, distance)
    write_csv(found.pairs, out)
    return [*_summary(found), f"pairs: {out}"]


def _images(release: Path) -> pd.DataFrame:
    """All images of the release: image_id, split, category, hierarchical_label."""
    columns = ["image_id", "category", "hierarchical_label"]
    tables = [read_parquet(release / f"{split}.parquet", columns).assign(split=split) for split in SPLITS]
    return pd.concat(tables, ignore_index=True).sort_values("image_id", ignore_index=True)


def find_overlap(images: pd.DataFrame, tars: ImageTars, cache: Path, distance: int = MOST_BITS) -> Overlap:
    """The pairs among the images that are in the tars.

    images: image_id, split, category, hierarchical_label; sorted by image_id.
    """
    there = images[[image_id in tars for image_id in images["image_id"]]].reset_index(drop=True)
    if there.empty:
        raise HgldError(
            "none of the release's images is in the tars; `images` in params.yaml says how many are fetched"
        )
    hashes, broken = image_hashes(tars, there["image_id"].tolist(), cache)
    readable = there[~there["image_id"].isin(list(broken))].reset_index(drop=True)
    _, kind, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    telling = np.flatnonzero(counts[kind] <= MOST_ALIKE)
    compared = readable.iloc[telling].reset_index(drop=True)
    pairs = _table(compared, near_pairs(hashes[telling], distance))
    return Overlap(
        pairs,
        images={split: int((compared["split"] == split).sum()) for split in SPLITS},
        missing={split: int((images["split"] == split).sum() - (there["split"] == split).sum()) for split in SPLITS},
        common=len(readable) - len(compared),
        broken=broken,
    )


def _table(images: pd.DataFrame, pairs: NearPairs) -> pd.DataFrame:
    """The pairs in different splits or of different categories, as rows; the split that comes first in SPLITS first."""
    split = images["split"].map(SPLITS.index).to_numpy()
    category = pd.factorize(images["category"])[0]
    nameless = (images["category"] == "").to_numpy()
    first, second, bits = pairs
    strangers = (category[first] != category[second]) & ~nameless[first] & ~nameless[second]
    wanted = (split[first] != split[second]) | strangers
    first, second, bits = first[wanted], second[wanted], bits[wanted]
    turned = split[first] > split[second]
    first, second = np.where(turned, second, first), np.where(turned, first, second)
    names = ["image_id", "split", "category", "hierarchical_label"]
    ours = images.iloc[first][names].reset_index(drop=True)
    theirs = images.iloc[second][names].reset_index(drop=True).add_prefix("other_")
    table = pd.concat([ours, theirs], axis=1).assign(distance=bits.astype(np.int64))
    order = [table["split"].map(SPLITS.index), table["other_split"].map(SPLITS.index)]
    table = table.assign(one=order[0], two=order[1]).sort_values(["one", "two", "image_id", "other_image_id"])
    sorted_table: pd.DataFrame = table[COLUMNS].reset_index(drop=True)
    return sorted_table


def _summary(found: Overlap) -> list[str]:
    rows = []
    for one, other in combinations_with_replacement(SPLITS, 2):
        pairs = found.pairs[(found.pairs["split"] == one) & (found.pairs["other_split"] == other)]
        known = pairs[(pairs["category"] != "") & (pairs["other_category"] != "")]
        strangers = known[known["category"] != known["other_category"]]
        labels = strangers[strangers["hierarchical_label"] != strangers["other_hierarchical_label"]]
        doubled = pairs["other_image_id"].nunique()
        share = f"{100 * doubled / found.images[other]:.2f} %" if found.images[other] else "–"
        rows.append([one, other, len(pairs), doubled, share, len(strangers), len(labels)])
    header = ["in", "and in", "pairs", "images of the second", "of all", "of two landmarks", "of two labels"]
    counts = ", ".join(f"{count:,} {split}" for split, count in found.images.items())
    lines = [f"images compared: {counts}", *str(TextTable(header, rows, text=["in", "and in"])).splitlines()]
    if missing := sum(found.missing.values()):
        lines.append(f"{missing:,} images of the release are in no tar here, and were not compared")
    if found.broken:
        lines.append(f"{len(found.broken):,} images cannot be read, such as {next(iter(found.broken.values()))}")
    if found.common:
        lines.append(f"{found.common:,} images were left out: more than {MOST_ALIKE} have the same hash")
    return lines
