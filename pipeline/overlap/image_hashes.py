"""Perceptual hashes of the images in the tars, in cached shards from which an interrupted run resumes."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import DECODING, ImageTars, UnreadableImageError
from hgld.foundation.vector_shards import NO_VECTORS, Shard, Vectors, collect, read_shard, write_shard
from hgld.pipeline.overlap.near_pairs import BAND_BITS, BANDS, Hashes

SHARD = 2048


def image_hashes(tars: ImageTars, ids: Sequence[str], cache: Path) -> tuple[Hashes, dict[str, str]]:
    """The hashes (N,) of the readable images, in the order of `ids`; and id → reason for the unreadable ones.

    The hash is imagehash.phash: the signs of the 64 lowest frequencies of the grey picture at 32 x 32 pixels, against
    their median. It hardly changes when a picture is scaled or compressed again.

    Raises HgldError when the library imagehash is missing, and for an image that is not there at all.
    """
    try:
        import imagehash  # noqa: F401 - whether it is there, before any image is read
    except ImportError:
        raise HgldError("perceptual hashes need the library imagehash; run: pip install 'hgld[overlap]'") from None
    shards = [ids[start : start + SHARD] for start in range(0, len(ids), SHARD)]
    with (
        tqdm(total=len(ids), unit="image", desc="hash", disable=None) as bar,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):

        def hashed(number: int) -> tuple[int, Shard]:
            shard = _hash_shard(tars, shards[number], cache, pool)
            bar.update(len(shards[number]))
            return number, shard

        bands, broken = collect([len(shard) for shard in shards], map(hashed, range(len(shards))))
    return _joined(bands), dict(broken)


def _hash_shard(tars: ImageTars, ids: Sequence[str], cache: Path, pool: ThreadPoolExecutor) -> Shard:
    key = hashlib.sha256(f"phash {version('imagehash')} {DECODING} {tars.fingerprint(ids)}".encode()).hexdigest()
    path = cache / f"{key}.npz"
    if (shard := read_shard(path, len(ids))) is None:
        broken: dict[str, str] = {}

        def bands(image_id: str) -> Vectors | None:
            try:
                return _bands(tars, image_id)
            except UnreadableImageError as error:
                broken[image_id] = str(error)
                return None

        rows = [row for row in pool.map(bands, ids) if row is not None]
        shard = Shard(np.stack(rows) if rows else NO_VECTORS, broken)
        write_shard(shard, path)
    return shard


def _bands(tars: ImageTars, image_id: str) -> Vectors:
    """The hash of an image as its bands (BANDS,), each a whole number below 2**16, which a float32 holds exactly."""
    import imagehash

    bits = imagehash.phash(tars.image(image_id)).hash.reshape(BANDS, BAND_BITS)
    return np.asarray(bits @ (1 << np.arange(BAND_BITS)), np.float32)


def _joined(bands: Vectors) -> Hashes:
    """The hashes (N,) of their bands (N, BANDS)."""
    if not len(bands):
        return np.zeros(0, np.uint64)
    shifts = np.arange(BANDS, dtype=np.uint64) * np.uint64(BAND_BITS)
    hashes: Hashes = np.bitwise_or.reduce(bands.astype(np.uint64) << shifts, axis=1)
    return hashes
