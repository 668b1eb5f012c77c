"""Random access to images in tars by id: an index with offsets, one `pread` per image, and its decoding."""

import io
import os
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
from PIL import ExifTags, Image, UnidentifiedImageError

from hgld.foundation.errors import HgldError, reason
from hgld.foundation.files import remedy
from hgld.foundation.tables import read_parquet

COLUMNS = ["id", "split", "tar", "offset", "size"]
# The only formats that are decoded. Pillow knows many more, and would start Ghostscript for a file that is EPS.
FORMATS = ("JPEG",)
# Part of the key of what is computed from decoded images: change it when `decode` gives other pixels.
DECODING = "upright RGB of JPEG"
MAX_PIXELS = 100_000_000
MAX_RATIO = 100  # of the longer side to the shorter: scaling the shorter one to 224 px needs 224 x 22,400 pixels
# What turns a stored picture upright, by its EXIF orientation; 1 is upright, and other values mean nothing.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(HgldError):
    """An image whose bytes are there, but cannot be decoded."""


def decode(data: bytes) -> Image.Image:
    """The image in the bytes of a JPEG file, as RGB and upright: its EXIF orientation is applied.

    Raises UnreadableImageError for other formats, damaged files, and images with more than MAX_PIXELS or MAX_RATIO.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImageError(f"{width} x {height} pixels are too many")
            if max(width, height) > MAX_RATIO * min(width, height):
                raise UnreadableImageError(f"{width} x {height} pixels are too narrow")
            picture = image.convert("RGB")
            transposition = _UPRIGHT.get(_orientation(image))
            return picture if transposition is None else picture.transpose(transposition)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError(f"not a readable picture: not a {' or '.join(FORMATS)} file") from None
    except Exception as error:  # a damaged file can raise anything
        raise UnreadableImageError(f"not a readable picture: {reason(error)}") from None


def _orientation(image: Image.Image) -> int:
    """The orientation in the EXIF data, 1 (upright) where there is none; damaged EXIF data do not spoil a picture."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged data can raise anything
        return 1
    return orientation if isinstance(orientation, int) else 1


def empty_index() -> pd.DataFrame:
    """An index (COLUMNS) without rows."""
    texts = pd.DataFrame({name: pd.Series(dtype="str") for name in COLUMNS[:3]})
    return texts.assign(**{name: pd.Series(dtype="int64") for name in COLUMNS[3:]})


def _checked(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The index, if its ids are 16 hex digits, each once, and its offsets and sizes can be places in a tar."""
    places = table[["offset", "size"]]
    numbers = all(pd.api.types.is_integer_dtype(places[name]) for name in places) and not (places < 0).any(axis=None)
    texts = all(pd.api.types.is_string_dtype(table[name]) for name in COLUMNS[:3])
    if not (numbers and texts and table["id"].str.fullmatch("[0-9a-f]{16}").all() and table["id"].is_unique):
        raise HgldError(f"{path}: not an index of images in tars (id, split, tar, offset, size); {remedy(path)}")
    return table


class ImageTars:
    """The images in the tars below `folder`, looked up in the index that the `images` stage wrote.

    The index is held as sorted arrays, 34 bytes per image: 170 MB for the 5 million images of GLDv2. The texts of its
    errors are data: the `embed` stage writes them to broken.csv.
    """

    def __init__(self, index: Path, folder: Path) -> None:
        table = _checked(read_parquet(index, COLUMNS), index).sort_values("id")
        self._folder = Path(folder)
        self._ids = table["id"].to_numpy(dtype="S16")
        tars, names = pd.factorize(table["tar"])
        self._tars = tars.astype(np.int16)
        self._names = [str(name) for name in names]
        self._offsets = table["offset"].to_numpy(np.int64)
        self._sizes = table["size"].to_numpy(np.int64)
        self._descriptors: dict[str, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, image_id: str) -> bool:
        return self._row(image_id) is not None

    def __getstate__(self) -> dict[str, object]:
        """Without file descriptors and the lock, so that a DataLoader worker can unpickle a copy."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_descriptors", "_lock")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _descriptors={}, _lock=Lock())

    def _row(self, image_id: str) -> int | None:
        key = np.bytes_(image_id.encode())
        row = int(np.searchsorted(self._ids, key))
        return row if row < len(self._ids) and self._ids[row] == key else None

    def read(self, image_id: str) -> bytes:
        """The bytes of one image file. Raises HgldError when the id is not in the index or the tar is missing."""
        row = self._row(image_id)
        if row is None:
            raise HgldError(
                f"image {image_id}: in none of the {len(self._names)} tars below {self._folder}; "
                "`images` in params.yaml says how many are fetched (hgld images)"
            )
        tar, size = self._names[self._tars[row]], int(self._sizes[row])
        data = os.pread(self._descriptor(tar), size, int(self._offsets[row]))
        if len(data) != size:
            raise HgldError(f"image {image_id}: {self._folder / tar} ends before it; run the images stage again")
        return data

    def image(self, image_id: str) -> Image.Image:
        """One image as RGB, upright. Raises UnreadableImageError when it cannot be decoded (see `decode`)."""
        data = self.read(image_id)
        try:
            return decode(data)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"image {image_id}: {error}") from None

    def _descriptor(self, tar: str) -> int:
        with self._lock:
            if tar not in self._descriptors:
                try:
                    self._descriptors[tar] = os.open(self._folder / tar, os.O_RDONLY)
                except OSError as error:
                    raise HgldError(f"{self._folder / tar}: {error.strerror}; run the images stage") from None
            return self._descriptors[tar]

    def close(self) -> None:
        """Close the tars; the next read opens them again."""
        with self._lock:
            for descriptor in self._descriptors.values():
                os.close(descriptor)
            self._descriptors.clear()

    def __enter__(self) -> "ImageTars":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
