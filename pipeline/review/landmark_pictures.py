"""The pictures of a landmark, from the image tars or `hgld thumbnails`, in the size that a page shows."""

import io
from collections.abc import Collection, Iterable
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

from hgld.foundation.errors import HgldError, reason
from hgld.foundation.files import remedy
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.foundation.tar_images import ImageTars, UnreadableImageError, decode
from hgld.pipeline.dataset.attribution import Attributions, credit
from hgld.pipeline.dataset.landmarks import IMAGES, SPLITS
from hgld.pipeline.dataset.thumbnail_folder import ThumbnailFolder

PER_LANDMARK = 24
SIZES = (320, 1280)
_THUMBNAIL_FORMATS = ("JPEG", "PNG", "WEBP")


class _ImagesOfLandmarks:
    """The image ids of each landmark of a split: 16 bytes per image, found by a slice."""

    def __init__(self, params: Params, split: str) -> None:
        path = params.data / "metadata" / f"{IMAGES[split]}.parquet"
        table = read_parquet(path, ["id", "landmark_id"])
        columns = pa.Table.from_pandas(table, preserve_index=False)
        ids = _sixteen_bytes(columns["id"].combine_chunks(), path)
        landmarks = columns["landmark_id"].combine_chunks().dictionary_encode()
        groups, names = landmarks.indices.to_numpy(), landmarks.dictionary.to_pylist()
        order = np.lexsort((ids, groups))
        self._ids = ids[order]
        self._ends = np.cumsum(np.bincount(groups, minlength=len(names)))
        self._number = {str(name): number for number, name in enumerate(names)}

    def ids(self, landmark_id: str) -> list[str]:
        """The ids of one landmark, ascending."""
        number = self._number.get(landmark_id)
        if number is None:
            return []
        start = int(self._ends[number - 1]) if number else 0
        return [image_id.decode() for image_id in self._ids[start : int(self._ends[number])].tolist()]


class _Tables(NamedTuple):
    """The images of each split, the tars if there is an index of them, the fetched thumbnails, and who made them."""

    images: dict[str, _ImagesOfLandmarks]
    tars: ImageTars | None
    thumbnails: ThumbnailFolder
    attributions: Attributions


def _sixteen_bytes(ids: pa.Array, path: Path) -> np.ndarray:
    """Image ids as bytes, which take a fraction of the memory and time of texts."""
    try:
        found = ids.cast(pa.binary()).cast(pa.binary(16))
    except pa.ArrowException as error:
        raise HgldError(f"{path}: the ids of images are not 16 hex digits: {reason(error)}; {remedy(path)}") from None
    return np.frombuffer(found.buffers()[1], "S16")[found.offset : found.offset + len(found)]


class LandmarkPictures:
    """Ids of the pictures of each landmark, and the pictures. Safe to use from several threads.

    Only pictures whose ids have been asked for can be had. The tables of all images are read at the first question, a
    few seconds for GLDv2; after that a picture costs its decoding.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._lock = Lock()
        self._tables: _Tables | None = None
        self._shown: set[str] = set()

    def ids(self, landmarks: Iterable[tuple[str, str]], limit: int = PER_LANDMARK) -> list[str]:
        """At most `limit` pictures of some landmarks (split, id) that are on disk, spread evenly over all of these."""
        images, tars, thumbnails, _ = self._read()
        fetched = thumbnails.fetched()
        ids = (image_id for split, landmark in landmarks for image_id in images[split].ids(landmark))
        found = [image_id for image_id in ids if image_id in fetched or (tars and image_id in tars)]
        if len(found) > limit:
            found = [found[round(n * (len(found) - 1) / (limit - 1))] for n in range(limit)]
        with self._lock:
            self._shown.update(found)
        return found

    def credits(self, image_ids: Collection[str]) -> dict[str, str]:
        """Image id → "AUTHOR, LICENSE", of the pictures that have them."""
        _, _, thumbnails, attributions = self._read()
        pairs = {image_id: (one["author"], one["license"]) for image_id, one in attributions.of(image_ids).items()}
        rows = [row for image_id in image_ids if (row := thumbnails.get(image_id))]
        pairs |= {row.id: (row.author, row.license) for row in rows if row.author or row.license}
        return {image_id: text for image_id, pair in pairs.items() if (text := credit(*pair))}

    def _read(self) -> _Tables:
        with self._lock:
            if self._tables is None:
                folder = self._params.data / "images"
                index = folder / "images.parquet"
                self._tables = _Tables(
                    {split: _ImagesOfLandmarks(self._params, split) for split in SPLITS},
                    ImageTars(index, folder) if index.is_file() else None,
                    ThumbnailFolder(self._params),
                    Attributions(self._params),
                )
            return self._tables

    def jpeg(self, image_id: str, size: int) -> bytes:
        """A picture as JPEG, at most `size` pixels a side.

        Raises KeyError for an id that was not asked for, HgldError for a missing tar, and UnreadableImageError for a
        picture that cannot be decoded.
        """
        with self._lock:
            known = image_id in self._shown
        if not known:
            raise KeyError(image_id)
        picture = self._picture(image_id)
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=85)
        return buffer.getvalue()

    def _picture(self, image_id: str) -> Image.Image:
        """From its tar; or, where that is not there or has been deleted, from the thumbnails."""
        _, tars, thumbnails, _ = self._read()
        path = thumbnails.picture(image_id)
        if tars and image_id in tars:
            try:
                return tars.image(image_id)
            except UnreadableImageError:
                raise
            except HgldError:
                if not path.is_file():
                    raise
        try:
            return decode(path.read_bytes(), _THUMBNAIL_FORMATS)
        except FileNotFoundError:
            raise KeyError(image_id) from None

    def close(self) -> None:
        """Close the tars."""
        if self._tables and self._tables.tars is not None:
            self._tables.tars.close()
