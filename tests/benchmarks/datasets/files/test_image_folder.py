"""Nested folders: their names are the labels, the top ones may be roles, and what cannot be so is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from hgld.benchmarks.datasets.files.image_folder import read_image_folder
from hgld.benchmarks.datasets.files.image_list import dataset_of
from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.foundation.errors import HgldError
from tests.benchmarks.datasets.miniatures import picture


def _open(folder: Path, levels: list[str] | None = None, split: str | None = None) -> RetrievalDataset:
    return dataset_of(read_image_folder(folder, levels, split))


def _fails(folder: Path, levels: list[str] | None = None, split: str | None = None) -> str:
    with pytest.raises(HgldError) as caught:
        _open(folder, levels, split)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("fruit/apple/1", "fruit/apple/2", "fruit/other/3", "fruit/other/4",
                 "drinks/juice/5", "drinks/juice/6", "drinks/other/7", "drinks/other/8"):  # fmt: skip
        picture(tmp_path / "shop" / f"{path}.jpg")
    return tmp_path / "shop"


def test_folders_are_labels_and_the_same_name_in_two_is_two_classes(folder: Path) -> None:
    data = _open(folder, split="none")
    assert data.levels == ("fine", "coarse")
    assert data.class_names == (("juice", "drinks/other", "apple", "fruit/other"), ("drinks", "fruit"))
    assert data.query.labels.tolist() == [[0, 0], [0, 0], [1, 0], [1, 0], [2, 1], [2, 1], [3, 1], [3, 1]]
    assert data.query.ids[0] == "drinks/juice/5.jpg"


def test_by_default_the_first_half_of_the_sorted_classes_trains(folder: Path) -> None:
    data = _open(folder)
    assert {data.train.caption(n) for n in range(4)} == {"juice", "drinks/other"}
    assert {data.query.caption(n) for n in range(4)} == {"apple", "fruit/other"}


def test_a_split_by_image_halves_every_class(folder: Path) -> None:
    data = _open(folder, split="image")
    assert sorted(data.train.labels[:, 0].tolist()) == sorted(data.query.labels[:, 0].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "Validation"), ("train", "query", "gallery")])
def test_top_folders_that_are_roles_are_the_split(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        for number in range(2):
            picture(tmp_path / name / "fruit" / "apple" / f"{number}.png")
    data = _open(tmp_path)
    assert data.levels == ("fine", "coarse")
    assert (len(data.train), len(data.query)) == (2, 2)
    assert data.class_names == (("apple",), ("fruit",))
    assert (data.query is data.gallery) == (len(names) == 2)


def test_a_class_called_test_is_a_class_where_other_top_folders_are_no_roles(tmp_path: Path) -> None:
    for name in ("test", "apple"):
        picture(tmp_path / name / "1.jpg")
    assert _open(tmp_path, split="none").class_names == (("apple", "test"),)
    picture(tmp_path / "train" / "1.jpg")
    assert "the folders test, train are a split, but there are images in apple too" in _fails(tmp_path)


def test_an_only_folder_at_the_top_is_no_level(folder: Path) -> None:
    assert _open(folder.parent, split="none").class_names == _open(folder, split="none").class_names


def test_levels_can_be_named_or_left_out(folder: Path) -> None:
    assert _open(folder, ["product", "aisle"]).levels == ("product", "aisle")
    assert _open(folder, ["coarse"], "none").class_names == (("drinks", "fruit"),)
    for levels in (["product"], ["coarse", "fine"], ["a", "a"], ["path", "id"], []):
        assert "expected 2 names of your own" in _fails(folder, levels)


def test_hidden_files_are_left_out_and_others_are_counted(folder: Path) -> None:
    (folder / "fruit" / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    picture(folder / "__MACOSX" / "fruit" / "1.jpg")
    (folder / "fruit" / "notes.txt").write_text("x")
    data = _open(folder)
    assert data.facts["left out"] == "1 file(s) that are no images (1 .txt)"
    assert len(data.train) + len(data.query) == 8


def test_images_at_different_depths_are_an_error_that_shows_one_of_each(folder: Path) -> None:
    picture(folder / "fruit" / "9.jpg")
    assert "fruit/9.jpg is in 1 folder(s), drinks/juice/5.jpg in 2" in _fails(folder)


def test_an_image_beside_the_folders_of_the_split_is_an_error(tmp_path: Path) -> None:
    for path in ("train/a/1.jpg", "test/a/2.jpg", "cover.jpg"):
        picture(tmp_path / path)
    assert "cover.jpg is in 0 folder(s)" in _fails(tmp_path)


def test_a_folder_without_images_or_classes_is_an_error(tmp_path: Path) -> None:
    assert "no folder" in _fails(tmp_path / "nowhere")
    assert "no images; expected coarse/fine/image.jpg" in _fails(tmp_path)
    picture(tmp_path / "1.jpg")
    assert "in no folder of a class" in _fails(tmp_path)


def test_links_to_classes_are_followed_and_a_loop_is_an_error(folder: Path, tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "1.jpg")
    (folder / "fruit" / "pear").symlink_to(tmp_path / "elsewhere")
    assert "pear" in _open(folder).class_names[0]
    (folder / "fruit" / "loop").symlink_to(folder)
    assert "again, by a link" in _fails(folder)


def test_an_unknown_split_gets_a_suggestion(folder: Path) -> None:
    assert "unknown split 'images'; did you mean 'image'?" in _fails(folder, split="images")
