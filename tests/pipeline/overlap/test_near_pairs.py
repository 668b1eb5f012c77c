"""Near pairs of hashes equal those of comparing every pair, and a million hashes take seconds, not days."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.pipeline.overlap.near_pairs import MOST_BITS, Hashes, near_pairs


def _all_pairs(hashes: Hashes, distance: int) -> list[tuple[int, int, int]]:
    differing = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return [
        (one, other, int(differing[one, other]))
        for one in range(len(hashes))
        for other in range(one + 1, len(hashes))
        if differing[one, other] <= distance
    ]


def _found(hashes: Hashes, distance: int) -> list[tuple[int, int, int]]:
    return [(int(one), int(other), int(bits)) for one, other, bits in zip(*near_pairs(hashes, distance), strict=True)]


def _flipped(rng: np.random.Generator, hashes: Hashes, bits: int) -> Hashes:
    """Each hash with so many of its bits, drawn at random, turned."""
    turned = hashes.copy()
    for row in range(len(turned)):
        for bit in rng.choice(64, bits, replace=False):
            turned[row] ^= np.uint64(1) << np.uint64(bit)
    return turned


@pytest.mark.parametrize("distance", range(MOST_BITS + 1))
@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_comparing_every_pair_finds(seed: int, distance: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, 120, dtype=np.uint64)
    hashes = np.concatenate([hashes, *(_flipped(rng, hashes[:40], bits) for bits in range(MOST_BITS + 2)), hashes[:5]])
    hashes = rng.permutation(hashes)
    expected = _all_pairs(hashes, distance)
    assert len(expected) >= 5
    assert _found(hashes, distance) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 3, 2**64 - 1, 1 << 63]), max_size=30))
def test_any_hashes(values: list[int]) -> None:
    hashes = np.array(values, np.uint64)
    assert _found(hashes, 3) == _all_pairs(hashes, 3)


def test_a_distance_that_bands_do_not_promise_is_refused() -> None:
    for distance in (-1, MOST_BITS + 1):
        with pytest.raises(ValueError, match="is not in 0 to 3"):
            near_pairs(np.zeros(2, np.uint64), distance)
