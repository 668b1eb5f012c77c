"""Cars-196 (Krause et al., 2013): car models; the first half of the classes trains, as in deep metric learning.

Either cars_annos.mat with car_ims/, or devkit/ (cars_meta.mat, cars_train_annos.mat) with cars_train/, cars_test/ and
cars_test_annos_withlabels.mat. With the split `image`, the official train and test images count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import protocol_of
from hgld.benchmarks.datasets.layouts.list_files import (
    chosen_levels,
    first_half,
    matlab_table,
    matlab_value,
    only_split,
    whole,
)
from hgld.foundation.errors import HgldError

TITLE = "Cars-196"
WITH_LABELS = "cars_test_annos_withlabels.mat"


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """All images, split by class (the default) or, with "image", as the authors did."""
    only_split(split, TITLE, ("class", "image"))
    chosen = chosen_levels(levels, ("class",), TITLE)
    annotations = folder / "cars_annos.mat"
    names_in = annotations if annotations.exists() else folder / "devkit" / "cars_meta.mat"
    if not names_in.exists():
        raise HgldError(
            f"{TITLE}: neither cars_annos.mat nor devkit/cars_meta.mat in {folder}; they are part of the official "
            "layouts (docs/data.md)"
        )
    rows = _single_file(annotations) if annotations.exists() else _devkit(folder)
    names = [str(name) for name in matlab_value(names_in, TITLE, "class_names")]
    numbers = [number for _, number, _ in rows]
    wrong = [number for number in numbers if not 1 <= number <= len(names)]
    if wrong:
        raise HgldError(f"{TITLE}: class {wrong[0]}, but {names_in} has {len(names)} class names")
    roles = [role for *_, role in rows] if split == "image" else first_half(numbers, names_in, TITLE)
    paths = [path for path, *_ in rows]
    table = pd.DataFrame({"path": paths, "split": roles, "id": paths, "class": list(map(str, numbers))}, dtype="str")
    text = "the official one, by image" if split == "image" else "by class: the first half trains"
    return ImageList(
        name=TITLE,
        folder=folder,
        rows=table,
        levels=chosen,
        names={"class": {str(number): name for number, name in enumerate(names, 1)}},
        protocol=protocol_of(set(roles), str(folder)),
        facts={"data": f"{TITLE}, {names_in.name}", "split": text},
    )


def _single_file(path: Path) -> list[tuple[str, int, str]]:
    """Path, class number and role of each image of cars_annos.mat."""
    rows = matlab_table(path, TITLE, "annotations", ("relative_im_path", "class", "test"))
    return [
        (
            str(row["relative_im_path"]),
            _number(row, path),
            "test" if whole(row["test"], path, None, "test") else "train",
        )
        for row in rows
    ]


def _devkit(folder: Path) -> list[tuple[str, int, str]]:
    labelled = [path / WITH_LABELS for path in (folder, folder / "devkit")]
    test = next((path for path in labelled if path.exists()), labelled[0])
    files = {"train": folder / "devkit" / "cars_train_annos.mat", "test": test}
    return [
        (f"cars_{role}/{row['fname']}", _number(row, path), role)
        for role, path in files.items()
        for row in matlab_table(path, TITLE, "annotations", ("fname", "class"))
    ]


def _number(row: dict[str, Any], path: Path) -> int:
    return whole(row["class"], path, None, "class")
