"""Image vectors in shards that are kept between runs: a killed stage goes on where it stopped.

Under torchrun every rank embeds the shards whose number modulo the number of ranks is its own. No rank waits for
another and nothing passes between them but the shards' files, so a rank that is killed costs its unfinished shard, and
what it leaves is done by rank 0, or by the next run.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.evidence.clip import Clip, Vectors

SHARD = 2048


@dataclass(frozen=True)
class Rank:
    """Which of how many processes this is."""

    number: int = 0
    world: int = 1

    def order(self, shards: int) -> list[int]:
        """The shards that this rank makes sure of, in their order: its own; then rank 0 takes the rest.

        It takes the rest from the end: the others begin at the start, so that few shards are made twice.

        >>> Rank(0, 2).order(5), Rank(1, 2).order(5)
        ([0, 2, 4, 3, 1], [1, 3])
        """
        own = list(range(self.number, shards, self.world))
        return own + [shard for shard in reversed(range(shards)) if shard % self.world and not self.number]


def this_rank() -> Rank:
    """The rank that torchrun names in the environment; the only one without it.

    Raises HgldError when RANK and WORLD_SIZE are no such pair.
    """
    number, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (number.isascii() and number.isdigit() and world.isascii() and world.isdigit()) or int(
        number
    ) >= int(world):
        raise HgldError(
            f"RANK={number} and WORLD_SIZE={world}: expected 0 ≤ RANK < WORLD_SIZE, as torchrun sets them"
        )
    return Rank(int(number), int(world))


def embed_images(
    clip: Clip, tars: ImageTars, ids: Iterable[str], batch: int, cache: Path, rank: Rank | None = None
) -> tuple[Vectors, dict[str, str]]:
    """The vectors (N, D) of the images that can be read, in the order of `ids`; and why the others cannot, by id.

    A shard is kept under the hash of the model and of its images' bytes, so it is found again whatever else changed,
    and never taken for another. rank: which shards to embed; all but rank 0 get those of their own shards alone.
    """
    every, done, broken = list(ids), {}, {}
    shards = [every[start : start + SHARD] for start in range(0, len(every), SHARD)]
    order = (rank or Rank()).order(len(shards))
    total = sum(len(shards[number]) for number in order)
    with tqdm(total=total, unit="image", desc="embed", disable=None) as bar:
        for number in order:
            done[number], unreadable = _embed_shard(clip, tars, shards[number], batch, cache)
            broken.update(unreadable)
            bar.update(len(shards[number]))
    filled = [done[number] for number in sorted(done) if len(done[number])]
    return (np.concatenate(filled) if filled else np.zeros((0, 1), np.float32)), broken


def _embed_shard(
    clip: Clip, tars: ImageTars, ids: Sequence[str], batch: int, cache: Path
) -> tuple[Vectors, dict[str, str]]:
    key, broken = _key(clip, tars, ids, batch)
    kept = cache / f"{key}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as shard:
            lost = dict(zip(shard["broken"].tolist(), shard["reasons"].tolist(), strict=True))
            return np.asarray(shard["vectors"], dtype=np.float32), broken | lost
    readable = [image for image in ids if image not in broken]
    pieces, lost = [], {}
    for start in range(0, len(readable), batch):
        inputs = _decode(clip, tars, readable[start : start + batch], lost)
        if inputs:
            pieces.append(clip.images(inputs))
    vectors = np.concatenate(pieces) if pieces else np.zeros((0, 1), np.float32)
    names, reasons = np.array(list(lost), "U"), np.array(list(lost.values()), "U")
    with replacing(kept) as part, part.open("wb") as handle:
        np.savez(handle, vectors=vectors, broken=names, reasons=reasons)
    return vectors, broken | lost


def _key(clip: Clip, tars: ImageTars, ids: Sequence[str], batch: int) -> tuple[str, dict[str, str]]:
    """What a shard's vectors depend on, as a hash; and why some images' bytes cannot be had."""
    # a GPU and a CPU, or other batches, give other last bits
    key = hashlib.sha256(f"{clip.identity} {clip.device} {batch}".encode())
    broken: dict[str, str] = {}
    for image in ids:
        try:
            key.update(hashlib.sha256(image.encode() + tars.read(image)).digest())
        except HgldError as error:
            broken[image] = str(error)
    return key.hexdigest(), broken


def _decode(clip: Clip, tars: ImageTars, ids: Sequence[str], lost: dict[str, str]) -> list[Any]:
    """The model's inputs for the pictures that can be decoded; why one cannot goes into `lost`."""

    def prepare(image: str) -> Any:
        try:
            # one at a time to the model's small size: a batch of whole photographs is gigabytes
            return clip.preprocess(tars.image(image))
        except (HgldError, Image.DecompressionBombError) as error:
            lost[image] = str(error)
            return None

    with ThreadPoolExecutor(clip.threads) as pool:
        return [one for one in pool.map(prepare, ids) if one is not None]
