"""A table of images: labels stay text, roles follow the split, and every fault is named with its line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from hgld.benchmarks.datasets.files.image_list import dataset_of
from hgld.benchmarks.datasets.files.image_table import read_image_table
from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.datasets.registry import open_data
from hgld.foundation.errors import HgldError
from tests.benchmarks.datasets.miniatures import picture

HEADER = "path,split,species,genus"
ROWS = [
    "a/1.jpg,train,007,Larus", "a/2.jpg,train,007,Larus", "a/3.jpg,train,08,Larus",
    "b/4.jpg,test,9,Corvus", "b/5.jpg,test,9,Corvus", "b/6.jpg,test,10,Corvus",
]  # fmt: skip


def _table(folder: Path, rows: list[str], header: str = HEADER) -> Path:
    for row in rows:
        if (name := row.split(",")[0]) and not name.startswith("missing"):
            picture(folder / name)
    (folder / "birds.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder / "birds.csv"


def _open(path: Path, levels: str | None = "species,genus", split: str | None = None) -> RetrievalDataset:
    return dataset_of(read_image_table(path, levels.split(",") if levels else None, split))


def _fails(path: Path, levels: str | None = "species,genus", split: str | None = None) -> str:
    with pytest.raises(HgldError) as caught:
        _open(path, levels, split)
    return str(caught.value)


def test_labels_are_text_and_numbered_alike_in_all_roles(tmp_path: Path) -> None:
    data = _open(_table(tmp_path, ROWS))
    assert data.levels == ("species", "genus")
    assert data.class_names == (("007", "08", "10", "9"), ("Corvus", "Larus"))
    assert data.train.labels.tolist() == [[0, 1], [0, 1], [1, 1]]
    assert data.query.labels.tolist() == [[3, 0], [3, 0], [2, 0]]
    assert list(data.train.ids) == ["a/1.jpg", "a/2.jpg", "a/3.jpg"]
    assert data.train.caption(2) == "08"
    assert data.train.image(0).size == (24, 18)


def test_test_images_are_queries_and_gallery_at_once(tmp_path: Path) -> None:
    data = _open(_table(tmp_path, ROWS))
    assert data.query is data.gallery
    assert "itself is left out by its id" in data.facts["protocol"]


def test_query_and_gallery_keep_their_images_and_may_share_one(tmp_path: Path) -> None:
    rows = ["1.jpg,query,a,x", "1.jpg,gallery,a,x", "2.jpg,gallery,a,x", "3.jpg,gallery,,x", "4.jpg,gallery,,"]
    data = _open(_table(tmp_path, rows))
    assert (len(data.train), list(data.query.ids)) == (0, ["1.jpg"])
    assert list(data.gallery.ids) == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    with pytest.raises(HgldError, match=r"birds\.csv: no train images"):
        data.require("query", "train")


def test_images_without_a_label_agree_with_what_is_known_of_them_only(tmp_path: Path) -> None:
    rows = ["1.jpg,train,a,x", "2.jpg,train,a,x", "3.jpg,train,b,", "4.jpg,train,b,", "5.jpg,train,c,",
            "6.jpg,gallery,,x", "7.jpg,gallery,,x", "8.jpg,query,a,x"]  # fmt: skip
    data = _open(_table(tmp_path, rows))
    train, gallery = data.train.labels, data.gallery.labels
    assert torch.equal(train[2], train[3])  # same species, of an unknown genus: one class of that species
    assert train[2, 1] != train[4, 1]
    assert gallery[0, 0] != gallery[1, 0]  # two distractors are of no common species
    assert gallery[0, 1] == gallery[1, 1] == data.query.labels[0, 1]
    assert data.class_names[1][int(train[2, 1])] == ""


def test_one_further_column_is_the_level(tmp_path: Path) -> None:
    assert _open(_table(tmp_path, ["1.jpg,train,a", "2.jpg,test,b"], "path,split,shop"), None).levels == ("shop",)


def test_of_several_columns_the_levels_are_asked_for_and_those_that_nest_are_proposed(tmp_path: Path) -> None:
    rows = [f"{row},{number % 2}" for number, row in enumerate(ROWS)]
    message = _fails(_table(tmp_path, rows, f"{HEADER},camera"), None)
    assert message.endswith("species (4 values), genus (2 values), camera (2 values); say so, finest first, as in: "
                            "--levels species,genus")  # fmt: skip


def test_a_parquet_table_is_read_as_the_csv(tmp_path: Path) -> None:
    expected = _open(_table(tmp_path, ROWS))
    frame = pd.read_csv(tmp_path / "birds.csv", dtype=str)
    frame["species"] = frame["species"].astype("category")
    frame.loc[0, "genus"] = None
    frame.loc[1, "genus"] = None
    frame.loc[2, "genus"] = None
    frame.assign(width=24.5, year=1999).to_parquet(tmp_path / "birds.parquet")
    data = _open(tmp_path / "birds.parquet")
    assert data.class_names[0] == expected.class_names[0]
    assert data.class_names[1][int(data.train.labels[0, 1])] == ""
    assert torch.equal(data.query.labels[:, 0], expected.query.labels[:, 0])
    assert _open(tmp_path / "birds.parquet", "year").class_names == (("1999",),)
    assert "no column 'width' for that level" in _fails(tmp_path / "birds.parquet", "width")


def test_without_a_split_the_first_half_of_the_classes_trains_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [f"{n}.jpg,{n // 2}" for n in range(22)]  # classes 0 to 10: as text, 10 stands before 2
    data = _open(_table(tmp_path, rows, "path,label"), None)
    assert sorted({int(data.train.caption(n)) for n in range(len(data.train))}) == [0, 1, 2, 3, 4, 5]
    assert sorted({int(data.query.caption(n)) for n in range(len(data.query))}) == [6, 7, 8, 9, 10]


def test_a_split_by_image_halves_every_class_and_does_not_move_with_the_rows(tmp_path: Path) -> None:
    rows = [f"{n}.jpg,{n % 3}" for n in range(30)]
    first = _open(_table(tmp_path, rows, "path,label"), None, "image")
    again = _open(_table(tmp_path, rows[::-1], "path,label"), None, "image")
    assert torch.bincount(first.train.labels[:, 0]).tolist() == [5, 5, 5]
    assert set(first.train.ids) == set(again.train.ids)
    assert not set(first.train.ids) & set(first.query.ids)


def test_a_split_none_trains_on_nothing(tmp_path: Path) -> None:
    data = _open(_table(tmp_path, ROWS), split="none")
    assert (len(data.train), len(data.query)) == (0, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({1: "a/2.jpg,tets,007,Larus"}, "birds.csv:3: unknown split 'tets'; did you mean 'test'?"),
        ({1: "a/2.jpg,,007,Larus"}, "birds.csv:3: unknown split ''"),
        ({4: ",test,9,Corvus"}, "birds.csv:6: no path"),
        ({0: "missing.jpg,train,007,Larus"}, "birds.csv:2: no such file: "),
        ({1: "a/1.jpg,train,007,Larus"}, "birds.csv:3: image 'a/1.jpg' is train already at "),
        ({3: "a/1.jpg,test,007,Larus"}, "birds.csv:5: image 'a/1.jpg' is test here, and train at "),
        ({1: "a/2.jpg,train,,Larus"}, "birds.csv:3: no species, the finest level"),
        ({4: "b/5.jpg,test,9,Larus"}, "species '9' is in genus 'Larus' "),
        ({4: "b/5.jpg,test,9,"}, "species '9' is in genus 'Corvus' "),
        ({3: "b/4.jpg,query,9,Corvus"}, "expected either test, or query and gallery"),
        ({3: "b/4.jpg,test,9,Corvus,x"}, "birds.csv:5: 5 values for 4 columns"),
    ],
)
def test_every_fault_is_named_with_its_line(tmp_path: Path, change: dict[int, str], message: str) -> None:
    rows = [change.get(number, row) for number, row in enumerate(ROWS)]
    found = _fails(_table(tmp_path, rows))
    assert message in found
    assert len(found.splitlines()) <= 4


def test_levels_in_the_wrong_order_are_told_from_wrong_labels(tmp_path: Path) -> None:
    message = _fails(_table(tmp_path, ROWS), "genus,species")
    assert "the finest level comes first: --levels species,genus" in message


def test_a_gallery_without_queries_and_a_query_without_gallery_are_errors(tmp_path: Path) -> None:
    assert "no gallery images" in _fails(_table(tmp_path, ["1.jpg,query,a,x", "2.jpg,train,a,x"]))
    assert "no query images" in _fails(_table(tmp_path, ["1.jpg,gallery,a,x", "2.jpg,train,a,x"]))


@pytest.mark.parametrize(
    ("levels", "message"),
    [("specis,genus", "no column 'specis' for that level; did you mean 'species'?"), ("split", "cannot be a level"),
     ("species,species", "each once"), ("", "no column ''")],
)  # fmt: skip
def test_unknown_levels_are_errors(tmp_path: Path, levels: str, message: str) -> None:
    path = _table(tmp_path, ROWS)
    with pytest.raises(HgldError) as caught:
        read_image_table(path, levels.split(","), None)
    assert message in str(caught.value)


@pytest.mark.parametrize(("suffix", "none"), [(".csv", ""), (".parquet", None)])
def test_the_columns_of_open_metric_learning_say_who_is_query_and_gallery(
    tmp_path: Path, suffix: str, none: str | None
) -> None:
    rows = [("1", "train", none, none), ("2", "train", none, none), ("3", "validation", True, True),
            ("4", "validation", False, True), ("5", "validation", True, False)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["path", "split", "is_query", "is_gallery"]).assign(label=[7, 7, 8, 8, 8])
    frame["path"] += ".jpg"
    for name in frame["path"]:
        picture(tmp_path / name)
    path = tmp_path / f"oml{suffix}"
    frame.to_csv(path, index=False) if none == "" else frame.to_parquet(path)
    data = _open(path, None)
    assert list(data.train.ids) == ["1.jpg", "2.jpg"]
    assert list(data.query.ids) == ["3.jpg", "5.jpg"]
    assert list(data.gallery.ids) == ["3.jpg", "4.jpg"]
    if none == "":
        frame.assign(is_query=True, is_gallery=True).to_csv(path, index=False)
        assert (same := _open(path, None)).query is same.gallery
        frame.assign(is_query="maybe").to_csv(path, index=False)
        assert "oml.csv:2: is_query 'maybe' is neither true nor false" in _fails(path, None)


def test_ids_of_their_own_let_an_image_be_listed_twice(tmp_path: Path) -> None:
    header, rows = "path,split,shop,id", ["1.jpg,train,a,x", "1.jpg,test,b,y", "2.jpg,test,b,0001"]
    assert list(_open(_table(tmp_path, rows, header), "shop").query.ids) == ["y", "0001"]


def test_absolute_paths_and_paths_above_the_table_are_read(tmp_path: Path) -> None:
    picture(tmp_path / "above.jpg")
    (tmp_path / "lists").mkdir()
    rows = ["../above.jpg,train,a", f"{tmp_path}/above.jpg,test,b"]
    (tmp_path / "lists" / "t.csv").write_text("\n".join(["path,split,shop", *rows]))
    assert _open(tmp_path / "lists" / "t.csv", None).query.image(0).size == (24, 18)


def test_windows_separators_are_explained(tmp_path: Path) -> None:
    path = _table(tmp_path, ["missing\\1.jpg,train,a,x"])
    assert "write / between folders" in _fails(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"path,split\n"])
def test_an_empty_or_damaged_table_is_one_line(tmp_path: Path, content: bytes) -> None:
    for name in ("t.csv", "t.parquet"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HgldError) as caught:
            read_image_table(tmp_path / name, None, None)
        assert str(tmp_path / name) in str(caught.value)


SPLITS = ["1.jpg,train,a", "2.jpg,train,a", "3.jpg,val,b", "4.jpg,Dev,b", "5.jpg,Dev,c", "6.jpg,test,d"]


def _validated(path: Path, name: str, split: str | None = None) -> RetrievalDataset:
    with open_data(str(path), None, split=split, validation=name) as dataset:
        return dataset


@pytest.mark.parametrize(
    ("name", "ids"),
    [("Dev", "45"), (" dev", "45"), ("val", "3"), ("validation", "3"), ("test", "6")],
)
def test_any_split_of_a_table_can_be_validated_on(tmp_path: Path, name: str, ids: str) -> None:
    rows = [row for row in SPLITS if ",Dev," not in row or "ev" in name]
    data = _validated(_table(tmp_path, rows, "path,split,shop"), name)
    assert data.val is not None
    assert list(data.val.ids) == [f"{number}.jpg" for number in ids]
    assert list(data.train.ids) == ["1.jpg", "2.jpg"]
    assert all(data.val.image(n).size == (24, 18) for n in range(len(data.val)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dve", "no split 'dve' to validate on; did you mean 'dev'?; possible: val, dev, test"),
        ("train", "no split 'train' to validate on; possible: val, dev, test"),
        ("gallery", "no split 'gallery' to validate on"),
    ],
)
def test_split_that_cannot_be_validated_on_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(HgldError) as caught:
        _validated(_table(tmp_path, SPLITS, "path,split,shop"), name)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_other_words_of_the_column_split_stay_errors_at_their_line(tmp_path: Path) -> None:
    path = _table(tmp_path, [*SPLITS, "7.jpg,hold,d"], "path,split,shop")
    with pytest.raises(HgldError, match=r":8: unknown split 'hold'"):
        _validated(path, "dev")


def test_validation_images_of_open_metric_learning_are_those_to_validate_on_if_named(tmp_path: Path) -> None:
    rows = ["1.jpg,train,a,,", "2.jpg,validation,b,True,False", "3.jpg,validation,b,False,True", "4.jpg,test,c,1,1"]
    path = _table(tmp_path, rows, "path,split,shop,is_query,is_gallery")
    data = _validated(path, "validation")
    assert data.val is not None and list(data.val.ids) == ["2.jpg", "3.jpg"]
    assert list(data.query.ids) == ["4.jpg"]


def test_the_half_that_split_sets_aside_can_be_validated_on(tmp_path: Path) -> None:
    data = _validated(_table(tmp_path, ["1.jpg,a", "2.jpg,b"], "path,shop"), "test")
    assert data.val is not None and list(data.val.ids) == ["2.jpg"]
    with pytest.raises(HgldError, match="no images of the split 'val' to validate on; possible: test"):
        _validated(_table(tmp_path, ["1.jpg,a", "2.jpg,b"], "path,shop"), "val")


def test_an_image_that_is_trained_on_cannot_be_validated_on(tmp_path: Path) -> None:
    path = _table(tmp_path, [*SPLITS, "1.jpg,Dev,a"], "path,split,shop")
    with pytest.raises(HgldError, match=r"birds.csv:8: image '1.jpg' is val here, and train at .*birds.csv:2"):
        _validated(path, "dev")
