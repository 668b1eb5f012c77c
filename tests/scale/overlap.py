"""What `hgld overlap` finds on real photographs, and how long the search takes at GLDv2's size.

    python -m tests.scale.overlap [--hashes 5000000]

Copies of photographs (../shared/data/grocery), each with one change: the fraction whose hash differs in at most 3 bits;
then the pairs of different photographs that are as near; then the seconds for all near pairs of random hashes.
"""

from __future__ import annotations

import argparse
import io
import time
import zipfile
from collections.abc import Callable, Sequence

import imagehash
import numpy as np
from PIL import Image

from hgld.pipeline.overlap.near_pairs import MOST_BITS, near_pairs
from tests.paths import SHARED

GROCERY = SHARED / "grocery" / "grocery_store_112px.zip"
EVERY = 5  # of the photographs, one in so many is changed
CROP = 20  # a border of 1/20 of the side


def _hashes(images: Sequence[Image.Image]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    bits = [np.packbits(imagehash.phash(image).hash.reshape(-1)) for image in images]
    return np.stack(bits).view(np.uint64)[:, 0]


def _saved(image: Image.Image, quality: int, scale: float) -> Image.Image:
    stream = io.BytesIO()
    image.resize((round(image.width * scale), round(image.height * scale))).save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def _cropped(image: Image.Image) -> Image.Image:
    x, y = image.width // CROP, image.height // CROP
    return image.crop((x, y, image.width - x, image.height - y))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "compressed again, quality 90": lambda image: _saved(image, 90, 1),
    "half the size, quality 50": lambda image: _saved(image, 50, 0.5),
    "brighter, 3/4 of the size, quality 60": lambda image: _saved(
        image.point(lambda value: min(255, round(value * 1.1))), 60, 0.75
    ),
    "cropped by 5 % on each side": _cropped,
}


def main() -> None:
    """Measure, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hashes", type=int, default=5_000_000, help="how many (default: 5,000,000)")
    count = parser.parse_args().hashes
    with zipfile.ZipFile(GROCERY) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        images = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    hashes = _hashes(images)
    for name, change in CHANGES.items():
        copies = _hashes([change(image) for image in images[::EVERY]])
        found = np.bitwise_count(copies ^ hashes[::EVERY]) <= MOST_BITS
        print(f"{name}: {100 * found.mean():.1f} % of {len(copies):,} found", flush=True)
    chance = len(near_pairs(hashes).first)
    print(f"different photographs: {chance} of {len(hashes) * (len(hashes) - 1) // 2:,} pairs", flush=True)
    random = np.random.default_rng(0).integers(0, 2**64, count, dtype=np.uint64)
    started = time.process_time()
    near_pairs(random)
    print(f"{count:,} hashes: {time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
