"""All pairs of 64-bit hashes that differ in few bits, found without comparing every pair.

Two hashes that differ in at most three bits are equal in at least one of four bands of 16 bits, so only hashes that
share a band are compared (Norouzi, Punjani and Fleet 2014, Fast Exact Search in Hamming Space with Multi-Index
Hashing).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]

BANDS, BAND_BITS = 4, 16
MOST_BITS = BANDS - 1


class NearPairs(NamedTuple):
    """Of each pair the places of its two hashes, first < second, and in how many bits they differ; sorted by places."""

    first: Places
    second: Places
    distance: Bits


def near_pairs(hashes: Hashes, distance: int = MOST_BITS) -> NearPairs:
    """The pairs of `hashes` (N,) that differ in at most `distance` bits; equal hashes are a pair at distance 0.

    Memory grows with the number of pairs: leave out hashes that very many images share.

    Raises ValueError for a distance that is not in 0 to MOST_BITS.
    """
    if not 0 <= distance <= MOST_BITS:
        raise ValueError(f"distance {distance} is not in 0 to {MOST_BITS}")
    found = [_pairs_of_band(hashes, band, distance) for band in range(BANDS)]
    codes = np.unique(np.concatenate([first * len(hashes) + second for first, second in found]))
    first, second = np.divmod(codes, max(len(hashes), 1))
    return NearPairs(first, second, np.bitwise_count(hashes[first] ^ hashes[second]))


def _pairs_of_band(hashes: Hashes, band: int, distance: int) -> tuple[Places, Places]:
    """The pairs that are equal in one band, and differ in at most `distance` bits."""
    keys = (hashes >> np.uint64(band * BAND_BITS)).astype(np.uint16)
    order = np.argsort(keys, kind="stable")
    keys, sorted_hashes = keys[order], hashes[order]
    firsts, seconds = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    starts = np.arange(len(hashes) - 1)
    step = 1
    while len(starts := starts[(starts + step < len(hashes))]):
        starts = starts[keys[starts] == keys[starts + step]]
        differing = np.bitwise_count(sorted_hashes[starts] ^ sorted_hashes[starts + step])
        near = starts[differing <= distance]
        one, other = order[near], order[near + step]
        firsts.append(np.minimum(one, other))
        seconds.append(np.maximum(one, other))
        step += 1
    return np.concatenate(firsts), np.concatenate(seconds)
