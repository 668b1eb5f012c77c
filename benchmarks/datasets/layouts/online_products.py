"""Stanford Online Products (Oh Song et al., CVPR 2016): products (class) in categories (super_class).

Ebay_train.txt and Ebay_test.txt with the header `image_id class_id super_class_id path`; images in CATEGORY_final/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import protocol_of
from hgld.benchmarks.datasets.layouts.list_files import chosen_levels, only_split, text_table
from hgld.foundation.errors import HgldError

TITLE = "Stanford Online Products"
COLUMNS = ("image_id", "class_id", "super_class_id", "path")


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """The images of both lists, as they are split there."""
    only_split(split, TITLE)
    chosen = chosen_levels(levels, ("class", "super_class"), TITLE)
    tables = []
    for role in ("train", "test"):
        path = folder / f"Ebay_{role}.txt"
        tables.append(text_table(path, TITLE, COLUMNS, header=COLUMNS).assign(split=role, file=path.name))
    table = pd.concat(tables, ignore_index=True)
    if common := set(tables[0]["class_id"]) & set(tables[1]["class_id"]):
        raise HgldError(f"{TITLE}: class {min(common)} is in both lists of {folder}; download them again")
    named = table.drop_duplicates("super_class_id")
    names = {
        number: path.split("/")[0].removesuffix("_final")
        for number, path in zip(named["super_class_id"], named["path"], strict=True)
    }
    rows = table.rename(columns={"class_id": "class", "super_class_id": "super_class"}).assign(id=table["path"])
    return ImageList(
        name=TITLE,
        folder=folder,
        rows=rows[["path", "split", "id", *chosen]],
        levels=chosen,
        names={"super_class": names},
        protocol=protocol_of(("train", "test"), str(folder)),
        facts={"data": f"{TITLE}, Ebay_train.txt and Ebay_test.txt", "split": "the official one, by class"},
    )
