"""CUB-200-2011 (Wah et al., 2011): bird species; genus and family from a table beside this module, or of your own.

images.txt, image_class_labels.txt, classes.txt, and images/. As in deep metric learning, the first half of the classes
trains; with the split `image`, train_test_split.txt counts.

The dataset has no taxonomy. birds.csv has the genus and family of its species, written for this project: the names are
those of the Check-list of North American Birds of the American Ornithological Society (2023), and of the IOC World Bird
List for birds of other continents. It says nothing of Tree_Sparrow, which may be one of two species (Spizelloides
arborea, Passer montanus) of different families. A file taxonomy.csv beside classes.txt, with the column species (as in
classes.txt) and others from fine to coarse, takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import protocol_of
from hgld.benchmarks.datasets.layouts.list_files import chosen_levels, first_half, only_split, text_table, whole
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.tables import check_unique, read_csv, read_csv_with_lines

TITLE = "CUB-200-2011"
TAXONOMY = "taxonomy.csv"


def read(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """All images, split by class (the default) or, with "image", as train_test_split.txt has it."""
    only_split(split, TITLE, ("class", "image"))
    images = _by_number(folder / "images.txt", ("image", "path"))
    labels = _joined(folder / "image_class_labels.txt", ("image", "class"), images)
    classes = _by_number(folder / "classes.txt", ("class", "species"))
    unknown = labels[~labels.isin(classes.index)]
    if len(unknown):
        raise HgldError(f"{TITLE}: image_class_labels.txt in {folder} has class {unknown.iloc[0]}, classes.txt has not")
    table = pd.DataFrame({"path": "images/" + images, "species": labels.map(classes)})
    if split == "image":
        flags = _joined(folder / "train_test_split.txt", ("image", "is_training"), images)
        roles = ["train" if flag == "1" else "test" for flag in flags]
        text = "train_test_split.txt, by image"
    else:
        numbers = [whole(label, folder / "image_class_labels.txt", None, "class") for label in labels]
        roles = first_half(numbers, folder / "classes.txt", TITLE)
        text = "by class: the first half trains, the others are tested on"
    coarser, source = _taxonomy(folder / TAXONOMY, list(classes))
    for name in coarser:
        table[name] = table["species"].map(coarser[name])
    chosen = chosen_levels(levels, ("species", *coarser), TITLE)
    return ImageList(
        name=TITLE,
        folder=folder,
        rows=table.assign(id=table["path"], split=roles)[["path", "split", "id", *chosen]].reset_index(drop=True),
        levels=chosen,
        names={"species": {name: name.partition(".")[2].replace("_", " ") or name for name in classes}},
        protocol=protocol_of(set(roles), str(folder)),
        facts={"data": TITLE, "split": text, "taxonomy": source},
    )


def _by_number(path: Path, columns: tuple[str, str]) -> pd.Series:
    """The second column of a list by the first."""
    table = text_table(path, TITLE, columns)
    check_unique(path, columns[0], table[columns[0]], list(table["line"]))
    return table.set_index(columns[0])[columns[1]]


def _joined(path: Path, columns: tuple[str, str], images: pd.Series) -> pd.Series:
    """The second column of a list for each of the images."""
    table = _by_number(path, columns)
    if len(unknown := table.index.difference(images.index)):
        raise HgldError(f"{TITLE}: {path} has image {unknown[0]}, images.txt has not; download them again")
    values = table.reindex(images.index)
    if values.isna().any():
        raise HgldError(f"{TITLE}: {path} has no line for image {values.index[values.isna()][0]} of images.txt")
    return values


def _taxonomy(path: Path, species: list[str]) -> tuple[dict[str, dict[str, str]], str]:
    """The coarser classes by level and species, and where they are from."""
    if path.exists():
        return _own_taxonomy(path, species), TAXONOMY
    table = read_csv(Path(__file__).with_name("birds.csv"), ["species", "genus", "family"]).set_index("species")
    names = {name: name.partition(".")[2] for name in species}
    if unknown := [name for name, short in names.items() if short not in table.index]:
        return {}, f"none: there is no genus of {unknown[0]}"
    return {
        level: {name: str(table[level][short]) for name, short in names.items()} for level in ("genus", "family")
    }, "genus and family by the check-lists of the AOS and the IOC; not a part of CUB-200-2011"


def _own_taxonomy(path: Path, species: list[str]) -> dict[str, dict[str, str]]:
    table, lines = read_csv_with_lines(path, ["species"], extra=True)
    check_unique(path, "species", table["species"], lines)
    if unknown := [name for name in table["species"] if name not in species]:
        raise HgldError(f"{path}: species {unknown[0]!r} is not in classes.txt{suggest(unknown[0], species)}")
    if missing := [name for name in species if name not in set(table["species"])]:
        raise HgldError(f"{path}: no row for {missing[0]!r} of classes.txt ({len(missing)} in total)")
    rows = table.set_index("species")
    return {str(name): dict(rows[name]) for name in rows}
