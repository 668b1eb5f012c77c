"""Which images of a dataset can be decoded: those that cannot are left out and counted, up to a limit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from torch import Tensor
from tqdm import tqdm

from hgld.benchmarks.datasets.labelled_images import LabelledImages, RetrievalDataset
from hgld.benchmarks.datasets.survey_cache import Survey, SurveyCache
from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import UnreadableImageError

CHUNK = 1024  # images handed to the threads at once
SHOWN = 10  # reasons that are printed


@dataclass(frozen=True)
class ImageSubset:
    """Some rows of a set of images."""

    images: LabelledImages
    rows: Sequence[int]

    @property
    def ids(self) -> list[str]:
        """One id per image."""
        ids = self.images.ids
        return [ids[row] for row in self.rows]

    @property
    def labels(self) -> Tensor:
        """(n, L) int64 class numbers, column 0 the finest level."""
        return self.images.labels[list(self.rows)]

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, n: int) -> Image.Image:
        """Image n as RGB."""
        return self.images.image(self.rows[n])

    def caption(self, n: int) -> str:
        """What image n shows, for people."""
        return self.images.caption(self.rows[n])


def survey(images: LabelledImages, rows: Iterable[int], threads: int) -> Survey:
    """Decode these rows. Raises HgldError for an image that is not there at all, such as one in a missing tar."""
    ids = images.ids

    def look(row: int) -> tuple[int, str, int]:
        try:
            image = images.image(row)
        except UnreadableImageError as error:
            return row, str(error), 0
        pixels = hashlib.sha256(f"{ids[row]} {image.mode} {image.size} ".encode())
        pixels.update(image.tobytes())
        return row, "", int.from_bytes(pixels.digest())

    broken, digest, waiting = {}, 0, list(rows)
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(waiting), desc="check images", unit="image", leave=False, disable=None) as bar,
    ):
        for start in range(0, len(waiting), CHUNK):
            chunk = waiting[start : start + CHUNK]
            for row, reason, pixels in pool.map(look, chunk):
                digest += pixels
                if reason:
                    broken[row] = reason
            bar.update(len(chunk))
    return Survey(broken, digest % 2**256)


def readable(
    images: LabelledImages, broken: dict[int, str], *, what: str, section: str, limit: float
) -> LabelledImages:
    """The images without the broken ones (reason by row).

    what: the name of the set in messages, such as "train"; section: the section of params.yaml with the limit. Raises
    HgldError when the fraction of broken images exceeds `limit`, or all are broken.
    """
    if not broken:
        return images
    total, first = len(images), broken[min(broken)]
    remedy = getattr(images, "remedy", "run `hgld images` again")
    if len(broken) == total:
        raise HgldError(f"none of {total} {what} images can be read; the first: {first}; {remedy}")
    if len(broken) > limit * total:
        raise HgldError(
            f"{len(broken)} of {total} {what} images cannot be read, more than {section}.max_broken ({limit:g}) "
            f"allows; the first: {first}; {remedy}, or allow more in params.yaml"
        )
    return ImageSubset(images, [row for row in range(total) if row not in broken])


def report_broken(broken: dict[int, str], total: int, what: str) -> None:
    """Print how many images are left out, and the reasons of the first of them."""
    if broken:
        echo(f"{len(broken)} of {total} {what} images cannot be read and are left out:")
        for row in sorted(broken)[:SHOWN]:
            echo(f"  {broken[row]}")


def readable_roles(dataset: RetrievalDataset, *, limit: float, threads: int, cache: Path) -> RetrievalDataset:
    """The dataset with those queries and gallery images that can be read; the others are counted in it.

    cache: the folder where the unreadable ones are remembered.
    """
    broken: list[dict[int, str]] = []
    for what, images in (("query", dataset.query), ("gallery", dataset.gallery)):
        if broken and dataset.gallery is dataset.query:
            broken *= 2
            break
        remembered = SurveyCache.of(images, cache / f"{what}.json")
        if (found := remembered.read()) is None:
            found = survey(images, range(len(images)), threads)
            remembered.write(found)
        broken.append(found.broken)
    return without_broken(dataset, *broken, limit=limit)


def without_broken(
    dataset: RetrievalDataset, queries: dict[int, str], gallery: dict[int, str], *, limit: float
) -> RetrievalDataset:
    """The dataset without unreadable queries and gallery images (reason by row), which are printed and counted in it.

    Raises HgldError when the fraction of either exceeds `limit`.
    """
    kept, counts = [], []
    for what, images, broken in (("query", dataset.query, queries), ("gallery", dataset.gallery, gallery)):
        kept.append(readable(images, broken, what=what, section="benchmark", limit=limit))
        report_broken(broken, len(images), what)
        counts.append(len(broken))
    if not any(counts):
        return dataset
    query, gallery_images = kept
    if dataset.gallery is dataset.query:
        gallery_images = query
    rows = list(query.rows) if isinstance(query, ImageSubset) else list(range(len(query)))
    columns = dataset.query_columns
    return replace(
        dataset,
        query=query,
        gallery=gallery_images,
        query_columns=columns if columns.empty else columns.iloc[rows].reset_index(drop=True),
        subsets={name: [members[row] for row in rows] for name, members in dataset.subsets.items()},
        label_sources=[dataset.label_sources[row] for row in rows] if dataset.label_sources else (),
        continents=[dataset.continents[row] for row in rows] if dataset.continents else (),
        broken_queries=counts[0],
        broken_gallery=counts[1],
    )
