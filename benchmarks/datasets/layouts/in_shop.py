"""In-Shop Clothes Retrieval (Liu et al., CVPR 2016, DeepFashion): items; query images against gallery images.

list_eval_partition.txt, here or in Eval/, with the number of images in its first line and the header
`image_name item_id evaluation_status`; images in img/, here or in Img/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import protocol_of
from hgld.benchmarks.datasets.layouts.list_files import chosen_levels, only_split, text_lines
from hgld.foundation.errors import HgldError

TITLE = "In-Shop Clothes Retrieval"
HEADER = ["image_name", "item_id", "evaluation_status"]
ROLES = ("train", "query", "gallery")


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """The images of the list, in their official roles."""
    only_split(split, TITLE)
    chosen = chosen_levels(levels, ("item",), TITLE)
    path = folder / "list_eval_partition.txt"
    path = path if path.exists() else folder / "Eval" / path.name
    lines = text_lines(path, TITLE)
    if len(lines) < 2 or lines[1][1].split() != HEADER:
        raise HgldError(f"{path}:2: expected the number of images in line 1 and the header {' '.join(HEADER)}")
    rows = []
    for number, line in lines[2:]:
        values = line.split()
        if len(values) != 3 or values[2] not in ROLES:
            raise HgldError(
                f"{path}:{number}: expected {' '.join(HEADER)}, with {', '.join(ROLES)}; found {line[:100]}"
            )
        rows.append([values[0], values[2], values[0], values[1], number])
    if lines[0][1] != str(len(rows)):
        raise HgldError(f"{path}: line 1 says {lines[0][1][:20]} images, {len(rows)} are listed; download it again")
    table = pd.DataFrame(rows, columns=["path", "split", "id", "item", "line"])
    root = folder if (folder / "img").is_dir() or not (folder / "Img").is_dir() else folder / "Img"
    return ImageList(
        name=TITLE,
        folder=root,
        rows=table[["path", "split", "id", "item"]].astype("str"),
        levels=chosen,
        where=str(path),
        lines=list(table["line"]),
        protocol=protocol_of(set(table["split"]), str(path)),
        facts={"data": f"{TITLE}, {path.name}", "split": "the official one, by item"},
    )
