"""Image vectors in cached shards, from which an interrupted stage resumes.

Under torchrun, rank r of W embeds the shards r, r + W, …. The ranks neither wait for each other nor communicate except
through the shard files, so a killed rank loses one unfinished shard, and its other shards are left to rank 0 or to the
next run.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hgld.foundation.display.visible import echo
from hgld.foundation.errors import reason
from hgld.foundation.files import replacing
from hgld.foundation.settings import torchrun_variables
from hgld.foundation.tar_images import DECODING, ImageTars, UnreadableImageError
from hgld.pipeline.embedding.clip import Clip, Vectors

SHARD = 2048


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


def embed_images(
    clip: Clip, tars: ImageTars, ids: Iterable[str], batch: int, cache: Path, rank: Rank | None = None
) -> tuple[Vectors, dict[str, str]]:
    """The vectors (N, D) of the readable images, in the order of `ids`; and id → reason for the unreadable ones.

    A shard is cached under a hash of the model and the bytes of its images, so that a change elsewhere does not
    invalidate it. rank: which shards to embed; ranks other than 0 return only their own.

    Raises HgldError for an image that is not there at all, such as one in a missing or truncated tar.
    """
    all_ids, done, broken = list(ids), {}, {}
    shards = [all_ids[start : start + SHARD] for start in range(0, len(all_ids), SHARD)]
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
    key, unreadable = _key(clip, tars, ids, batch)
    path = cache / f"{key}.npz"
    readable = [image for image in ids if image not in unreadable]
    if shard := _cached(path, readable):
        return shard[0], unreadable | shard[1]
    batches: list[Vectors] = []
    undecodable: dict[str, str] = {}
    for start in range(0, len(readable), batch):
        inputs, reasons = _decode(clip, tars, readable[start : start + batch])
        undecodable |= reasons
        if inputs:
            batches.append(clip.embed_images(inputs))
    vectors = np.concatenate(batches) if batches else np.zeros((0, 1), np.float32)
    with replacing(path) as part, part.open("wb") as handle:
        np.savez(
            handle,
            vectors=vectors,
            broken=np.array(list(undecodable), "U"),
            reasons=np.array(list(undecodable.values()), "U"),
        )
    return vectors, unreadable | undecodable


def _cached(path: Path, readable: Sequence[str]) -> tuple[Vectors, dict[str, str]] | None:
    """The vectors and undecodable images of a shard; None where there is none, or a damaged one, which is replaced."""
    if not os.path.lexists(path):
        return None
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as shard:
            vectors = np.asarray(shard["vectors"], dtype=np.float32)
            undecodable = dict(zip(shard["broken"].tolist(), shard["reasons"].tolist(), strict=True))
    # a damaged archive raises whatever its parser stumbles over
    except Exception as error:
        fault = reason(error)
    else:
        whole = vectors.ndim == 2 and len(vectors) + len(undecodable) == len(readable) and np.isfinite(vectors).all()
        if whole and undecodable.keys() <= set(readable):
            return vectors, undecodable
        fault = "not the vectors of these images"
    echo(f"{path}: damaged ({fault}); computed again")
    return None


def _key(clip: Clip, tars: ImageTars, ids: Sequence[str], batch: int) -> tuple[str, dict[str, str]]:
    """A hash of all that a shard's vectors depend on; and id → reason for the images that are too large."""
    # device and batch size change the last bits
    key = hashlib.sha256(f"{clip.identity} {clip.device} {batch} {DECODING}".encode())
    broken: dict[str, str] = {}
    for image in ids:
        try:
            key.update(hashlib.sha256(image.encode() + tars.read(image)).digest())
        except UnreadableImageError as error:
            broken[image] = str(error)
    return key.hexdigest(), broken


def _decode(clip: Clip, tars: ImageTars, ids: Sequence[str]) -> tuple[list[Any], dict[str, str]]:
    """The model inputs of the images that can be decoded; and id → reason for the others."""
    reasons = {}

    def prepare(image: str) -> Any:
        try:
            # resized one by one, because a batch of full-size photographs takes gigabytes
            return clip.preprocess(tars.image(image))
        except UnreadableImageError as error:
            reasons[image] = str(error)
            return None

    with ThreadPoolExecutor(clip.threads) as pool:
        inputs = [tensor for tensor in pool.map(prepare, ids) if tensor is not None]
    return inputs, reasons
