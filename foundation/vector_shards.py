"""Embeddings in cached shards: an interrupted run resumes from them, and the processes of torchrun share them.

Rank r of W computes the shards r, r + W, …. The ranks neither wait for each other nor communicate except through the
shard files, so a killed rank loses one unfinished shard, and its other shards are left to rank 0 or to the next run.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import HgldError, lacks_memory, reason
from hgld.foundation.files import check_archive, replacing
from hgld.foundation.settings import torchrun_variables

Vectors = npt.NDArray[np.float32]


class Shard(NamedTuple):
    """The vectors (n, d) of the readable images of a shard, in order; and the reason for each unreadable one, by id."""

    vectors: Vectors
    broken: Mapping[str, str]


NO_VECTORS: Vectors = np.zeros((0, 1), np.float32)


@dataclass(frozen=True)
class Rank:
    """The number of this process, in [0, world), and how many there are."""

    number: int = 0
    world: int = 1

    def order(self, shards: int) -> list[int]:
        """The shards to embed, in order: those of this rank; on rank 0 then all others, whether or not they exist.

        It takes the others from the end, as their own ranks begin at the start, so that few are embedded twice.

        >>> Rank(0, 2).order(5), Rank(1, 2).order(5)
        ([0, 2, 4, 3, 1], [1, 3])
        """
        own = list(range(self.number, shards, self.world))
        others = [shard for shard in reversed(range(shards)) if shard % self.world]
        return own if self.number else own + others


def this_rank() -> Rank:
    """The rank from torchrun's environment variables; rank 0 of 1 without them.

    Raises HgldError when RANK and WORLD_SIZE are invalid.
    """
    number, world, _ = torchrun_variables()
    return Rank(number, world)


def read_shard(path: Path, images: int) -> Shard | None:
    """The shard of this number of images in a file; None where there is none, or (printed) where it is damaged."""
    if not os.path.lexists(path):
        return None
    try:
        # reading an array to its end compares its checksum
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
            check_archive(content.zip, "broken", "reasons", "vectors")
            broken = dict(zip(content["broken"].tolist(), content["reasons"].tolist(), strict=True))
            vectors = np.asarray(content["vectors"])
        if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) + len(broken) != images:
            raise ValueError(f"{vectors.dtype} {vectors.shape} and {len(broken)} unreadable for {images} images")
        if not np.isfinite(vectors).all():
            raise ValueError("values that are not finite numbers")
    except Exception as error:  # numpy and zipfile raise almost anything
        if lacks_memory(error):
            raise
        echo(f"{path}: a damaged shard of embeddings is computed again ({reason(error)[:200]})")
        return None
    return Shard(vectors, broken)


def write_shard(shard: Shard, path: Path) -> None:
    """Write a shard atomically; several processes may write the same one. Raises HgldError when that is impossible."""
    with replacing(path) as part, part.open("wb") as handle:
        np.savez(
            handle,
            vectors=shard.vectors,
            broken=np.array(list(shard.broken), "U"),
            reasons=np.array(list(shard.broken.values()), "U"),
        )


def collect(sizes: Sequence[int], shards: Iterable[tuple[int, Shard]]) -> Shard:
    """All vectors in the order of the images, from shards (number, shard) in any order; memory for them is taken once.

    sizes: how many images each shard has. Vectors of shards that do not come are left out. Raises HgldError for shards
    whose vectors differ in width.
    """
    starts = [0, *accumulate(sizes)]
    vectors = NO_VECTORS
    counts: dict[int, int] = {}
    broken: dict[str, str] = {}
    for number, shard in shards:
        counts[number] = len(shard.vectors)
        broken.update(shard.broken)
        if not len(shard.vectors):
            continue
        width = shard.vectors.shape[1]
        if not len(vectors):
            vectors = np.empty((starts[-1], width), np.float32)
        if width != vectors.shape[1]:
            raise HgldError(f"embeddings of {vectors.shape[1]} and of {width} numbers from one model; empty the cache")
        vectors[starts[number] : starts[number] + counts[number]] = shard.vectors
    end = 0
    for number, count in sorted(counts.items()):
        if end < starts[number]:
            vectors[end : end + count] = vectors[starts[number] : starts[number] + count]
        end += count
    return Shard(vectors[:end], broken)
