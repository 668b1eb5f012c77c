"""Batches of m images per class, and their division among processes."""

from __future__ import annotations

import time
from collections import Counter

import pytest
import torch

from hgld.benchmarks.training.sampler import MPerClassSampler, ProcessShard
from hgld.foundation.errors import HgldError

LABELS = torch.tensor([[c, c // 3] for c in range(12) for _ in range(2 + c % 4)])


@pytest.mark.parametrize("together", [False, True])
def test_every_batch_holds_m_images_of_each_of_its_classes(together: bool) -> None:
    sampler = MPerClassSampler(LABELS, batch_size=12, per_class=3, seed=1, together=together)
    drawn: Counter[int] = Counter()
    for epoch in range(12):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) == len(LABELS) // 12
        for batch in batches:
            classes = Counter(int(LABELS[row, 0]) for row in batch)
            assert sorted(classes.values()) == [3, 3, 3, 3]
            for label in classes:
                rows = [row for row in batch if LABELS[row, 0] == label]
                assert len(set(rows)) == min(3, int((LABELS[:, 0] == label).sum()))
            drawn.update(classes)
    assert set(drawn) == set(range(12))


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    sampler, same = (MPerClassSampler(LABELS, batch_size=12, per_class=3, seed=4) for _ in range(2))
    assert list(sampler) == list(same)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_hierarchical_batch_holds_siblings() -> None:
    sampler = MPerClassSampler(LABELS, batch_size=12, per_class=3, seed=2, together=True)
    batch = next(iter(sampler))
    parents = Counter(int(LABELS[row, 1]) for row in batch)
    assert max(parents.values()) >= 6


@pytest.mark.parametrize("families", [1, 2, 3])
def test_super_classes_fill_each_batch_with_families(families: int) -> None:
    labels = torch.tensor([[c, c // 6] for c in range(24) for _ in range(4)])
    sampler = MPerClassSampler(labels, batch_size=18, per_class=3, seed=2, super_classes=families)
    drawn: Counter[int] = Counter()
    for epoch in range(8):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(labels) // 18
        for batch in batches:
            classes = Counter(int(labels[row, 0]) for row in batch)
            assert sorted(classes.values()) == [3] * 6, "six different classes"
            parents = Counter(int(labels[row, 1]) for row in batch)
            assert len(parents) <= families and min(parents.values()) >= 18 // families
        drawn.update(int(labels[row, 0]) for batch in batches for row in batch)
    assert set(drawn) == set(range(24))


def test_a_family_with_too_few_classes_leaves_its_places_to_another() -> None:
    sampler = MPerClassSampler(LABELS, batch_size=24, per_class=3, seed=2, super_classes=2)
    for batch in sampler:
        parents = Counter(int(LABELS[row, 1]) for row in batch)
        assert sorted(parents.values()) == [6, 9, 9] and len(set(LABELS[batch, 0].tolist())) == 8


def test_dealing_takes_linear_time() -> None:
    """A million images of 46,593 landmarks took hours to deal when each batch searched the whole deck."""
    labels = torch.arange(20_000).repeat_interleave(2)
    labels = torch.stack([labels, labels % 78], dim=1)
    for options in ({"together": True}, {"super_classes": 4}, {}):
        started = time.process_time()
        sampler = MPerClassSampler(labels, batch_size=64, per_class=2, seed=0, **options)  # type: ignore[arg-type]
        assert sum(1 for _ in sampler) == 625
        assert time.process_time() - started < 10


def test_impossible_batches_are_errors() -> None:
    with pytest.raises(HgldError, match="multiple of per_class"):
        MPerClassSampler(LABELS, batch_size=10, per_class=4, seed=0)
    for options, message in (
        ({"super_classes": 3}, "super_classes 3 must divide the 4 classes of a batch"),
        ({"super_classes": 4}, "into families of two or more"),
        ({"super_classes": 2, "together": True}, "exclude each other"),
    ):
        with pytest.raises(HgldError, match=message):
            MPerClassSampler(LABELS, batch_size=12, per_class=3, seed=0, **options)  # type: ignore[arg-type]
    with pytest.raises(HgldError, match="two levels or more"):
        MPerClassSampler(LABELS[:, :1], batch_size=12, per_class=3, seed=0, super_classes=2)
    with pytest.raises(HgldError, match="one landmark"):
        MPerClassSampler(torch.zeros(9, 2, dtype=torch.long), batch_size=8, per_class=4, seed=0)


def test_shards_of_a_batch_are_the_batch() -> None:
    labels = torch.arange(8).repeat_interleave(5)[:, None]
    sampler = MPerClassSampler(labels, batch_size=12, per_class=3, seed=1)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        whole = list(ProcessShard(sampler, 0, 1))
        shards = [list(ProcessShard(sampler, rank, 3)) for rank in range(3)]
        assert [[*a, *b, *c] for a, b, c in zip(*shards, strict=True)] == whole
        draws = [draw for batch in whole for _, draw in batch]
        assert draws == list(range(epoch * 36, epoch * 36 + 36))
        assert [[row for row, _ in batch] for batch in whole] == list(sampler)
    with pytest.raises(HgldError, match="batches of 12 images cannot be divided evenly among 5 processes"):
        ProcessShard(sampler, 0, 5)
