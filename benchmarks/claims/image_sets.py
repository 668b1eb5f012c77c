"""The two sets of real images, read from their zips: pixels, and labels with the finest level first.

    grocery    GroceryStore (Klasson et al., WACV 2019): 5,125 photographs, 81 fine, 43 coarse and 3 top classes
    omniglot   Omniglot (Lake et al., Science 2015): 2,720 drawings of 136 characters of 5 alphabets

A fine class is either trained on or tested on, never both: `training_rows` deals the classes into two halves.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from hgld.foundation.errors import HgldError, reason, suggest

SIDE = 112  # of the pixels that the pretrained network sees
# Of the mistakes that our name model makes on a label: the share of the most frequent wrong label, of the second, and
# so on, as `python -m tests.held_out` prints them. The rest is spread over all others.
CONFUSION_SHARES = (0.23, 0.11, 0.08, 0.06, 0.05, 0.05)


@dataclass(frozen=True)
class Source:
    """A zip below the data folder, the end of its images' names, its levels, and an image's classes from its path."""

    file: str
    suffix: str
    levels: tuple[str, ...]
    classes: Callable[[Sequence[str]], tuple[str, ...]]


def _grocery_classes(parts: Sequence[str]) -> tuple[str, ...]:
    """split/top/coarse[/fine]/image.jpg: where a coarse class is not divided, it is the fine one too."""
    return "/".join(parts[1:-1]), "/".join(parts[1:3]), parts[1]


def _omniglot_classes(parts: Sequence[str]) -> tuple[str, ...]:
    """folder/alphabet/character/image.png."""
    return "/".join(parts[1:3]), parts[1]


SOURCES = {
    "grocery": Source("grocery/grocery_store_112px.zip", ".jpg", ("fine", "coarse", "top"), _grocery_classes),
    "omniglot": Source("omniglot/images_background_small1.zip", ".png", ("character", "alphabet"), _omniglot_classes),
}


@dataclass(frozen=True)
class ImageSet:
    """Images of one set: the zip, the paths in it in order, and labels (n, L) int64 from 0, column 0 the finest.

    version: eight digits that change with the paths and the bytes of the images.
    """

    name: str
    path: Path
    images: tuple[str, ...]
    labels: Tensor
    version: str

    def pixels(self, first: int, last: int, side: int = SIDE) -> Tensor:
        """Images first..last as (n, 3, side, side) uint8: the shorter side scaled to `side`, then a centre crop."""
        with ZipFile(self.path) as archive:
            return torch.from_numpy(np.stack([_read(archive, name, side) for name in self.images[first:last]]))


def read_image_set(name: str, data: Path) -> ImageSet:
    """The set of that name below the folder `data`. Raises HgldError where it is missing or no such zip."""
    if name not in SOURCES:
        raise HgldError(f"unknown set of images {name!r}{suggest(name, SOURCES)}; known: {', '.join(SOURCES)}")
    source = SOURCES[name]
    path = data / source.file
    try:
        with ZipFile(path) as archive:
            sums = {entry.filename: entry.CRC for entry in archive.infolist() if entry.filename.endswith(source.suffix)}
    except (OSError, BadZipFile) as error:
        raise HgldError(
            f"{path}: cannot be read ({reason(error)}); --data names the folder that holds {source.file}"
        ) from None
    images = tuple(sorted(sums))
    columns = list(zip(*(source.classes(image.split("/")) for image in images), strict=True))
    if not columns:
        raise HgldError(f"{path}: expected images *{source.suffix}, found none")
    numbers = [np.unique(column, return_inverse=True)[1] for column in columns]
    version = hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest()[:8]
    return ImageSet(name, path, images, torch.from_numpy(np.stack(numbers, axis=1).astype(np.int64)), version)


def training_rows(labels: Tensor, seed: int) -> Tensor:
    """Which images are trained on, (n,) bool: those of a random half of the fine classes; the others are for tests."""
    classes = int(labels[:, 0].max()) + 1
    chosen = torch.randperm(classes, generator=torch.Generator().manual_seed(seed))[: (classes + 1) // 2]
    return torch.isin(labels[:, 0], chosen)


def mislabelled(labels: Tensor, fraction: float, seed: int, features: Tensor | None = None) -> Tensor:
    """Labels in which a fraction of the fine classes, at least one, stand under another label of level 1.

    The other label is drawn from those of level 1 with equal chances; or, with features (n, d) of the images, the label
    whose mean feature is the k-th nearest to that of the right one has the chance CONFUSION_SHARES[k], and those beyond
    share what is left. The coarser columns follow it, so that the levels nest as before. The finest column is never
    wrong.
    """
    if not fraction:
        return labels
    generator = torch.Generator().manual_seed(seed)
    classes = torch.unique(labels[:, 0])
    families = torch.unique(labels[:, 1:], dim=0)
    means = None if features is None else _means(features, labels[:, 1], families[:, 0])
    wrong = classes[torch.randperm(len(classes), generator=generator)][: max(1, round(fraction * len(classes)))]
    changed = labels.clone()
    for fine in wrong:
        rows = labels[:, 0] == fine
        right = families[:, 0] == labels[rows][0, 1]
        others = families[~right]
        if means is None:
            chosen = int(torch.randint(len(others), (1,), generator=generator))
        else:
            nearest = (means[~right] - means[right]).norm(dim=1).argsort()
            chosen = int(nearest[int(torch.multinomial(_chances(len(others)), 1, generator=generator))])
        changed[rows, 1:] = others[chosen]
    return changed


def _chances(count: int) -> Tensor:
    """Of the other labels, the one that looks most alike first; not normalised where there are only a few."""
    shares = torch.tensor(CONFUSION_SHARES[:count])
    rest = count - len(shares)
    return torch.cat([shares, torch.full((rest,), (1 - sum(CONFUSION_SHARES)) / max(1, rest))])


def _means(features: Tensor, labels: Tensor, families: Tensor) -> Tensor:
    """The mean feature of each family, (families, d)."""
    return torch.stack([features[labels == family].mean(0) for family in families])


def _read(archive: ZipFile, name: str, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One image as (3, side, side) uint8."""
    try:
        image = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
    except (UnidentifiedImageError, OSError, BadZipFile) as error:
        raise HgldError(f"{archive.filename}: {name} is no image ({reason(error)})") from None
    width, height = image.size
    scale = side / min(width, height)
    if scale != 1:
        image = image.resize((max(side, round(width * scale)), max(side, round(height * scale))), Image.Resampling.BOX)
    left, upper = (image.width - side) // 2, (image.height - side) // 2
    cropped = image.crop((left, upper, left + side, upper + side))
    return np.ascontiguousarray(np.asarray(cropped, dtype=np.uint8).transpose(2, 0, 1))
