"""Random access to images in tars by id: an index with offsets, one `pread` per image, and its decoding."""

import hashlib
import io
import os
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import ExifTags, Image, UnidentifiedImageError

from hgld.foundation.errors import HgldError, lacks_memory, reason
from hgld.foundation.files import remedy
from hgld.foundation.tables import read_parquet

COLUMNS = ["id", "split", "tar", "offset", "size"]
# The only formats that are decoded. Pillow knows many more, and would start Ghostscript for a file that is EPS.
FORMATS = ("JPEG",)
_JPEG = ("JPEG", "MPO")  # what Pillow calls a JPEG that holds several pictures
# Part of the key of what is computed from decoded images: change it when `decode` gives other pixels.
DECODING = "upright RGB of JPEG"
MAX_PIXELS = 100_000_000
MAX_RATIO = 100  # of the longer side to the shorter: scaling the shorter one to 224 px needs 224 x 22,400 pixels
# A progressive JPEG has about ten scans. Each costs 0.6 ns per pixel, even one of 51 bytes: 1,000 of them in a file of
# 0.2 MB took 19 s at 30 megapixels.
MAX_SCANS = 100
MAX_BYTES = 1 << 28  # of a file: 21 bits per pixel of the largest picture
# A marker with a segment, or the end of the image: not a stuffed byte, a fill byte, or a marker that stands alone.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# What Pillow raises for damaged files. Not MemoryError: no fault of the file.
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
)
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


class Frame(NamedTuple):
    """What the markers of a JPEG say: the width and height of its picture, and the number of its scans."""

    width: int
    height: int
    scans: int


def jpeg_frame(data: bytes) -> Frame:
    """Read the markers of a JPEG, or of its first bytes, without decoding it; 0 x 0 where there is no frame header.

    Where there are several headers, which is an error, the largest counts.
    """
    width = height = scans = 0
    place = 0
    while (found := _MARKER.search(data, place)) and (marker := found[1][0]) != _END_OF_IMAGE:
        place = found.end()
        if marker in _FRAME_HEADERS:
            size = int.from_bytes(data[place + 5 : place + 7]), int.from_bytes(data[place + 3 : place + 5])
            width, height = max((width, height), size, key=lambda sides: sides[0] * sides[1])
        scans += marker == _START_OF_SCAN
        place += int.from_bytes(data[place : place + 2])
    return Frame(width, height, scans)


def decode(data: bytes, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """The image in the bytes of a JPEG file, as RGB and upright: its EXIF orientation is applied.

    formats: Pillow's names of those that are decoded; of an animation, the first frame. Grey values of 16 bits become 8
    bits, transparency is dropped.

    Raises UnreadableImageError for other formats, damaged files, images with more than MAX_PIXELS, MAX_RATIO or
    MAX_SCANS, and pixels of 32 bits, of which white and black are not known.
    """
    _check_bounds(data)
    try:
        with _without_warnings():
            image = Image.open(io.BytesIO(data), formats=formats)
            transposition = _UPRIGHT.get(_orientation(image)) if image.format in _JPEG else None
        with image:
            if image.format in _JPEG:
                picture = image.convert("RGB")
            else:
                _check_size(*image.size)
                picture, transposition = _other_than_jpeg(image)
        return picture if transposition is None else picture.transpose(transposition)
    except UnidentifiedImageError:
        raise UnreadableImageError(f"not a readable picture: not a {' or '.join(formats)} file") from None
    except _DAMAGED as error:
        if lacks_memory(error):  # Pillow's word for what its decoder could not allocate
            raise MemoryError(str(error)) from None
        raise UnreadableImageError(f"not a readable picture: {reason(error)}") from None


def _other_than_jpeg(image: Image.Image) -> tuple[Image.Image, Image.Transpose | None]:
    """The picture as RGB, and what turns it upright: the orientation may stand behind the pixels of a PNG.

    Pillow turns a TIFF upright as it loads it, and its orientation is then gone.
    """
    if image.format == "TIFF":  # libtiff warns while it loads
        with _without_warnings():
            image.load()
    else:
        image.load()
    with _without_warnings():
        transposition = _UPRIGHT.get(_orientation(image))
    if image.mode in ("I", "F"):
        raise UnreadableImageError(f"pixels of 32 bits (mode {image.mode}); save it with 8 bits per channel")
    if image.mode.startswith("I;16"):  # Pillow would cut off all above 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB"), transposition
    if image.mode == "P" and "transparency" in image.info:  # Pillow warns of it unless it goes this way
        image = image.convert("RGBA")
    return image.convert("RGB"), transposition


def _check_bounds(data: bytes) -> None:
    """Raise UnreadableImageError for a JPEG that would take too much time or memory."""
    width, height, scans = jpeg_frame(data) if data.startswith(b"\xff\xd8") else Frame(0, 0, 0)
    _check_size(width, height)
    if scans > MAX_SCANS:
        raise UnreadableImageError(f"{scans} scans are too many; a progressive JPEG has about 10")


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width} x {height} pixels are too many")
    if max(width, height) > MAX_RATIO * min(width, height) > 0:
        raise UnreadableImageError(f"{width} x {height} pixels are too narrow")


_WARNINGS = Lock()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Pillow warns of damaged metadata, once per tag of a picture. The lock: filters of warnings are global."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _orientation(image: Image.Image) -> int:
    """The orientation in the EXIF data, 1 (upright) where there is none; damaged EXIF data do not spoil a picture."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGED:
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
        """The bytes of one image file.

        Raises HgldError when the id is not in the index or the tar is missing or ends before it, and
        UnreadableImageError for more than MAX_BYTES.
        """
        row = self._row(image_id)
        if row is None:
            raise HgldError(
                f"image {image_id}: in none of the {len(self._names)} tars below {self._folder}; "
                "`images` in params.yaml says how many are fetched (hgld images)"
            )
        tar, size = self._names[self._tars[row]], int(self._sizes[row])
        if size > MAX_BYTES:
            raise UnreadableImageError(f"image {image_id}: {size:,} bytes are too many")
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

    def fingerprint(self, image_ids: Sequence[str]) -> str:
        """A hash of these ids, their places in the tars, and the state of the tars; no image is read.

        It differs when a tar has been written to (size, time of the last change) or tars.csv states another checksum.
        Raises HgldError when a tar is missing.
        """
        ids = np.array([image_id.encode() for image_id in image_ids], dtype="S16")
        rows = np.searchsorted(self._ids, ids)
        rows = rows[rows < len(self._ids)]
        digest = hashlib.sha256(ids.tobytes())
        for places in (self._tars, self._offsets, self._sizes):
            digest.update(places[rows].tobytes())
        for tar in np.unique(self._tars[rows]):
            name = self._names[tar]
            state = os.fstat(self._descriptor(name))
            digest.update(f"{name} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}\n".encode())
        if (checksums := self._folder / "tars.csv").is_file():
            digest.update(checksums.read_bytes())
        return digest.hexdigest()

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
