"""Image vectors in cached shards, from which an interrupted stage resumes (hgld.foundation.vector_shards)."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hgld.foundation.tar_images import DECODING, ImageTars, UnreadableImageError
from hgld.foundation.vector_shards import NO_VECTORS, Rank, Shard, collect, read_shard, this_rank, write_shard
from hgld.pipeline.embedding.clip import Clip, Vectors

__all__ = ["Rank", "embed_images", "this_rank"]

SHARD = 2048


def embed_images(
    clip: Clip, tars: ImageTars, ids: Iterable[str], batch: int, cache: Path, rank: Rank | None = None
) -> tuple[Vectors, dict[str, str]]:
    """The vectors (N, D) of the readable images, in the order of `ids`; and id → reason for the unreadable ones.

    A shard is cached under a hash of the model and the bytes of its images, so that a change elsewhere does not
    invalidate it. rank: which shards to embed; ranks other than 0 return only their own.

    Raises HgldError for an image that is not there at all, such as one in a missing or truncated tar.
    """
    all_ids = list(ids)
    shards = [all_ids[start : start + SHARD] for start in range(0, len(all_ids), SHARD)]
    order = (rank or Rank()).order(len(shards))
    total = sum(len(shards[number]) for number in order)
    with tqdm(total=total, unit="image", desc="embed", disable=None) as bar:

        def embedded(number: int) -> tuple[int, Shard]:
            shard = _embed_shard(clip, tars, shards[number], batch, cache)
            bar.update(len(shards[number]))
            return number, shard

        vectors, broken = collect([len(shard) for shard in shards], map(embedded, order))
    return vectors, dict(broken)


def _embed_shard(clip: Clip, tars: ImageTars, ids: Sequence[str], batch: int, cache: Path) -> Shard:
    key, unreadable = _key(clip, tars, ids, batch)
    path = cache / f"{key}.npz"
    readable = [image for image in ids if image not in unreadable]
    if (shard := read_shard(path, len(readable))) is None:
        batches: list[Vectors] = []
        undecodable: dict[str, str] = {}
        for inputs, reasons in _decoded(clip, tars, readable, batch):
            undecodable |= reasons
            if inputs:
                batches.append(clip.embed_images(inputs))
        shard = Shard(np.concatenate(batches) if batches else NO_VECTORS, undecodable)
        write_shard(shard, path)
    return Shard(shard.vectors, {**unreadable, **shard.broken})


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


def _decoded(clip: Clip, tars: ImageTars, ids: Sequence[str], batch: int) -> Iterator[tuple[list[Any], dict[str, str]]]:
    """Of each batch the model inputs of the images that can be decoded, and id → reason for the others.

    The next batch is decoded while the network computes.
    """
    with ThreadPoolExecutor(clip.threads) as pool, ThreadPoolExecutor(1) as producer:
        waiting: Future[tuple[list[Any], dict[str, str]]] | None = None
        for start in range(0, len(ids), batch):
            following = producer.submit(_decode, clip, tars, ids[start : start + batch], pool)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def _decode(
    clip: Clip, tars: ImageTars, ids: Sequence[str], pool: ThreadPoolExecutor
) -> tuple[list[Any], dict[str, str]]:
    reasons = {}

    def prepare(image: str) -> Any:
        try:
            # resized one by one, because a batch of full-size photographs takes gigabytes
            return clip.preprocess(tars.image(image))
        except UnreadableImageError as error:
            reasons[image] = str(error)
            return None

    inputs = [tensor for tensor in pool.map(prepare, ids) if tensor is not None]
    return inputs, reasons
