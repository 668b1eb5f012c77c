"""Images in nested folders: the folders that a file is in are its labels, such as coarse/fine/image.jpg.

Folders train, val, test, query and gallery at the top, if they are all there is, are the roles; without them the images
are split by class. The class of a folder is its path, so that a/other and b/other are two classes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from hgld.benchmarks.datasets.files.file_images import SUFFIXES
from hgld.benchmarks.datasets.files.image_list import ImageList
from hgld.benchmarks.datasets.files.splits import check_split, protocol_of, role_of, split_list
from hgld.foundation.errors import HgldError

# By the number of folders that an image is in, finest first.
LEVEL_NAMES = {1: ("class",), 2: ("fine", "coarse"), 3: ("fine", "coarse", "top")}
_HIDDEN = ("__MACOSX", "lost+found")
_MOST_DEPTH = 12


@dataclass
class Found:
    """Image files (paths relative to the folder, with /), and how many other files there are, by their suffix."""

    images: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def read_image_folder(folder: Path, levels: Sequence[str] | None, split: str | None) -> ImageList:
    """The images of a nested folder. levels: names for them, finest first, or a part of the default names.

    split: how the images are split where there are no folders train and test, or in place of them (splits.py).
    Raises HgldError for a folder without images, and for images at different depths.
    """
    check_split(split)
    found = find_images(folder)
    folder = _without_wrapper(folder, found)
    if not found.images:
        raise HgldError(
            f"{folder}: no images; expected coarse/fine/image.jpg (or {', '.join(SUFFIXES)}), "
            f"or an official layout (docs/data.md)"
        )
    parts = [path.split("/") for path in found.images]
    roles = _roles(folder, parts)
    skipped = 1 if roles else 0
    depth = _depth(folder, found.images, parts) - skipped
    if depth < 1:
        raise HgldError(f"{folder}: its images are in no folder of a class; expected class/image.jpg")
    default = LEVEL_NAMES.get(depth) or tuple(f"level {n}" for n in range(depth))
    labels = {name: ["/".join(part[skipped : skipped + depth - n]) for part in parts] for n, name in enumerate(default)}
    chosen, renamed = _level_names(folder, default, levels)
    rows = pd.DataFrame({"path": found.images, "id": found.images, **labels}, dtype="str").rename(columns=renamed)
    images = ImageList(
        name=folder.resolve().name,
        folder=folder,
        rows=rows.assign(split=roles or "")[["path", "split", "id", *chosen]],
        levels=chosen,
        names={renamed.get(name, name): _short_names(set(values)) for name, values in labels.items()},
        facts={"data": f"folder {folder.resolve().name}"} | _others(found.others),
    )
    if roles and split is None:
        used = protocol_of(set(roles), str(folder))
        return replace(images, protocol=used, facts={**images.facts, "split": "the folders at the top"})
    return split_list(images, split or "class")


def find_images(folder: Path) -> Found:
    """All image files below a folder, sorted; hidden files and folders are left out, links are followed.

    Raises HgldError for a folder that cannot be read, and for one that is there twice by a link.
    """
    found = Found()
    if not folder.is_dir():
        raise HgldError(f"no folder {folder}")
    for path, name in _walk(folder, "", {}, 0):
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (a million of them)
        if suffix in SUFFIXES:
            found.images.append(path)
        else:
            found.others[suffix or "no suffix"] += 1
    found.images.sort()
    return found


def _without_wrapper(folder: Path, found: Found) -> Path:
    """The folder below which the images differ: an only folder at the top, as an archive has it, is no level."""
    while len(tops := {path.partition("/")[0] for path in found.images}) == 1:
        if min(path.count("/") for path in found.images) < 2:
            break
        folder /= next(iter(tops))
        found.images = [path.partition("/")[2] for path in found.images]
    return folder


def _walk(root: Path, inner: str, seen: dict[tuple[int, int], str], depth: int) -> Iterator[tuple[str, str]]:
    here = root / inner
    try:
        status = here.stat()
        first = seen.setdefault((status.st_dev, status.st_ino), inner)
        if first != inner:
            raise HgldError(f"{here} is the folder {root / first} again, by a link; remove one of them")
        if depth > _MOST_DEPTH:
            raise HgldError(f"{here}: more than {_MOST_DEPTH} folders inside each other")
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError as error:
        raise HgldError(f"{here}: cannot be read: {error.strerror}") from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _HIDDEN:
            continue
        path = f"{inner}/{entry.name}" if inner else entry.name
        if entry.is_dir():
            yield from _walk(root, path, seen, depth + 1)
        else:
            yield path, entry.name


def _roles(folder: Path, parts: Sequence[Sequence[str]]) -> list[str]:
    """The role of each image, if the top folders are two or more roles; else nothing.

    Raises HgldError for train and test beside other folders: these are no classes.
    """
    tops = {part[0]: role_of(part[0]) for part in parts if len(part) > 1}
    found = set(tops.values()) - {None}
    others = [name for name, role in tops.items() if role is None]
    if others and "train" in found and len(found) > 1:
        split, rest = ", ".join(name for name in tops if tops[name]), ", ".join(others[:5])
        raise HgldError(
            f"{folder}: the folders {split} are a split, but there are images in {rest} too; move them to another "
            "place, or list the images in a table (docs/data.md)"
        )
    return [tops.get(part[0]) or "" for part in parts] if len(found) > 1 and not others else []


def _depth(folder: Path, paths: Sequence[str], parts: Sequence[Sequence[str]]) -> int:
    depths: dict[int, str] = {}
    for path, part in zip(paths, parts, strict=True):
        depths.setdefault(len(part) - 1, path)
    if len(depths) > 1:
        (low, shallow), (high, deep) = min(depths.items()), max(depths.items())
        raise HgldError(
            f"{folder}: images at different depths: {shallow} is in {low} folder(s), {deep} in {high}; "
            "every image needs the same number of levels, or list the images in a table (docs/data.md)"
        )
    return next(iter(depths))


def _level_names(
    folder: Path, default: tuple[str, ...], levels: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The levels to use, and their new names by default name."""
    if levels is None:
        return default, {}
    given = tuple(levels)
    if given and len(set(given)) == len(given):
        if set(given) <= set(default) and list(given) == sorted(given, key=default.index):
            return given, {}
        if len(given) == len(default) and not set(given) & {"path", "split", "id", *default}:
            return given, dict(zip(default, given, strict=True))
    raise HgldError(
        f"{folder}: levels {', '.join(given) or '(none)'}: expected {len(default)} names of your own, finest first, "
        f"or some of {', '.join(default)} in this order"
    )


def _short_names(paths: set[str]) -> dict[str, str]:
    """The last folder of each path, or the whole path where two classes have the same last folder."""
    last = {path: path.rpartition("/")[2] for path in paths}
    counts = Counter(last.values())
    return {path: name if counts[name] == 1 else path for path, name in last.items()}


def _others(others: Counter[str]) -> dict[str, str]:
    if not others:
        return {}
    shown = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(3))
    return {"left out": f"{others.total():,} file(s) that are no images ({shown})"}
