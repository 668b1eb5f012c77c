"""The pictures of a landmark, from the image tars, in the size that a page shows."""

import io
from collections.abc import Iterable
from threading import Lock

import numpy as np
import pandas as pd
from PIL import Image

from hgld.foundation.settings import Params
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.dataset.landmarks import IMAGES, SPLITS
from hgld.pipeline.dataset.schemas import read_stage_table

PER_LANDMARK = 24
SIZES = (320, 1280)


class _ImagesOfLandmarks:
    """The image ids of each landmark of a split: 16 bytes per image, found by a slice."""

    def __init__(self, params: Params, split: str) -> None:
        table = read_stage_table(params.data / "metadata" / f"{IMAGES[split]}.parquet", ["id", "landmark_id"])
        table = table.sort_values("id")
        groups, names = pd.factorize(table["landmark_id"])
        order = np.argsort(groups, kind="stable")
        self._ids = table["id"].to_numpy(dtype="S16")[order]
        self._ends = np.cumsum(np.bincount(groups, minlength=len(names)))
        self._number = {str(name): number for number, name in enumerate(names)}

    def ids(self, landmark_id: str) -> list[str]:
        """The ids of one landmark, ascending."""
        number = self._number.get(landmark_id)
        if number is None:
            return []
        start = int(self._ends[number - 1]) if number else 0
        return [image_id.decode() for image_id in self._ids[start : int(self._ends[number])].tolist()]


class LandmarkPictures:
    """Ids of the pictures of each landmark, and the pictures. Safe to use from several threads.

    Only pictures whose ids have been asked for can be had. The tables of all images are read at the first question, a
    few seconds for GLDv2; after that a picture costs its decoding.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._lock = Lock()
        self._tars: ImageTars | None = None
        self._images: dict[str, _ImagesOfLandmarks] | None = None
        self._shown: set[str] = set()

    def ids(self, landmarks: Iterable[tuple[str, str]], limit: int = PER_LANDMARK) -> list[str]:
        """At most `limit` pictures of some landmarks (split, id) that are on disk, spread evenly over all of these."""
        images, tars = self._read()
        found = [i for split, landmark in landmarks for i in images[split].ids(landmark) if tars and i in tars]
        if len(found) > limit:
            found = [found[round(n * (len(found) - 1) / (limit - 1))] for n in range(limit)]
        with self._lock:
            self._shown.update(found)
        return found

    def _read(self) -> tuple[dict[str, _ImagesOfLandmarks], ImageTars | None]:
        with self._lock:
            if self._images is None:
                folder = self._params.data / "images"
                index = folder / "images.parquet"
                self._tars = ImageTars(index, folder) if index.is_file() else None
                self._images = {split: _ImagesOfLandmarks(self._params, split) for split in SPLITS}
            return self._images, self._tars

    def jpeg(self, image_id: str, size: int) -> bytes:
        """A picture as JPEG, at most `size` pixels a side.

        Raises KeyError for an id that was not asked for, HgldError for a missing tar, and UnreadableImageError for a
        picture that cannot be decoded.
        """
        with self._lock:
            known = image_id in self._shown
        if not known or self._tars is None:
            raise KeyError(image_id)
        picture = self._tars.image(image_id)
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=85)
        return buffer.getvalue()

    def close(self) -> None:
        """Close the tars."""
        if self._tars is not None:
            self._tars.close()
