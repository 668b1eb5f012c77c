"""Images that lie in files: read and decoded one by one, some of them cropped to a box."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import MAX_BYTES, UnreadableImageError, decode

# Pillow's names. Not EPS, for which Pillow starts Ghostscript, and no formats that nobody uses for photographs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
# Part of the fingerprint: change it when the same file gives other pixels.
_DECODING = "upright RGB 1"

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class FileImages:
    """The images of one role.

    paths: relative to `folder`, or absolute. ids, captions: one per image. labels (n, L) int64, column 0 the finest.
    states (n, 2) int64: size and time of the last change of each file when it was listed. boxes: left, upper, right
    and lower pixel to which an image is cropped, by row.
    """

    ids: Sequence[str]
    labels: Tensor
    folder: Path
    paths: Sequence[str]
    captions: Sequence[str]
    states: npt.NDArray[np.int64]
    boxes: dict[int, Box]
    remedy: str = "copy or download these files again"  # for messages about unreadable images

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, n: int) -> Image.Image:
        """Image n as RGB, upright, and cropped to its box if it has one.

        Raises UnreadableImageError when it cannot be decoded, and HgldError when there is no such file any more.
        """
        path = self.folder / self.paths[n]
        try:
            picture = decode(_read(path), FORMATS)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"image {path}: {error}") from None
        box = self.boxes.get(n)
        if box is None:
            return picture
        if not (box[0] < picture.width and box[1] < picture.height and box[2] > 0 and box[3] > 0):
            raise UnreadableImageError(f"image {path}: its box {box} is outside of {picture.width} x {picture.height}")
        return picture.crop(tuple(map(round, box)))  # type: ignore[arg-type]  # four numbers

    def caption(self, n: int) -> str:
        """The class of image n."""
        return self.captions[n]

    def fingerprint(self) -> str:
        """A hash of the ids, the paths, the boxes, and the size and time of the last change of each file."""
        digest = hashlib.sha256(repr([_DECODING, FORMATS, sorted(self.boxes.items())]).encode())
        for texts in (self.ids, self.paths):
            digest.update("\0".join(texts).encode("utf-8", "surrogateescape"))
            digest.update(b"\0\0")
        digest.update(np.ascontiguousarray(self.states).tobytes())
        return digest.hexdigest()


def file_states(folder: Path, paths: Sequence[str]) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Size and time of the last change (ns) of each file (n, 2), and by row what is wrong with those not readable.

    Only regular files are images: reading a pipe or a device may never end.
    """
    states, wrong = np.zeros((len(paths), 2), np.int64), {}
    root = f"{folder}/"
    for row, path in enumerate(paths):
        try:
            found = os.stat(path if path[:1] == "/" else root + path)  # noqa: PTH116 (a million: Path takes 5 times as long)
        except (OSError, ValueError) as error:  # the last one: a path with a NUL
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            wrong[row] = "no such file" if missing else getattr(error, "strerror", None) or str(error)
            continue
        if stat.S_ISREG(found.st_mode):
            states[row] = found.st_size, found.st_mtime_ns
        else:
            wrong[row] = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
    return states, wrong


def _read(path: Path) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES."""
    try:
        # a pipe put there meanwhile would be waited for without O_NONBLOCK
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 (it has a descriptor)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise HgldError(f"image {path}: not a regular file")
            if status.st_size > MAX_BYTES:
                raise UnreadableImageError(f"{status.st_size:,} bytes are too many")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise HgldError(f"image {path}: {error.strerror}; it was there when the images were listed") from None
