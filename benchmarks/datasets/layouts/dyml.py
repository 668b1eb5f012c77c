"""DyML Vehicle, Animal and Product (Sun et al., CVPR 2021): fine, middle and coarse classes.

train/label.csv with images in train/imgs/. Product is tested on mini-bmk_all_in_one/ (label.csv, imgs/), with all
levels. Vehicle and Animal have a benchmark for each level, bmk_fine/, bmk_middle/ and bmk_coarse/, each with query.csv
and gallery.csv and folders of these names: choose it by asking for that level alone. In the published files, the first
row stands in the line of the header; both forms are read. A query of which the gallery has a copy is found as such by
the bytes of the file, and has the same id.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.benchmarks.datasets.files.file_images import file_states
from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import protocol_of
from hgld.benchmarks.datasets.layouts.list_files import chosen_levels, only_split, text_lines
from hgld.foundation.errors import HgldError

TITLE = "DyML"
LEVELS = ("fine", "middle", "coarse")
ALL_IN_ONE = "mini-bmk_all_in_one"
_TRAIN_HEADER = re.compile(r"fname, *coarse_id, *middle_id, *fine_id(.*)")
_TEST_HEADER = re.compile(r"fname, *labels?(.*)")


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """The training images, and the test images of the levels that were asked for."""
    only_split(split, TITLE)
    chosen = chosen_levels(levels, LEVELS, TITLE)
    tables = [_four_columns(folder, "train").assign(split="train")]
    if (folder / ALL_IN_ONE).is_dir():
        tables.append(_four_columns(folder, ALL_IN_ONE).assign(split="test"))
        text = f"official: train/ and {ALL_IN_ONE}/"
    elif len(chosen) == 1:
        tables.append(_one_level(folder, f"bmk_{chosen[0]}", chosen[0]))
        text = f"official: train/ and bmk_{chosen[0]}/"
    else:
        text = "official: train/; its benchmarks have one level each: ask for fine, middle or coarse alone (--levels)"
    table = pd.concat(tables, ignore_index=True).fillna("")
    name = folder.resolve().name
    return ImageList(
        name=name if "dyml" in name.lower() else f"{TITLE} {name}",
        folder=folder,
        rows=table[["path", "split", "id", *chosen]].astype("str"),
        levels=chosen,
        protocol=protocol_of(set(table["split"]), str(folder)) if len(tables) > 1 else text,
        facts={"data": TITLE, "split": text},
    )


def _four_columns(folder: Path, part: str) -> pd.DataFrame:
    rows = _rows(folder / part / "label.csv", _TRAIN_HEADER, 4)
    paths = [f"{part}/imgs/{row[0]}" for row in rows]
    columns = {level: [row[3 - n] for row in rows] for n, level in enumerate(LEVELS)}
    return pd.DataFrame({"path": paths, "id": paths, **columns})


def _one_level(folder: Path, part: str, level: str) -> pd.DataFrame:
    tables = []
    for role in ("query", "gallery"):
        rows = _rows(folder / part / f"{role}.csv", _TEST_HEADER, 2)
        paths = [f"{part}/{role}/{row[0]}" for row in rows]
        tables.append(pd.DataFrame({"path": paths, "id": paths, level: [row[1] for row in rows], "split": role}))
    query, gallery = tables
    same = _copies(folder, query["path"].tolist(), gallery["path"].tolist())
    return pd.concat([query, gallery.assign(id=[same.get(path, path) for path in gallery["path"]])])


def _rows(path: Path, header: re.Pattern[str], columns: int) -> list[list[str]]:
    """The rows of a list, values separated by a comma; the first may stand in the line of the header."""
    (number, first), *lines = text_lines(path, TITLE)
    match = header.fullmatch(first)
    if match is None:
        raise HgldError(
            f"{path}:{number}: expected the header {header.pattern.replace('(.*)', '')}; found {first[:100]}"
        )
    if glued := match[1].strip():
        lines = [(number, glued), *lines]
    rows = []
    for line_number, line in lines:
        values = [value.strip() for value in line.split(",")]
        if len(values) != columns or not all(values):
            raise HgldError(f"{path}:{line_number}: expected {columns} values with commas; found {line[:100]}")
        rows.append(values)
    return rows


def _copies(folder: Path, queries: list[str], gallery: list[str]) -> dict[str, str]:
    """The query that a gallery image is a copy of; only files of equal size are read."""
    query_states, _ = file_states(folder, queries)
    gallery_states, _ = file_states(folder, gallery)
    by_size: dict[int, list[str]] = defaultdict(list)
    for path, (size, _) in zip(queries, query_states.tolist(), strict=True):
        by_size[size].append(path)
    hashes = {}
    for path, (size, _) in zip(gallery, gallery_states.tolist(), strict=True):
        if size and size in by_size:
            hashes[path] = _digest(folder / path)
    sizes = {size for size, _ in gallery_states.tolist()}
    wanted = {_digest(folder / path): path for size, paths in by_size.items() if size in sizes - {0} for path in paths}
    found: dict[str, str] = {}
    for path, digest in hashes.items():
        if digest in wanted and wanted[digest] not in found.values():
            found[path] = wanted[digest]
    return found


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
