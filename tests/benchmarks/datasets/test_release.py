"""The release as a dataset: its three roles, its labels, and what is wrong with a broken one."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from hgld.benchmarks.datasets.release import COLUMNS, encode, known_levels, open_release
from hgld.benchmarks.ranking.levels import agreement
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from tests.benchmarks.conftest import PLACES, add_places


def table(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


def change(data: Path, split: str, **columns: object) -> None:
    """Overwrite columns of a table of the release."""
    path = data / "release" / f"{split}.parquet"
    write_parquet(pd.read_parquet(path).assign(**columns), path)


def test_labels_have_one_enumeration_over_all_splits() -> None:
    """The published code numbers the classes per split."""
    a = table(("Zoo A", "zoo", "zoo", "human-made"), ("Lake B", "lake", "lake", "natural"))
    b = table(("Lake B", "lake", "lake", "natural"), ("Lake C", "lake", "lake", "natural"))
    (first, second), names = encode([a, b], ("landmark", "hierarchical_label", "natural_or_human_made"))
    assert names[0] == ("Lake B", "Lake C", "Zoo A")
    assert first.tolist() == [[2, 1, 0], [0, 0, 1]]
    assert second.tolist() == [[0, 0, 1], [1, 0, 1]]


def test_missing_label_agrees_only_with_its_own_landmark() -> None:
    rows = table(("A", "", "", ""), ("A", "", "", ""), ("B", "", "", ""), ("C", "x", "y", "natural"))
    (labels,), _ = encode([rows], known_levels(["landmark", "hierarchical_label", "natural_or_human_made"]))
    assert agreement(labels, labels).tolist() == [[3, 3, 0, 0], [3, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 3]]


def test_missing_middle_label_keeps_the_coarse_agreement() -> None:
    rows = table(("A", "", "lake", "natural"), ("B", "", "lake", "natural"), ("C", "tarn", "lake", "natural"))
    (labels,), _ = encode([rows], known_levels(["landmark", "supercategory", "hierarchical_label"]))
    assert agreement(labels, labels).tolist() == [[3, 1, 1], [1, 3, 1], [1, 1, 3]]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (["landmarks"], "did you mean 'landmark'"),
        (["natural_or_human_made", "landmark"], "finest first"),
        ([], "finest first"),
        (["landmark", "landmark"], "each once"),
        (["landmark", "continent", "country"], "landmark, country, continent"),
        (["country", "landmark"], "finest first"),
        (["landmark", "continet"], "did you mean 'continent'"),
    ],
)
def test_wrong_levels_are_errors(levels: list[str], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        known_levels(levels)


@pytest.mark.parametrize(
    "levels",
    [
        ("landmark", "country", "continent"),
        ("landmark", "hierarchical_label", "continent"),
        ("landmark", "country", "natural_or_human_made"),
        ("country", "continent"),
    ],
)
def test_the_two_axes_may_be_mixed_each_in_its_own_order(levels: tuple[str, ...]) -> None:
    assert known_levels(levels) == levels


def test_places_are_levels(world: Params) -> None:
    add_places(world.data)
    with open_release(world.data, ("landmark", "country", "continent")) as dataset:
        assert dataset.class_names[1:] == (("", "CH|FR", "FR", "JP"), ("", "Asia", "Europe"))
        names = [dataset.class_names[0][label] for label in dataset.gallery.labels[:, 0]]
        first = {name: dataset.gallery.labels[names.index(name)] for name in PLACES}
        rows = torch.stack([first[name] for name in PLACES])
        assert agreement(rows, rows).tolist() == [
            [3, 2, 1, 0, 0], [2, 3, 1, 0, 0], [1, 1, 3, 0, 0], [0, 0, 0, 3, 0], [0, 0, 0, 0, 3],
        ]  # fmt: skip
        assert len(dataset.train) == 64  # without the landmark of no known place
        assert len(dataset.gallery) == 40
        assert set(zip(dataset.query_columns["category"], dataset.continents, strict=True)) == {
            (name, continent) for name, (_, continent) in PLACES.items()
        }


def test_release_without_places_serves_the_other_levels(world: Params) -> None:
    with open_release(world.data) as dataset:
        assert dataset.continents == ()
    message = r"level 'continent': the release in .* run: dvc repro release"
    with pytest.raises(HgldError, match=message), open_release(world.data, ("landmark", "continent")):
        pass


def test_release_has_train_images_queries_and_a_gallery(world: Params) -> None:
    with open_release(world.data) as dataset:
        assert [len(role) for role in (dataset.train, dataset.gallery, dataset.query)] == [80, 40, 29]
        assert [len(names) for names in dataset.class_names] == [5, 3, 2]
        assert dataset.train.labels.shape == (80, 3) and dataset.train.labels.dtype == torch.int64
        assert dataset.query.image(0).mode == "RGB"
        assert dataset.query.caption(0) == dataset.class_names[0][dataset.query.labels[0, 0]]


def test_release_reports_its_queries(world: Params) -> None:
    relevant = pd.read_parquet(world.data / "release" / "test.parquet")["relevant"]
    change(world.data, "test", relevant=[relevant[1], *relevant[1:]])
    with open_release(world.data) as dataset:
        assert (dataset.left_out, dataset.lists_differ) == (1, 1)
        assert {name: sum(members) for name, members in dataset.subsets.items()} == {
            "Public": 19,
            "Private": 10,
        }
        assert list(dataset.query_columns) == ["usage", *COLUMNS]


def test_train_images_are_labelled_and_clean(world: Params) -> None:
    train = pd.read_parquet(world.data / "release" / "train.parquet")
    label = train["hierarchical_label"].where(train["category"] != "Grey Peak", "")
    change(world.data, "train", hierarchical_label=label, clean=[False] * 5 + [True] * 75)
    for clean_only, expected in ((True, 60), (False, 64)):
        with open_release(world.data, clean_only=clean_only) as dataset:
            assert len(dataset.train) == expected


def test_missing_tables_and_categories_are_errors(world: Params) -> None:
    with pytest.raises(HgldError, match="dvc repro"), open_release(Path("nowhere")):
        pass
    change(world.data, "index", category="")
    with pytest.raises(HgldError, match="has no category"), open_release(world.data):
        pass


DAMAGES = {
    "without rows": lambda frame: frame.iloc[:0],
    "half of the rows": lambda frame: frame.iloc[: len(frame) // 2],
    "foreign columns": lambda frame: frame.add_prefix("other_"),
    "numbers for text": lambda frame: frame.assign(**{frame.columns[0]: range(len(frame))}),
    "text for a number or a flag": lambda frame: frame.assign(**{frame.columns[-1]: "x"}).iloc[:, :1],
    "every row twice": lambda frame: pd.concat([frame, frame]),
    "a missing value": lambda frame: frame.assign(**{frame.columns[0]: frame.iloc[:, 0].mask(frame.index == 0)}),
}


@pytest.mark.parametrize("name", ["release/train", "release/index", "release/test", "images/images"])
def test_no_damaged_table_is_trained_or_scored_on(world: Params, name: str) -> None:
    folder = world.data / "release"
    rows = {path.name: len(pd.read_parquet(path)) for path in folder.glob("*.parquet")}
    (folder / "metadata.json").write_text(json.dumps({"rows": rows}))
    path = world.data / f"{name}.parquet"
    whole, frame = path.read_bytes(), pd.read_parquet(path)
    for damage, change_table in DAMAGES.items():
        write_parquet(change_table(frame), path)
        if (name, damage) == ("images/images", "half of the rows"):
            continue  # any part of the tars may have been fetched: the image that lacks is named when it is read
        with pytest.raises(HgldError), open_release(world.data) as dataset:
            dataset.gallery.image(0)
            pytest.fail(f"{name} {damage}: no error")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HgldError, match="not the expected Parquet table"), open_release(world.data):
        pass
    path.write_bytes(whole)
    with open_release(world.data) as dataset:
        dataset.gallery.image(0)
