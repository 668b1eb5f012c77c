"""Official layouts, each on a miniature made in that layout: roles, labels, names, what is said of a missing file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hgld.benchmarks.datasets.labelled_images import LabelledImages, RetrievalDataset
from hgld.benchmarks.datasets.registry import LAYOUTS, open_data, recognised
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from tests.benchmarks.datasets import miniatures
from tests.benchmarks.datasets.miniatures import MINIATURES, picture, write
from tests.paths import ROOT


def _open(folder: Path | str, levels: str | None = None, split: str | None = None) -> RetrievalDataset:
    with open_data(str(folder), None, levels=levels.split(",") if levels else None, split=split) as dataset:
        return dataset


def _fails(folder: Path | str, levels: str | None = None, split: str | None = None) -> str:
    with pytest.raises(HgldError) as caught:
        _open(folder, levels, split)
    return str(caught.value)


def _names(dataset: RetrievalDataset, images: LabelledImages, level: int = 0) -> list[str]:
    return [dataset.class_names[level][label] for label in images.labels[:, level].tolist()]


@pytest.mark.parametrize("name", MINIATURES)
def test_layout_is_recognised_and_all_its_images_are_read(tmp_path: Path, name: str) -> None:
    kind, make = MINIATURES[name]
    folder = make(tmp_path)
    assert recognised(folder) == kind
    data = _open(folder)
    assert data.name
    assert data.facts["protocol"]
    for images in (data.train, data.query, data.gallery):
        assert all(images.image(n).mode == "RGB" for n in range(len(images)))
    assert len(data.train) + len(data.query) > 0


@pytest.mark.parametrize("name", MINIATURES)
def test_any_missing_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    kind, make = MINIATURES[name]
    folder = make(tmp_path / "whole")
    lists = [path for path in folder.rglob("*") if path.suffix in {".txt", ".csv", ".json", ".mat", ".pkl"}]
    spare = {"val.txt", "classes.csv", "train_test_split.txt", "categories.json", "val2018.json", "query.csv",
             "gallery.csv"}  # fmt: skip
    some_image = min(path for path in folder.rglob("*") if path.is_file() and path not in lists)
    if name == "inat2018":  # categories.json and the lists of the papers stand for it
        spare |= {"train2018.json"}
    for path in (*(path for path in lists if path.name not in spare), some_image):
        if name.startswith("dyml") and path == some_image and "bmk" in path.parts[-3]:
            continue
        aside = tmp_path / "aside"
        shutil.move(path, aside)
        assert path.name in _fails(f"{kind}:{folder}"), path
        shutil.move(aside, path)
    _open(folder)


@pytest.mark.parametrize("name", MINIATURES)
def test_an_empty_or_foreign_list_is_an_error_and_not_a_traceback(tmp_path: Path, name: str) -> None:
    kind, make = MINIATURES[name]
    folder = make(tmp_path)
    for path in [path for path in folder.rglob("*") if path.suffix in {".txt", ".csv", ".json", ".mat", ".pkl"}]:
        if path.name in {
            "classes.csv",
            "train_test_split.txt",
            "train2018.json",
            "val2018.json",
        } or path.parent.name.startswith("bmk_"):
            continue
        content = path.read_bytes()
        for other in (b"", b"<html>404</html>\n", b"a b c d e f\n", content[: len(content) // 2]):
            path.write_bytes(other)
            try:
                _open(f"{kind}:{folder}")
            except HgldError as error:
                assert str(error)
            else:  # half a list can be a shorter list; nothing else can be one
                assert other == content[: len(content) // 2], path
                assert path.suffix in {".txt", ".csv"}
        path.write_bytes(content)


def test_every_layout_has_a_miniature() -> None:
    tested = {kind for kind, _ in MINIATURES.values()} | {"rparis6k"}  # one module for Oxford and Paris
    assert tested == set(LAYOUTS)


def test_online_products(tmp_path: Path) -> None:
    data = _open(miniatures.online_products(tmp_path).parent)  # the folder in which the archive was unpacked
    assert data.levels == ("class", "super_class")
    assert _names(data, data.train) == ["9", "9", "10", "10"]
    assert _names(data, data.query) == ["11", "11", "12", "12"]
    assert _names(data, data.query, 1) == ["bicycle", "bicycle", "chair", "chair"]
    assert data.query is data.gallery


def test_online_products_with_a_class_in_both_lists_is_refused(tmp_path: Path) -> None:
    folder = miniatures.online_products(tmp_path)
    (folder / "Ebay_test.txt").write_text((folder / "Ebay_test.txt").read_text().replace(" 11 ", " 10 "))
    assert "class 10 is in both lists" in _fails(folder)


def test_birds_are_split_by_class_or_as_their_authors_did(tmp_path: Path) -> None:
    folder = miniatures.birds(tmp_path)
    data = _open(folder)
    assert data.levels == ("species", "genus", "family")
    assert _names(data, data.train) == ["Black footed Albatross"] * 2 + ["Laysan Albatross"] * 2
    assert _names(data, data.query) == ["Sooty Albatross"] * 2 + ["Groove billed Ani"] * 2
    data = _open(folder, split="image")
    assert len(set(_names(data, data.train))) == len(set(_names(data, data.query))) == 4


def test_birds_have_a_genus_and_a_family_where_all_species_are_known(tmp_path: Path) -> None:
    folder = miniatures.birds(tmp_path)
    data = _open(folder)
    assert _names(data, data.train, 1) == ["Phoebastria"] * 4
    assert _names(data, data.query, 1) == ["Phoebetria"] * 2 + ["Crotophaga"] * 2
    assert _names(data, data.query, 2) == ["Diomedeidae"] * 2 + ["Cuculidae"] * 2
    path = folder / "classes.txt"
    path.write_text(path.read_text().replace("Groove_billed_Ani", "Dodo"))
    assert _open(folder).levels == ("species",)


def test_the_table_of_birds_is_whole_and_nested_and_says_nothing_of_what_is_uncertain() -> None:
    table = read_csv(ROOT / "benchmarks" / "datasets" / "layouts" / "birds.csv", ["species", "genus", "family"])
    assert len(table) == 200
    assert list(table["species"]) == sorted(set(table["species"]))
    assert list(table.loc[table["genus"] == "", "species"]) == ["Tree_Sparrow"]
    assert table.groupby("genus")["family"].nunique().max() == 1
    assert table["family"].str.fullmatch("[A-Z][a-z]+idae|").all()
    assert table["genus"].str.fullmatch("[A-Z][a-z]+|").all()


def test_birds_get_coarser_levels_from_a_table_of_ones_own(tmp_path: Path) -> None:
    folder = miniatures.birds(tmp_path)
    names = [line.split()[1] for line in (folder / "classes.txt").read_text().splitlines()]
    rows = [f"{name},{'land' if 'Ani' in name else 'sea'}" for name in names]
    write(folder / "taxonomy.csv", "species,habitat", *rows)
    data = _open(folder)
    assert data.levels == ("species", "habitat")
    assert _names(data, data.query, 1) == ["sea"] * 2 + ["land"] * 2
    write(folder / "taxonomy.csv", "species,habitat", *rows[:3])
    assert "no row for '004.Groove_billed_Ani'" in _fails(folder)
    write(folder / "taxonomy.csv", "species,habitat", *rows[:3], rows[3].replace("Ani", "Any"))
    assert "did you mean '004.Groove_billed_Ani'?" in _fails(folder)


@pytest.mark.parametrize("make", [miniatures.cars, miniatures.cars_devkit])
def test_cars(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)
    data = _open(folder)
    assert set(_names(data, data.train)) == set(miniatures.CARS[:2])
    assert set(_names(data, data.query)) == set(miniatures.CARS[2:])
    assert len(data.train) == len(data.query) == 4
    data = _open(folder, split="image")
    assert set(_names(data, data.train)) == set(_names(data, data.query)) == set(miniatures.CARS)


def test_in_shop_has_queries_and_a_gallery(tmp_path: Path) -> None:
    folder = miniatures.in_shop(tmp_path)
    data = _open(folder)
    assert set(_names(data, data.train)) == {"id_00000001", "id_00000002"}
    assert _names(data, data.query) == _names(data, data.gallery) == ["id_00000007", "id_00000008"]
    path = folder / "Eval" / "list_eval_partition.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "line 1 says 8 images, 7 are listed" in _fails(folder)


def test_inaturalist_with_names_has_seven_levels_and_tells_two_genera_of_one_name_apart(tmp_path: Path) -> None:
    data = _open(miniatures.inaturalist(tmp_path))
    assert data.levels == ("species", "genus", "family", "order", "class", "phylum", "kingdom")
    assert set(_names(data, data.train)) == {"Oenanthe oenanthe", "Oenanthe crocata"}
    assert set(_names(data, data.query)) == {"Oenanthe hispanica", "Daucus carota"}
    assert data.class_names[1].count("Oenanthe") == 2
    birds = data.query.labels[0]
    assert torch.equal(data.train.labels[0, 1:], birds[1:])
    assert not (data.train.labels[-1] == birds).any()


def test_inaturalist_base_has_two_levels(tmp_path: Path) -> None:
    for named in (True, False):
        folder = miniatures.inaturalist(tmp_path / str(named), named=named)
        data = _open(folder, "species,supercategory" if named else None)
        assert data.levels == ("species", "supercategory")
        assert set(_names(data, data.query, 1)) == {"Aves", "Plantae"}
    assert "need categories.json there" in _fails(folder, "species,genus")


def test_inaturalist_without_the_lists_of_the_papers_has_its_own_split(tmp_path: Path) -> None:
    folder = miniatures.inaturalist(tmp_path, by_class=False)
    data = _open(folder)
    assert set(_names(data, data.train)) == set(_names(data, data.query))
    assert (len(data.train), len(data.query)) == (8, 8)
    data = _open(folder, split="class")
    assert not set(_names(data, data.train)) & set(_names(data, data.query))


@pytest.mark.parametrize("level", ["fine", "middle", "coarse"])
def test_dyml_has_a_benchmark_for_each_level_with_queries_inside_the_gallery(tmp_path: Path, level: str) -> None:
    data = _open(miniatures.dyml_animal(tmp_path), level)
    assert len(data.train) == 6  # the row in the line of the header too
    assert len(data.query) == 2
    assert len(data.gallery) == 4
    assert list(data.gallery.ids)[2] == data.query.ids[0] == f"bmk_{level}/query/0.jpg"
    assert data.gallery.ids[0] != data.query.ids[0]  # another image of the same name
    assert _names(data, data.query) == ["0", "1"]


def test_dyml_trains_on_three_levels_and_says_which_benchmarks_there_are(tmp_path: Path) -> None:
    data = _open(miniatures.dyml_animal(tmp_path))
    assert data.levels == ("fine", "middle", "coarse")
    assert data.train.labels.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0], [2, 1, 1], [2, 1, 1]]
    with pytest.raises(HgldError, match=r"no query images; .* ask for fine, middle or coarse alone"):
        data.require("query")


def test_dyml_product_is_tested_on_all_levels(tmp_path: Path) -> None:
    data = _open(miniatures.dyml_product(tmp_path))
    assert data.query is data.gallery
    assert _names(data, data.query) == ["10", "10", "12", "12"]
    assert _names(data, data.query, 2) == ["0", "0", "1", "1"]


def test_dyml_lists_with_a_header_of_their_own_line_are_read_too(tmp_path: Path) -> None:
    folder = miniatures.dyml_animal(tmp_path)
    path = folder / "train" / "label.csv"
    path.write_text(path.read_text().replace("fine_id", "fine_id\n"))
    assert len(_open(folder).train) == 6


def test_sfm_has_images_to_train_and_to_validate_on(tmp_path: Path) -> None:
    data = _open(miniatures.sfm(tmp_path))
    assert _names(data, data.train) == ["train 0", "train 0", "train 1", "train 1"]
    assert data.val is data.query is data.gallery
    assert len(data.val) == 2


def test_sfm_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    folder = miniatures.sfm(tmp_path)
    path = folder / "retrieval-SfM-120k.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "run").encode() + b"'\ntR.")
    assert "no code was run" in _fails(folder) or "refers to" in _fails(folder)
    assert not (tmp_path / "run").exists()


def test_revisited_queries_are_cropped_and_those_that_share_a_positive_show_one_place(tmp_path: Path) -> None:
    data = _open(miniatures.revisited_oxford(tmp_path))
    assert [data.query.image(n).size for n in range(3)] == [(16, 12), (12, 9), (8, 8)]
    assert data.gallery.image(0).size == (24, 18)
    assert _names(data, data.query) == ["ashmolean_000058"] * 2 + ["keble_000028"]
    assert _names(data, data.gallery) == ["ashmolean_000058"] * 2 + ["keble_000028", ""]
    assert "junk images are not removed" in data.facts["protocol"]
    with pytest.raises(HgldError, match="no train images"):
        data.require("train")


def test_groceries_of_an_undivided_class_have_it_as_their_fine_one(tmp_path: Path) -> None:
    data = _open(miniatures.groceries(tmp_path))
    assert data.levels == ("fine", "coarse", "top")
    assert set(_names(data, data.train)) == {"Pink-Lady", "Royal-Gala", "Kiwi"}
    assert set(_names(data, data.query, 1)) == {"Apple", "Kiwi"}
    assert data.val is not None
    assert len(data.val) == 6


def test_levels_of_a_layout_can_be_chosen_and_no_others(tmp_path: Path) -> None:
    folder = miniatures.online_products(tmp_path)
    assert _open(folder, "super_class").class_names == (("bicycle", "chair"),)
    assert "did you mean 'super_class'?" in _fails(folder, "class,superclass")
    assert "each once and finest first" in _fails(folder, "super_class,class")
    assert "has its own split" in _fails(folder, split="class")


def test_the_kind_decides_where_a_folder_could_be_read_in_two_ways(tmp_path: Path) -> None:
    folder = miniatures.groceries(tmp_path)
    for path in list(folder.rglob("*.txt")) + list(folder.glob("*.csv")):
        path.unlink()
    shutil.rmtree(folder / "val")
    for role in ("train", "test"):
        shutil.rmtree(folder / role / "Fruit" / "Kiwi")
        picture(folder / role / "Fruit" / "Kiwi" / "Kiwi" / "1.jpg")
    assert recognised(folder) is None
    assert _open(f"folder:{folder}").levels == ("fine", "coarse", "top")
    assert "no train.txt in" in _fails(f"grocery:{folder}")
