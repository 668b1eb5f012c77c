"""The roles of images: as their source names them, and how images without roles are split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from hgld.benchmarks.datasets.files.image_list import ROLES, ImageList
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.text_input import whole_number

SPLITS = ("class", "image", "none")
_SAME = {"validation": "val", "valid": "val", "queries": "query", "training": "train", "testing": "test"}
PROTOCOLS = {
    "test": "every test image is a query, and the other test images are its gallery (itself is left out by its id)",
    "query": "query images against gallery images (a gallery image with the query's id is left out)",
    "val": "there are no test images: every validation image is a query, and the others are its gallery",
    "": "there are no test images: for training only",
}


def role_of(word: str) -> str | None:
    """The role that a word of a table, or the name of a folder, means; None for none.

    >>> role_of("Train"), role_of("validation"), role_of("tets")
    ('train', 'val', None)
    """
    word = word.strip().casefold()
    word = _SAME.get(word, word)
    return word if word in ROLES else None


def unknown_role(word: str) -> str:
    """The message about a word that is no role."""
    return f"unknown split {word[:60]!r}{suggest(word, ROLES)}; known: {', '.join(ROLES)}"


def check_split(split: str | None, allowed: Sequence[str] = SPLITS) -> None:
    """Raise HgldError for an unknown way to split."""
    if split is not None and split not in allowed:
        raise HgldError(f"unknown split {split!r}{suggest(split, allowed)}; known: {', '.join(allowed)}")


def validate_on(images: ImageList, name: str) -> ImageList:
    """The list with the images of one split, val or test, for validation while training, without any other val images.

    Raises HgldError for a split that the images do not have, or that has another use.
    """
    role, there = role_of(name), set(images.rows["split"])
    if role not in ("val", "test") or role not in there:
        known = " or ".join(other for other in ("val", "test") if other in there)
        raise HgldError(
            f"{images.where or images.folder}: no images of the split {name[:60]!r} to validate on; "
            + (f"possible: {known}" if known else f"there are {', '.join(sorted(there))}")
        )
    if role == "val":
        return images
    images = images.without("val")
    splits = images.rows["split"].replace("test", "val")
    return replace(images, rows=images.rows.assign(split=splits), protocol=protocol_of(set(splits), images.where))


def protocol_of(roles: Iterable[str], where: str) -> str:
    """The protocol that follows from the roles that there are. Raises HgldError where they contradict each other."""
    there = set(roles)
    if "test" in there and there & {"query", "gallery"}:
        raise HgldError(f"{where}: test images are queries and gallery; expected either test, or query and gallery")
    if len(there & {"query", "gallery"}) == 1:
        lacking = "gallery" if "query" in there else "query"
        raise HgldError(f"{where}: no {lacking} images; images that are both are called test")
    return PROTOCOLS[next((name for name in ("test", "query", "val") if name in there), "")]


def natural_key(text: str) -> tuple[int, int, str]:
    """For sorting: whole numbers by their value, before all other texts.

    >>> sorted(["10", "9", "a", "B"], key=natural_key)
    ['9', '10', 'B', 'a']
    """
    number = whole_number(text)
    return (1, 0, text) if number is None else (0, number, text)


def split_list(images: ImageList, split: str) -> ImageList:
    """The list with the roles train and test, split by class, by image or not at all (none: all are test images).

    class: the zero-shot protocol of deep metric learning: of the finest classes in sorted order, the first half trains,
    the second half is tested on. image: of every class the half of the images whose hashed ids come first trains, so
    that adding images moves no other; a class of one image trains.
    """
    finest = images.rows[images.levels[0]]
    if split == "class":
        names = sorted(set(finest) - {""}, key=natural_key)
        train = finest.isin(names[: (len(names) + 1) // 2]).to_numpy(dtype=bool)
        text = (
            f"by class: the first half of the {len(names):,} classes in sorted order trains, the others are tested on"
        )
    elif split == "image":
        train = _first_half_of_each(finest, images.rows["id"])
        text = "by image: half of the images of every class trains, chosen by a hash of their ids"
    else:
        train = np.zeros(len(finest), bool)
        text = "none: there are no training images"
    roles = np.where(train, "train", "test")
    return replace(
        images,
        rows=images.rows.assign(split=roles),
        protocol=protocol_of(set(roles), images.where or str(images.folder)),
        facts={**images.facts, "split": text},
    )


def _first_half_of_each(classes: pd.Series, ids: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    hashes = [hashlib.sha256(identity.encode("utf-8", "surrogateescape")).digest() for identity in ids]
    order = pd.Series(hashes, index=range(len(hashes)), dtype=object)
    codes = pd.Series(pd.factorize(classes)[0])
    table = pd.DataFrame({"code": codes, "hash": order}).sort_values(["code", "hash"], kind="stable")
    position = table.groupby("code").cumcount()
    size = table.groupby("code")["hash"].transform("size")
    return (position < (size + 1) // 2).sort_index().to_numpy(dtype=bool)
