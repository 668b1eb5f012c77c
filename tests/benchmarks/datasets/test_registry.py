"""Whatever --data names: what it is taken for, what is said of what it cannot be, and what `hgld data` prints of it."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from hgld.benchmarks.datasets.registry import KINDS, open_data
from hgld.cli import main
from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from tests.benchmarks.conftest import make_world
from tests.benchmarks.datasets.miniatures import birds, online_products, picture
from tests.paths import ROOT, SHARED

PAGE = ROOT / "docs" / "data.md"
GROCERY = SHARED / "grocery" / "grocery_store_112px.zip"
OMNIGLOT = SHARED / "omniglot" / "images_background_small1.zip"


def _data(*words: str | Path) -> str:
    done = CliRunner().invoke(main, ["data", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def _fails(*words: str | Path) -> str:
    done = CliRunner().invoke(main, ["data", *map(str, words)])
    assert done.exit_code == 1, done.output
    return done.output


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of the repository: data of one's own need no params.yaml."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "--data is empty"),
        ("nowhere", "no table or folder nowhere"),
        ("sopp:x", "unknown layout 'sopp'; did you mean 'sop'?"),
        ("sop:", "expected sop:PATH"),
        ("sop:nowhere", "Stanford Online Products: no Ebay_train.txt in nowhere"),
        ("archive.zip", "expected a table (.csv, .csv.gz or .parquet) or a folder; unpack archives first"),
        ("nowhere.csv", "no file nowhere.csv"),
        ("nowhere.parquet", "no file nowhere.parquet"),
        ("a\0b", "no table or folder a\\x00b"),
        ("x" * 5000, "not a path"),
    ],
)
def test_what_cannot_be_data_is_one_line(tmp_path: Path, data: str, message: str) -> None:
    (tmp_path / "archive.zip").write_bytes(b"PK")
    with pytest.raises(HgldError) as caught, open_data(data, None):
        pass
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_release_is_the_default(tmp_path: Path, settings: Params) -> None:
    make_world(settings.data, per_split={"train": 4, "index": 2, "test": 2})
    with open_data(None, settings) as data:
        assert data.levels == tuple(settings.train.levels)
    with open_data(None, settings, levels=["landmark"]) as data:
        assert data.levels == ("landmark",)
    with pytest.raises(HgldError, match="the release has its own split"), open_data(None, settings, split="class"):
        pass


def test_a_folder_that_is_two_layouts_is_asked_about(tmp_path: Path) -> None:
    folder = birds(tmp_path)
    shutil.copytree(online_products(tmp_path), folder, dirs_exist_ok=True)
    message = _fails(folder)
    assert "may be sop or cub; say which, as in sop:" in message
    assert "Stanford Online Products" in _data(f"sop:{folder}")


def test_hgld_data_prints_images_classes_split_protocol_and_what_looks_wrong(tmp_path: Path) -> None:
    rows = ["1.jpg,train,a,Lake", "2.jpg,train,b,lake", "3.jpg,test,c,Lake", "4.jpg,test,c,Lake", "5.jpg,test,d,",
            "6.jpg,test,b,lake"]  # fmt: skip
    for row in rows:
        picture(tmp_path / row.split(",")[0])
    (tmp_path / "2.jpg").write_bytes(b"no picture")
    (tmp_path / "t.csv").write_text("\n".join(["path,split,name,kind", *rows]))
    output = _data("t.csv", "--levels", "name,kind", "--check-images")
    assert output.splitlines()[0] == "t.csv"
    assert "split: the column split" in output
    assert "every test image is a query" in output
    table = [line.split() for line in output.split("\n\n")[1].splitlines()]
    assert table == [["train", "test"], ["images", "2", "4"], ["classes", "of", "name", "2", "3"],
                     ["classes", "of", "kind", "2", "2"], ["images", "without", "kind", "0", "1"]]  # fmt: skip
    assert "- kind: classes that differ only in case or spaces: 'Lake' and 'lake'" in output
    assert "- 2 of 4 queries have no other image of their name to find" in output
    assert "- classes of the queries that are also trained on: name: 1 of 3, kind: 2 of 2" in output
    assert "- 1 of 2 train images cannot be decoded:" in output
    assert "2.jpg: not a readable picture" in output


def test_hgld_data_prints_all_faults_and_fails(tmp_path: Path) -> None:
    rows = ["1.jpg,train,a,x", "2.jpg,train,a,y", "3.jpg,test,b,x", "3.jpg,test,b,x"]
    picture(tmp_path / "1.jpg")
    picture(tmp_path / "2.jpg")
    (tmp_path / "t.csv").write_text("\n".join(["path,split,name,kind", *rows]))
    lines = _fails("t.csv", "--levels", "name,kind").splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        "Error: t.csv cannot be used as it is:",
        f"2 image(s) are not there; paths are relative to {Path()}:",
        "1 image(s) are listed twice; leave one of the rows out:",
        "1 class(es) are in two coarser classes; correct the labels; two different classes need two names, such as "
        "fruit/other and drinks/other:",
    ]
    assert "  t.csv:3: name 'a' is in kind 'y' here, and in 'x' at t.csv:2" in lines


def test_the_table_of_the_page_is_read_by_the_command_of_the_page(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = re.search("```csv\n(.*?)```", page, re.DOTALL)
    command = re.search(r"hgld data (shop\.csv .*?) +#", page)
    assert table
    assert command
    (tmp_path / "shop.csv").write_text(table[1])
    for line in table[1].splitlines()[1:]:
        picture(tmp_path / line.split(",")[0])
    assert "classes of category      1     1" in _data(*command[1].split())


def test_the_page_names_every_kind_of_data() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}:" not in page] == []


@pytest.mark.skipif(not GROCERY.exists(), reason=f"the real photographs are not here: {GROCERY}")
def test_real_groceries_are_read_from_their_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(GROCERY) as archive:
        archive.extractall(tmp_path / "grocery")
    output = _data("grocery")
    table = [line.split() for line in output.split("\n\n")[1].splitlines()]
    assert table == [["train", "test"], ["images", "2,640", "2,485"], ["classes", "of", "fine", "81", "81"],
                     ["classes", "of", "coarse", "43", "43"], ["classes", "of", "top", "3", "3"]]  # fmt: skip
    assert "product: 0 of 40" in _data("grocery", "--split", "class", "--levels", "product,group,aisle")


@pytest.mark.skipif(not OMNIGLOT.exists(), reason=f"the real images are not here: {OMNIGLOT}")
def test_real_characters_of_one_name_in_two_alphabets_are_two_classes(tmp_path: Path) -> None:
    with zipfile.ZipFile(OMNIGLOT) as archive:
        archive.extractall(tmp_path)
    output = _data("images_background_small1", "--split", "none", "--check-images")
    table = [line.split() for line in output.split("\n\n")[1].splitlines()]
    assert table == [["test"], ["images", "2,720"], ["classes", "of", "fine", "136"],
                     ["classes", "of", "coarse", "5"]]  # fmt: skip
    assert "all 2,720 test images can be decoded" in output
