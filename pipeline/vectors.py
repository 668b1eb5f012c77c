"""Image vectors in shards that are kept between runs: a killed stage goes on where it stopped."""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.files import replacing
from hgld.hierarchy.images import ImageTars
from hgld.pipeline.clip import Clip, Vectors

SHARD = 2048


def embed_images(
    clip: Clip, tars: ImageTars, ids: Iterable[str], batch: int, cache: Path
) -> tuple[Vectors, dict[str, str]]:
    """The vectors (N, D) of the images that can be read, in the order of `ids`; and why the others cannot, by id.

    A shard is kept under the hash of the model and of its images' bytes, so it is found again whatever else changed,
    and never taken for another.
    """
    every, parts, broken = list(ids), [], {}
    with tqdm(total=len(every), unit="image", desc="embed", disable=None) as bar:
        for start in range(0, len(every), SHARD):
            shard = every[start : start + SHARD]
            vectors, unreadable = _embed_shard(clip, tars, shard, batch, cache)
            parts.append(vectors)
            broken.update(unreadable)
            bar.update(len(shard))
    filled = [part for part in parts if len(part)]
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
