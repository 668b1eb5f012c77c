"""Whatever `--data` names: the release, a table, a nested folder, or the official layout of a published dataset.

Every kind of data is a row of LAYOUTS or has its branch in `read_images`; the modules are imported when they are used,
so that a layout is code of the command that reads it, and of nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.datasets.release import known_levels, open_release
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.settings import Params

_FILES = "hgld.benchmarks.datasets.files"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A published dataset.

    title: its name. module: below layouts/, with `read(folder, levels, split) -> ImageList`. markers: alternatives; a
    folder with all files of one is recognised. folder: the folder in the archive.
    """

    title: str
    module: str
    markers: tuple[tuple[str, ...], ...]
    folder: str = ""


LAYOUTS = {
    "sop": Layout(
        title="Stanford Online Products",
        module="online_products",
        markers=(("Ebay_train.txt", "Ebay_test.txt"),),
        folder="Stanford_Online_Products",
    ),
    "cub": Layout(
        title="CUB-200-2011",
        module="birds",
        markers=(("images.txt", "image_class_labels.txt", "classes.txt"),),
        folder="CUB_200_2011",
    ),
    "cars": Layout(
        title="Cars-196",
        module="cars",
        markers=(("cars_annos.mat",), ("devkit/cars_meta.mat",)),
        folder="stanford_cars",
    ),
    "inshop": Layout(
        title="In-Shop Clothes Retrieval",
        module="in_shop",
        markers=(("list_eval_partition.txt",), ("Eval/list_eval_partition.txt",)),
    ),
    "inat2018": Layout(
        title="iNaturalist 2018",
        module="inaturalist",
        markers=(("train2018.json", "val2018.json"), ("train2018.json", "Inat_dataset_splits")),
    ),
    "dyml": Layout(
        title="DyML",
        module="dyml",
        markers=(("train/label.csv", "bmk_fine"), ("train/label.csv", "mini-bmk_all_in_one")),
    ),
    "sfm120k": Layout(
        title="retrieval-SfM-120k", module="sfm", markers=(("retrieval-SfM-120k.pkl",),), folder="retrieval-SfM-120k"
    ),
    "roxford5k": Layout(title="Revisited Oxford", module="revisited", markers=(("gnd_roxford5k.pkl",),)),
    "rparis6k": Layout(title="Revisited Paris", module="revisited", markers=(("gnd_rparis6k.pkl",),)),
    "grocery": Layout(
        title="GroceryStore", module="groceries", markers=(("train.txt", "test.txt", "classes.csv"),), folder="dataset"
    ),
}
KINDS = ("table", "folder", *LAYOUTS)


@contextmanager
def open_data(
    data: str | None,
    params: Params | None,
    *,
    levels: Sequence[str] | None = None,
    split: str | None = None,
    validation: str | None = None,
) -> Iterator[RetrievalDataset]:
    """The dataset that `data` names.

    data: None for the release of the profile; the path of a table (.csv, .csv.gz, .parquet) or of a folder, in nested
    folders or in an official layout, which is recognised by its files; or KIND:PATH, with a kind of KINDS. levels:
    their names, finest first; None for params.train.levels (the release) or what the data state. split: how to split
    images that have no roles (files/splits.py). validation: the split that becomes `val`, in place of the one of
    that name. A role may be empty; `RetrievalDataset.require` says so.

    Raises HgldError for data that are not there, and with the place of every fault in them.
    """
    if data is None:
        if params is None:
            raise HgldError("the release needs the settings of a profile; give --data, or run hgld in the repository")
        if split is not None:
            raise HgldError("--split is for tables and folders; the release has its own split")
        chosen = known_levels(params.train.levels if levels is None else levels)
        with open_release(params.data, chosen, clean_only=params.train.clean_only) as dataset:
            yield dataset
        return
    from_list = importlib.import_module(f"{_FILES}.image_list").dataset_of
    yield from_list(read_images(data, levels=levels, split=split, validation=validation))


def read_images(
    data: str, *, levels: Sequence[str] | None = None, split: str | None = None, validation: str | None = None
) -> Any:
    """The ImageList that `data` names (see `open_data`): its labels are not numbered, its files not looked for."""
    kind, path = _kind_of(data)
    if kind == "table":
        return importlib.import_module(f"{_FILES}.image_table").read_image_table(path, levels, split, validation)
    if kind in LAYOUTS:
        layout = LAYOUTS[kind]
        module = importlib.import_module(f"hgld.benchmarks.datasets.layouts.{layout.module}")
        images = module.read(_layout_folder(layout, path), levels, split)
    else:
        images = importlib.import_module(f"{_FILES}.image_folder").read_image_folder(path, levels, split)
    if validation is None:
        return images
    return importlib.import_module(f"{_FILES}.splits").validate_on(images, validation)


def _kind_of(data: str) -> tuple[str, Path]:
    """The kind of the data, and their path."""
    if not data:
        raise HgldError("--data is empty; give a table, a folder, or LAYOUT:FOLDER")
    prefix, colon, rest = data.partition(":")
    if colon and prefix in KINDS:
        if not rest:
            raise HgldError(f"{data}: expected {prefix}:PATH")
        return prefix, Path(rest).expanduser()
    path = Path(data).expanduser()
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:
        raise HgldError(f"{data[:200]}: not a path: {getattr(error, 'strerror', None) or error}") from None
    if is_folder:
        return recognised(path) or "folder", path
    if path.name.lower().endswith((".csv", ".csv.gz", ".parquet")) and (exists or not colon):
        return "table", path
    if exists:
        raise HgldError(f"{data}: expected a table (.csv, .csv.gz or .parquet) or a folder; unpack archives first")
    if colon and prefix.isidentifier():
        raise HgldError(f"unknown layout {prefix!r}{suggest(prefix, KINDS)}; known: {', '.join(KINDS)}")
    raise HgldError(f"no table or folder {data}")


def recognised(folder: Path) -> str | None:
    """The layout of a folder, by the files in it or in the folder of its archive; None for none.

    Raises HgldError where two are possible.
    """
    fitting = [kind for kind, layout in LAYOUTS.items() if _has_markers(_layout_folder(layout, folder), layout)]
    if len(fitting) > 1:
        raise HgldError(f"{folder} may be {' or '.join(fitting)}; say which, as in {fitting[0]}:{folder}")
    return fitting[0] if fitting else None


def _has_markers(folder: Path, layout: Layout) -> bool:
    return any(all((folder / marker).exists() for marker in markers) for markers in layout.markers)


def _layout_folder(layout: Layout, path: Path) -> Path:
    """The folder with the files of a layout: that one, or the folder of the archive in it."""
    inner = path / layout.folder if layout.folder else path
    return inner if layout.folder and not _has_markers(path, layout) and inner.is_dir() else path
