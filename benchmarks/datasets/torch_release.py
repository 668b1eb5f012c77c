"""A release as a torch dataset for a training loop of one's own: an image, and the numbers of its labels.

    train = TorchRelease("data/sample/release", "data/sample/images", "train", transform=to_tensor)
    for images, labels in DataLoader(train, batch_size=64, shuffle=True):
        ...  # labels: (B, L), column 0 the finest level

`hgld train` does not use it: see `release.open_release`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from hgld.benchmarks.datasets.release import DEFAULT_LEVELS, numbered_roles
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.tar_images import ImageTars, UnreadableImageError, decode

ROLES = ("train", "query", "gallery")


class TorchRelease(Dataset[tuple[Any, Tensor]]):
    """The images of one role with their labels, (L,) int64, column 0 the finest level.

    release: a folder that `hgld release` wrote. images: the folder of `hgld images`, with tars and images.parquet, or
    one with the JPEGs as a/b/c/abc….jpg, as GLDv2's tars unpack, or side by side. role: train; query, the Public and
    Private test images; or gallery, the index images. transform: from the image (PIL, RGB) to what is returned, by
    default the image. clean_only: of train, only the images of the cleaned subset.

    Classes are numbered alike in all three roles; class_names[l][c] is the name of class c at level l, "" for an image
    without a label there, whose class is that of its landmark alone.

    Raises HgldError for an unknown role or level, and for a missing or malformed table; reading an image raises it when
    the image is missing or cannot be decoded.
    """

    def __init__(
        self,
        release: Path | str,
        images: Path | str,
        role: str = "train",
        *,
        levels: Sequence[str] = DEFAULT_LEVELS,
        transform: Callable[[Image.Image], Any] | None = None,
        clean_only: bool = True,
    ) -> None:
        if role not in ROLES:
            raise HgldError(f"no role {role!r}; known: {', '.join(ROLES)}{suggest(role, ROLES)}")
        roles = numbered_roles(Path(release), levels, clean_only=clean_only)
        table, self.labels = roles.tables[ROLES.index(role)], roles.labels[ROLES.index(role)]
        self.ids = list(table["image_id"])
        self.levels, self.class_names = roles.levels, roles.class_names
        self.transform = transform
        self._images = _images_in(Path(images))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, n: int) -> tuple[Any, Tensor]:
        image = self._images.image(self.ids[n])
        return image if self.transform is None else self.transform(image), self.labels[n]


class _Images(Protocol):
    def image(self, image_id: str) -> Image.Image: ...


def _images_in(folder: Path) -> _Images:
    index = folder / "images.parquet"
    return ImageTars(index, folder) if index.is_file() else _ImageFiles(folder)


class _ImageFiles:
    """The JPEGs below a folder, by image id."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise HgldError(f"no folder {folder}; give that of the tars, or of the JPEGs")
        self._folder = folder

    def image(self, image_id: str) -> Image.Image:
        name = f"{image_id}.jpg"
        nested = self._folder.joinpath(*image_id[:3], name)
        path = nested if nested.is_file() else self._folder / name
        try:
            return decode(path.read_bytes())
        except FileNotFoundError:
            raise HgldError(f"image {image_id}: neither {nested} nor {path}") from None
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{path}: {error}") from None
