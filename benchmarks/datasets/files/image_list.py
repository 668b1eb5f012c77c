"""Image files with their roles and labels as text, as any source lists them, and the dataset that they make.

A source (a table, a folder, a published layout) fills an `ImageList`; the checks and the numbering of the labels are
here, once for all of them.

A missing label ("") means that nothing is known: the image gets a class of its own class at the next finer level, so
that it agrees with the images of that class and with no others. In the release it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from hgld.benchmarks.datasets.files.file_images import Box, FileImages, file_states
from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.foundation.errors import HgldError, shortened

ROLES = ("train", "val", "test", "query", "gallery")
_UNKNOWN = "\0?"  # before the name of the finer class; no label of a file holds a NUL
_SHOWN = 10
_USE = {"train": "training", "val": "validation"}  # all others: evaluation


@dataclass(frozen=True, kw_only=True)
class ImageList:
    """Image files, their roles and their labels.

    name: what reports call the data. folder: paths are relative to it. rows: one row per image and role, with the text
    columns `path`, `split` (one of ROLES; val: for validation while training), `id` and one column per level; "" is a
    missing label. levels: columns of rows, finest first. places: where each row stands, such as "shop.csv:7" (a
    function of its number). protocol: how the images are used, in a sentence. boxes: crops by row. names: class name by
    label and level, where a label is not what people read. facts: further lines for the report. official: as in
    RetrievalDataset.
    """

    name: str
    folder: Path
    rows: pd.DataFrame
    levels: tuple[str, ...]
    protocol: str = ""
    where: str = ""
    lines: Sequence[int] = ()
    boxes: Mapping[int, Box] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    official: Callable[[Tensor, Tensor], Mapping[str, float]] | None = None

    def place(self, row: int) -> str:
        """Where a row of the list comes from, for messages."""
        if len(self.lines):
            return f"{self.where}:{self.lines[row]}"
        return f"{self.where or self.folder}: {self.rows['path'].iat[row]}"

    def without(self, role: str) -> ImageList:
        """The list without the rows of one role."""
        kept = np.flatnonzero((self.rows["split"] != role).to_numpy(dtype=bool)).tolist()
        place = {row: n for n, row in enumerate(kept)}
        return replace(
            self,
            rows=self.rows.iloc[kept].reset_index(drop=True),
            lines=[self.lines[row] for row in kept] if len(self.lines) else (),
            boxes={place[row]: box for row, box in self.boxes.items() if row in place},
        )

    def having(self, role: str) -> npt.NDArray[np.int64]:
        """The rows of one role."""
        return np.flatnonzero((self.rows["split"] == role).to_numpy(dtype=bool))


class Encoded(NamedTuple):
    """Class numbers (n, L) int64, and per level the name of each class, "" where the label is missing."""

    labels: npt.NDArray[np.int64]
    class_names: tuple[tuple[str, ...], ...]


def encode(images: ImageList) -> Encoded:
    """Number the labels with one enumeration per level over all roles, in the sorted order of the labels."""
    columns, class_names = [], []
    finer = images.rows["id"].astype(object).to_numpy()
    for level in images.levels:
        text = images.rows[level].astype(object).to_numpy()
        text = np.where(text == "", _UNKNOWN + finer, text)
        numbers, keys = pd.factorize(text, sort=True)
        shown = images.names.get(level, {})
        class_names.append(tuple("" if key.startswith(_UNKNOWN) else shown.get(key, key) for key in map(str, keys)))
        columns.append(numbers.astype(np.int64))
        finer = text
    return Encoded(np.stack(columns, axis=1), tuple(class_names))


def nesting_faults(images: ImageList, encoded: Encoded) -> list[str]:
    """One line for each class that is in two classes of the next coarser level, with an image of either."""
    faults = []
    for level in range(len(images.levels) - 1):
        fine, coarse = encoded.labels[:, level], encoded.labels[:, level + 1]
        pairs, first = np.unique(np.stack([fine, coarse], axis=1), axis=0, return_index=True)
        again = np.flatnonzero(pairs[1:, 0] == pairs[:-1, 0]) + 1
        for n in again:
            rows = [int(first[n - 1]), int(first[n])]
            names = [images.rows[images.levels[level + 1]].iat[row] or "no label" for row in rows]
            fine_name = images.rows[images.levels[level]].iat[rows[0]]
            faults.append(
                f"{images.place(rows[1])}: {images.levels[level]} {fine_name!r} is in {images.levels[level + 1]} "
                f"{names[1]!r} here, and in {names[0]!r} at {images.place(rows[0])}"
            )
    return faults


def _label_faults(images: ImageList) -> list[str]:
    finest = images.levels[0]
    missing = np.asarray(images.rows[finest] == "") & np.asarray(images.rows["split"] != "gallery")
    return [
        f"{images.place(int(row))}: no {finest}, the finest level; only gallery images (role gallery) may lack it"
        for row in np.flatnonzero(missing)
    ]


def _id_faults(images: ImageList) -> list[str]:
    """The same image twice in one role, for two uses (training, validation, evaluation), or with two labels."""
    rows, found = images.rows, []
    splits, ids = rows["split"].tolist(), rows["id"].tolist()
    repeated = np.flatnonzero(rows["id"].duplicated(keep=False).to_numpy(dtype=bool))
    labels = rows[list(images.levels)]
    earlier: dict[str, list[int]] = {}
    for row in map(int, repeated):
        for other in earlier.setdefault(ids[row], []):
            if splits[row] == splits[other]:
                what = f"is {splits[row]} already"
            elif _USE.get(splits[row]) != _USE.get(splits[other]):
                what = f"is {splits[row]} here, and {splits[other]}"
            elif not labels.iloc[row].equals(labels.iloc[other]):
                what = "has other labels"
            else:
                continue
            found.append(f"{images.place(row)}: image {ids[row]!r} {what} at {images.place(other)}")
            break
        earlier[ids[row]].append(row)
    return found


def faults(images: ImageList, encoded: Encoded, missing: Mapping[int, str]) -> list[tuple[str, list[str]]]:
    """All that is wrong with a list: what it is and what to do, and one line for each place."""
    absent = [f"{images.place(row)}: {reason}: {_full_path(images, row)}" for row, reason in missing.items()]
    backslash = bool(missing) and "\\" in str(_full_path(images, min(missing)))
    hint = "; write / between folders" if backslash else ""
    kinds = [
        (f"image(s) are not there; paths are relative to {images.folder}{hint}", absent),
        ("image(s) have no finest label; give one, or leave the row out", _label_faults(images)),
        ("image(s) are listed twice; leave one of the rows out", _id_faults(images)),
    ]
    if nesting := nesting_faults(images, encoded):
        kinds.append((f"class(es) are in two coarser classes; {_nesting_remedy(images)}", nesting))
    return [(what, lines) for what, lines in kinds if lines]


def _nesting_remedy(images: ImageList) -> str:
    """What to do about classes that are not nested: maybe the levels were given in the other order."""
    reverse = replace(images, levels=images.levels[::-1])
    if len(images.levels) > 1 and not nesting_faults(reverse, encode(reverse)):
        return f"the finest level comes first: --levels {','.join(reverse.levels)}"
    return "correct the labels; two different classes need two names, such as fruit/other and drinks/other"


def _full_path(images: ImageList, row: int) -> Path:
    return images.folder / str(images.rows["path"].iat[row])


def dataset_of(images: ImageList) -> RetrievalDataset:
    """The dataset that a list describes.

    Test images are queries and gallery at once: dataset.query is then dataset.gallery. Without test, query and gallery
    images, those for validation are tested on. Raises HgldError for images that are missing, listed twice or without a
    finest label, and for classes that are not nested.
    """
    if images.rows.empty:
        raise HgldError(f"{images.where or images.folder}: no images")
    encoded = encode(images)
    states, missing = file_states(images.folder, images.rows["path"].tolist())
    if found := faults(images, encoded, missing):
        lines = [line for what, all_lines in found for line in _kind_lines(what, all_lines)]
        raise HgldError(f"{images.name} cannot be used as it is:", *lines)
    labels = torch.from_numpy(encoded.labels)
    captions = _captions(images, encoded)

    def role(name: str) -> FileImages:
        rows = images.having(name)
        part = images.rows.iloc[rows]
        place = {int(row): n for n, row in enumerate(rows)}
        return FileImages(
            ids=part["id"].tolist(),
            labels=labels[torch.from_numpy(rows)],
            folder=images.folder,
            paths=part["path"].tolist(),
            captions=[captions[row] for row in rows],
            states=states[rows],
            boxes={place[row]: box for row, box in images.boxes.items() if row in place},
        )

    parts = {name: role(name) for name in ROLES}
    test = parts["test"]
    if not (len(test) or len(parts["query"]) or len(parts["gallery"])):
        test = parts["val"]
    return RetrievalDataset(
        train=parts["train"],
        query=test if len(test) else parts["query"],
        gallery=test if len(test) else parts["gallery"],
        val=parts["val"] if len(parts["val"]) else None,
        levels=images.levels,
        class_names=encoded.class_names,
        name=images.name,
        facts={**images.facts, **({"protocol": images.protocol} if images.protocol else {})},
        official=images.official,
    )


def _kind_lines(what: str, lines: list[str]) -> list[str]:
    return [f"{len(lines)} {what}:", *(f"  {line}" for line in shortened(lines, _SHOWN))]


def _captions(images: ImageList, encoded: Encoded) -> list[str]:
    """The finest class that has a name, for each image; the strings are shared."""
    names = [np.array(level_names, dtype=object) for level_names in encoded.class_names]
    captions = names[0][encoded.labels[:, 0]]
    for level in range(1, len(images.levels)):
        captions = np.where(captions == "", names[level][encoded.labels[:, level]], captions)
    return list(captions)
