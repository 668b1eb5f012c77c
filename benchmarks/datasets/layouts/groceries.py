"""GroceryStore (Klasson et al., WACV 2019): photographs of groceries; fine, coarse and top classes.

train.txt, val.txt and test.txt with lines such as `train/Fruit/Apple/Pink-Lady/Pink-Lady_001.jpg, 2, 0`. The classes
are those of the path; where a coarse class is not divided, as in train/Fruit/Kiwi/Kiwi_001.jpg, it is the fine one too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import protocol_of
from hgld.benchmarks.datasets.layouts.list_files import chosen_levels, only_split, text_lines
from hgld.foundation.errors import HgldError

TITLE = "GroceryStore"
LEVELS = ("fine", "coarse", "top")


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """The images of the lists, as they are split there; val.txt may be missing, as in the first version."""
    only_split(split, TITLE)
    chosen = chosen_levels(levels, LEVELS, TITLE)
    rows = []
    for role in ("train", "val", "test"):
        path = folder / f"{role}.txt"
        if role == "val" and not path.exists():
            continue
        for number, line in text_lines(path, TITLE):
            image = line.split(",")[0].strip()
            parts = image.split("/")
            if len(parts) not in (4, 5):
                raise HgldError(f"{path}:{number}: expected {role}/TOP/COARSE/FINE/NAME.jpg; found {line[:100]}")
            top, coarse = parts[1:3]
            fine = parts[3] if len(parts) == 5 else coarse
            rows.append((image, role, image, f"{top}/{coarse}/{fine}", f"{top}/{coarse}", top))
    table = pd.DataFrame(rows, columns=["path", "split", "id", *LEVELS], dtype="str")
    names = {level: {key: key.rpartition("/")[2] for key in table[level].unique()} for level in LEVELS}
    return ImageList(
        name=TITLE,
        folder=folder,
        rows=table[["path", "split", "id", *chosen]],
        levels=chosen,
        names=names,
        protocol=protocol_of(set(table["split"]), str(folder)),
        facts={"data": TITLE, "split": "the official one, by image"},
    )
