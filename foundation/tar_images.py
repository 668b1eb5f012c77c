"""Random access to images in tars by id: an index with offsets, then one `pread` per image."""

import io
import os
import struct
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_parquet

COLUMNS = ["id", "split", "tar", "offset", "size"]
MAX_PIXELS = 100_000_000
# What Pillow raises for bytes that are not an image, damaged ones, and decompression bombs.
_UNREADABLE = (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning, OSError,
               SyntaxError, ValueError, EOFError, struct.error, MemoryError)  # fmt: skip


def empty_index() -> pd.DataFrame:
    """An index (COLUMNS) without rows."""
    texts = pd.DataFrame({name: pd.Series(dtype="str") for name in COLUMNS[:3]})
    return texts.assign(**{name: pd.Series(dtype="int64") for name in COLUMNS[3:]})


class ImageTars:
    """The images in the tars below `folder`, looked up in the index that the `images` stage wrote.

    The index is held as sorted arrays, 34 bytes per image: 170 MB for the 5 million images of GLDv2. The texts of its
    errors are data: the `embed` stage writes them to broken.csv.
    """

    def __init__(self, index: Path, folder: Path) -> None:
        table = read_parquet(index, COLUMNS).sort_values("id")
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
        """One image as RGB. Raises HgldError when it cannot be decoded or has more than MAX_PIXELS pixels."""
        try:
            with Image.open(io.BytesIO(self.read(image_id))) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise HgldError(f"image {image_id}: {image.width} x {image.height} pixels are too many")
                return image.convert("RGB")
        except _UNREADABLE as error:
            raise HgldError(f"image {image_id}: not a readable picture: {error}") from None

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
