"""Labels out of the release, images out of the tars, batches out of both."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch

from hgld.benchmarks.datasets.release import Pictures, encode, known_levels, read_release, renumbered
from hgld.benchmarks.ranking.levels import agreement
from hgld.benchmarks.training.sampler import PerClass
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from hgld.foundation.tar_images import ImageTars


def table(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        rows, columns=["category", "supercategory", "hierarchical_label", "natural_or_human_made"]
    )


def test_one_enumeration_over_all_splits() -> None:
    a = table(("Zoo A", "zoo", "zoo", "human-made"), ("Lake B", "lake", "lake", "natural"))
    b = table(("Lake B", "lake", "lake", "natural"), ("Lake C", "lake", "lake", "natural"))
    (first, second), names = encode([a, b], ("landmark", "hierarchical_label", "natural_or_human_made"))
    assert names[0] == ("Lake B", "Lake C", "Zoo A")
    assert first.tolist() == [[2, 1, 0], [0, 0, 1]]
    assert second.tolist() == [[0, 0, 1], [1, 0, 1]]


def test_a_missing_label_agrees_with_its_own_landmark_only() -> None:
    rows = table(("A", "", "", ""), ("A", "", "", ""), ("B", "", "", ""), ("C", "x", "y", "natural"))
    (labels,), _ = encode([rows], known_levels(["landmark", "hierarchical_label", "natural_or_human_made"]))
    assert agreement(labels, labels).tolist() == [[3, 3, 0, 0], [3, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 3]]


def test_a_missing_middle_label_keeps_the_coarse_agreement() -> None:
    rows = table(("A", "", "lake", "natural"), ("B", "", "lake", "natural"), ("C", "tarn", "lake", "natural"))
    (labels,), _ = encode([rows], known_levels(["landmark", "supercategory", "hierarchical_label"]))
    assert agreement(labels, labels).tolist() == [[3, 1, 1], [1, 3, 1], [1, 1, 3]]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (["landmarks"], "did you mean 'landmark'"),
        (["natural_or_human_made", "landmark"], "finest first"),
        ([], "finest first"),
    ],
)
def test_wrong_levels(levels: list[str], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        known_levels(levels)


def test_the_release_is_cut_into_train_gallery_and_queries(world: Params) -> None:
    release = read_release(world.data / "release")
    assert (len(release.train.ids), len(release.index.ids), len(release.test.ids)) == (80, 40, 29)
    assert release.left_out == 1
    assert [len(names) for names in release.names] == [5, 3, 2]
    assert release.train.labels.shape == (80, 3)


def test_only_labelled_and_clean_images_are_trained_on(world: Params) -> None:
    path = world.data / "release" / "train.parquet"
    train = pd.read_parquet(path)
    train.loc[train["category"] == "Grey Peak", "hierarchical_label"] = ""
    train.loc[train.index[:5], "clean"] = False
    write_parquet(train, path)
    assert len(read_release(world.data / "release").train.ids) == 60
    assert len(read_release(world.data / "release", clean_only=False).train.ids) == 64


def test_what_is_wrong_with_a_release_is_said(world: Params) -> None:
    with pytest.raises(HgldError, match="dvc repro"):
        read_release(Path("nowhere"))
    path = world.data / "release" / "index.parquet"
    write_parquet(pd.read_parquet(path).assign(category=""), path)
    with pytest.raises(HgldError, match="has no category"):
        read_release(world.data / "release")


def test_pictures_are_square_and_stay_in_memory(world: Params) -> None:
    release = read_release(world.data / "release")
    with ImageTars(world.data / "images" / "images.parquet", world.data / "images") as tars:
        pictures = Pictures(tars, release.index.ids, 40)
        first = pictures[0]
    assert first.shape == (3, 40, 40)
    assert first.dtype == torch.uint8
    assert pictures[0] is first


LABELS = torch.tensor([[c, c // 3] for c in range(12) for _ in range(2 + c % 4)])


@pytest.mark.parametrize("together", [False, True])
def test_every_batch_holds_m_of_each_of_its_classes(together: bool) -> None:
    sampler = PerClass(LABELS, batch_size=12, per_class=3, seed=1, together=together)
    seen: Counter[int] = Counter()
    for epoch in range(12):
        sampler.at_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) == len(LABELS) // 12
        for batch in batches:
            classes = Counter(int(LABELS[row, 0]) for row in batch)
            assert sorted(classes.values()) == [3, 3, 3, 3]
            for code in classes:
                rows = [row for row in batch if LABELS[row, 0] == code]
                assert len(set(rows)) == min(3, int((LABELS[:, 0] == code).sum()))
            seen.update(classes)
    assert set(seen) == set(range(12))


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    one, same = (PerClass(LABELS, batch_size=12, per_class=3, seed=4) for _ in range(2))
    assert list(one) == list(same)
    first = list(one)
    one.at_epoch(1)
    assert list(one) != first


def test_the_hierarchical_batch_holds_kin() -> None:
    sampler = PerClass(LABELS, batch_size=12, per_class=3, seed=2, together=True)
    batch = next(iter(sampler))
    kin = Counter(int(LABELS[row, 1]) for row in batch)
    assert max(kin.values()) >= 6


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(HgldError, match="multiple of per_class"):
        PerClass(LABELS, batch_size=10, per_class=4, seed=0)
    with pytest.raises(HgldError, match="single landmark"):
        PerClass(torch.zeros(9, 2, dtype=torch.long), batch_size=8, per_class=4, seed=0)


def test_renumbered_labels_have_no_gaps() -> None:
    assert renumbered(torch.tensor([[9, 2], [4, 2], [9, 7]])).tolist() == [[1, 0], [0, 0], [1, 1]]
