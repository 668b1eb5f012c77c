"""Which images of a dataset can be decoded: those that cannot are left out and counted, up to a limit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice

from PIL import Image
from torch import Tensor

from hgld.benchmarks.datasets.labelled_images import LabelledImages, RetrievalDataset
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


@dataclass(frozen=True)
class Survey:
    """What was found by decoding images: reason by row of the unreadable ones, and a digest of the pixels.

    The digest is a sum of hashes, so that the images may be surveyed in parts, in any order.
    """

    broken: dict[int, str] = field(default_factory=dict)
    digest: int = 0

    def __add__(self, other: Survey) -> Survey:
        return Survey({**self.broken, **other.broken}, (self.digest + other.digest) % 2**256)


def survey(images: LabelledImages, rows: Iterable[int], threads: int) -> Survey:
    """Decode these rows. Raises HgldError for an image that is not there at all, such as one in a missing tar."""
    ids = images.ids

    def look(row: int) -> Survey:
        try:
            image = images.image(row)
        except UnreadableImageError as error:
            return Survey({row: str(error)})
        pixels = hashlib.sha256(f"{ids[row]} {image.mode} {image.size} ".encode())
        pixels.update(image.tobytes())
        return Survey({}, int.from_bytes(pixels.digest()))

    total = Survey()
    with ThreadPoolExecutor(threads) as pool:
        waiting = iter(rows)
        while chunk := list(islice(waiting, CHUNK)):
            total = sum(pool.map(look, chunk), total)
    return total


def readable(
    images: LabelledImages, broken: dict[int, str], *, what: str, section: str, limit: float
) -> LabelledImages:
    """The images without the broken ones (reason by row), which are reported.

    what: the name of the set in messages, such as "train"; section: the section of params.yaml with the limit. Raises
    HgldError when the fraction of broken images exceeds `limit`, or all are broken.
    """
    if not broken:
        return images
    total, first = len(images), broken[min(broken)]
    if len(broken) > limit * total or len(broken) == total:
        raise HgldError(
            f"{len(broken)} of {total} {what} images cannot be read, more than {section}.max_broken ({limit:g}) "
            f"allows; the first: {first}; run `hgld images` again, or allow more in params.yaml"
        )
    return ImageSubset(images, [row for row in range(total) if row not in broken])


def report_broken(broken: dict[int, str], total: int, what: str) -> None:
    """Print how many images are left out, and the reasons of the first of them."""
    if broken:
        echo(f"{len(broken)} of {total} {what} images cannot be read and are left out:")
        for row in sorted(broken)[:SHOWN]:
            echo(f"  {broken[row]}")


def readable_roles(dataset: RetrievalDataset, *, limit: float, threads: int) -> RetrievalDataset:
    """The dataset with those queries and gallery images that can be read; the others are counted in it."""
    kept, counts = [], []
    for what, images in (("query", dataset.query), ("gallery", dataset.gallery)):
        broken = survey(images, range(len(images)), threads).broken
        report_broken(broken, len(images), what)
        kept.append(readable(images, broken, what=what, section="benchmark", limit=limit))
        counts.append(len(broken))
    if not any(counts):
        return dataset
    query, gallery = kept
    rows = list(query.rows) if isinstance(query, ImageSubset) else list(range(len(query)))
    columns = dataset.query_columns
    return replace(
        dataset,
        query=query,
        gallery=gallery,
        query_columns=columns if columns.empty else columns.iloc[rows].reset_index(drop=True),
        subsets={name: [members[row] for row in rows] for name, members in dataset.subsets.items()},
        broken_queries=counts[0],
        broken_gallery=counts[1],
    )
