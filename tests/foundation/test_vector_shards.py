"""Shards of embeddings: what is written is read, what is damaged is computed again, and the order never matters."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.vector_shards import NO_VECTORS, Rank, Shard, collect, read_shard, write_shard


def shard(rows: int, width: int = 3, broken: tuple[str, ...] = ()) -> Shard:
    generator = np.random.default_rng([rows, width])
    return Shard(generator.normal(size=(rows, width)).astype(np.float32), dict.fromkeys(broken, "not a picture"))


def test_a_shard_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = shard(4, broken=("a", "b"))
    write_shard(written, tmp_path / "s.npz")
    read = read_shard(tmp_path / "s.npz", images=6)
    assert read is not None
    assert read.vectors.tobytes() == written.vectors.tobytes() and read.broken == written.broken
    assert read_shard(tmp_path / "other.npz", images=6) is None


def test_a_shard_with_any_damaged_byte_or_length_is_none_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.npz"
    write_shard(shard(5), path)
    whole = path.read_bytes()
    generator = random.Random(3)
    noticed = 0
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert read_shard(path, images=5) is None
    for place in [generator.randrange(len(whole)) for _ in range(150)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        found = read_shard(path, images=5)
        # a byte of the archive that holds nothing, such as a time, may change
        assert found is None or found.vectors.tobytes() == shard(5).vectors.tobytes()
        noticed += found is None
    assert noticed > 75
    assert f"{path}: a damaged shard of embeddings is computed again" in capsys.readouterr().out


def test_lack_of_memory_is_no_damage_and_a_damaged_shape_no_lack_of_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.npz"
    arrays = {"broken": np.array([], "U"), "reasons": np.array([], "U"), "vectors": np.ones((5, 4), np.float32)}
    np.savez(path, **arrays)
    assert read_shard(path, images=5) is not None
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b"(5, 4), }          ", b"(5, 40000000000), }"))
    assert read_shard(path, images=5) is None
    assert "computed again (208 bytes for an array of 800,000,000,000" in capsys.readouterr().out
    np.savez(path, **arrays)

    def fail(*_: object, **__: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(np.lib.format, "read_array", fail)
    with pytest.raises(MemoryError):
        read_shard(path, images=5)


@pytest.mark.parametrize("images", [4, 6])
def test_a_shard_of_another_number_of_images_is_not_used(tmp_path: Path, images: int) -> None:
    write_shard(shard(5), tmp_path / "s.npz")
    assert read_shard(tmp_path / "s.npz", images) is None


def test_vectors_come_in_the_order_of_the_images_whatever_the_order_of_the_shards() -> None:
    sizes = [4, 4, 4, 2]
    parts = [shard(4), shard(2, broken=("5", "7")), Shard(NO_VECTORS, dict.fromkeys("8901", "bad")), shard(2)]
    expected = np.concatenate([part.vectors for part in parts if len(part.vectors)])
    generator = random.Random(0)
    for _ in range(10):
        order = generator.sample(range(4), 4)
        found = collect(sizes, [(number, parts[number]) for number in order])
        assert found.vectors.tobytes() == expected.tobytes()
        assert found.broken.keys() == set("578901")
    assert collect(sizes, [(3, parts[3])]).vectors.tobytes() == parts[3].vectors.tobytes()
    assert collect([], []).vectors.shape == (0, 1)


def test_shards_of_two_widths_are_an_error() -> None:
    with pytest.raises(HgldError, match="embeddings of 3 and of 4 numbers"):
        collect([2, 2], [(0, shard(2)), (1, shard(2, width=4))])


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("shards", [0, 1, 4, 7])
def test_the_ranks_share_all_shards_and_rank_0_has_all(world: int, shards: int) -> None:
    orders = [Rank(number, world).order(shards) for number in range(world)]
    assert sorted(orders[0]) == list(range(shards))
    own = [orders[0][: len(range(0, shards, world))], *orders[1:]]
    assert sorted(number for order in own for number in order) == list(range(shards))
