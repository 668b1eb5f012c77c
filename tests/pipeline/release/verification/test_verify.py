"""`hgld verify`: an intact release passes, and each kind of damage is named in one line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from hgld.cli import main
from hgld.foundation.tables import read_csv, read_parquet, write_csv, write_parquet
from hgld.pipeline.release.verification.verify import verify
from hgld.pipeline.stages.release import run
from tests.pipeline.release.plain_release import sign

FIVE = ["landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made"]


def _change(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change a table of a release, its number of rows in metadata.json, and sign it."""
    path = folder / name
    table = change(read_parquet(path) if path.suffix == ".parquet" else read_csv(path, FIVE))
    (write_parquet if path.suffix == ".parquet" else write_csv)(table, path)
    metadata = json.loads((folder / "metadata.json").read_text())
    if name in metadata["rows"]:
        metadata["rows"][name] = len(table)
    (folder / "metadata.json").write_text(json.dumps(metadata))
    sign(folder)


def _faults(folder: Path) -> list[str]:
    return [line.replace(f"{folder}/", "") for line in verify(folder).faults]


def test_an_intact_release_passes(release: Path) -> None:
    done = CliRunner().invoke(main, ["verify", str(release), "--data", str(release.parent)])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == f"{release}: no fault found"
    assert "files      9 as SHA256SUMS says" in lines
    assert "images     14 train, 5 index, 4 test" in lines
    assert "overlap    categories in train and index: 4 (of 7 and 5)" in lines
    assert "overlap    categories in train and test: 3 (of 7 and 3)" in lines


def test_what_the_stage_writes_passes(proposed) -> None:
    run(proposed.params)
    assert verify(proposed.data / "release", proposed.data).faults == []


def test_it_needs_neither_params_nor_a_repository(release: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(release, tmp_path / "downloads" / "release"))
    (folder / ".cache").mkdir()  # of a tool for downloads
    (folder / ".cache" / "lock").touch()
    command = [sys.executable, "-m", "hgld.cli", "verify", "release"]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_flipped_byte_is_named(release: Path) -> None:
    path = release / "card.json"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = CliRunner().invoke(main, ["verify", str(release)])
    assert done.exit_code == 1
    first, fault, *rest = done.output.splitlines()
    assert first == f"Error: {release}: 1 fault(s)"
    assert fault.startswith(f"{path}: is not what SHA256SUMS says (SHA-256 ") and rest == []


@pytest.mark.parametrize("name", ["labels", "evidence", "train", "index", "test"])
def test_a_byte_flipped_anywhere_in_a_table_is_named_and_never_a_traceback(release: Path, name: str) -> None:
    path = release / f"{name}.parquet"
    data = path.read_bytes()
    for place in range(4, len(data), max(len(data) // 12, 1)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        faults = _faults(release)
        assert faults[0].startswith(f"{name}.parquet: is not what SHA256SUMS says")
        assert all("\n" not in line for line in faults)


@pytest.mark.parametrize("keep", [0, 3, 100, -20])
def test_a_truncated_table_is_one_line(release: Path, keep: int) -> None:
    path = release / "train.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    sign(release)
    (fault,) = [line for line in _faults(release) if line.startswith("train.parquet")]
    assert fault.startswith("train.parquet: not a Parquet table, or a damaged one: ")


def test_a_further_table_is_read_to_its_end(release: Path) -> None:
    path = release / "places.parquet"
    write_parquet(pd.DataFrame({"place": [f"place {n}" for n in range(1000)]}), path)
    sign(release)
    assert _faults(release) == []
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\0" * 100 + data[200:])
    sign(release)
    (fault,) = _faults(release)
    assert fault.startswith("places.parquet: not a Parquet table, or a damaged one: ")


def test_missing_and_unlisted_files_are_named(release: Path) -> None:
    (release / "card.json").rename(release / "card2.json")
    (release / "notes").mkdir()
    (release / "notes" / "a.txt").touch()
    assert _faults(release) == [
        "card.json: missing, although SHA256SUMS lists it; did you mean 'card2.json'?",
        "card2.json: is not listed in SHA256SUMS",
        "notes/a.txt: is not listed in SHA256SUMS",
    ]


def test_links_and_pipes_are_no_files_of_a_release(release: Path, tmp_path: Path) -> None:
    shutil.move(release / "card.json", tmp_path / "card.json")
    (release / "card.json").symlink_to(tmp_path / "card.json")
    shutil.move(release / "index.parquet", tmp_path / "index.parquet")
    os.mkfifo(release / "index.parquet")
    faults = _faults(release)
    assert faults[:2] == ["card.json: is a link", "index.parquet: is no regular file"]
    assert "index.parquet: is no regular file" in faults[2:]


@pytest.mark.parametrize(
    "line",
    [
        f"{'0' * 64}  ../../secret",
        f"{'0' * 64}  /etc/passwd",
        f"{'0' * 64}  a\\b",
        f"{'0' * 64}  x\x1b[2J",
        "hello",
        f"{'0' * 63}  card.json",
    ],
)
def test_hostile_lines_of_checksums_are_one_line_each(release: Path, line: str) -> None:
    with (release / "SHA256SUMS").open("a") as handle:
        handle.write(line + "\n")
    done = CliRunner().invoke(main, ["verify", str(release)])
    assert done.exit_code == 1
    (fault,) = done.output.splitlines()[1:]
    assert fault.startswith(f"{release}/SHA256SUMS:10: ") and "\x1b" not in fault


def test_a_folder_without_checksums_and_no_folder(release: Path, tmp_path: Path) -> None:
    (release / "SHA256SUMS").unlink()
    assert f"no file {release}/SHA256SUMS" in verify(release).faults
    for place, message in (("nowhere", "no such folder"), ("f", "not a folder"), ("n" * 5000, "File name too long")):
        (tmp_path / "f").touch()
        done = CliRunner().invoke(main, ["verify", str(tmp_path / place)])
        assert done.exit_code == 1 and message in done.output and done.output.count("\n") == 1


def test_an_unknown_label_is_named_with_the_nearest(release: Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(hierarchical_label=table["hierarchical_label"].replace("lake", "lakes"))

    _change(release, "labels.parquet", change)
    faults = _faults(release)
    assert faults[0] == (
        "labels.parquet: rows of the label 'lakes', which the taxonomy of this version of hgld does not have (2): "
        "'Blue Lake', 'Lago Azul'; did you mean 'lake'?"
    )
    assert "train_label_to_hierarchical.csv: landmarks with other labels than labels.parquet has (1): '12'" in faults


def test_the_taxonomy_of_the_release_counts(release: Path) -> None:
    rows = "church,human-made,Q16970\nlake,natural,Q23397\nlakes,natural,Q1\n"
    (release / "taxonomy.csv").write_text("hierarchical_label,natural_or_human_made,anchor_qid\n" + rows)
    sign(release)
    assert _faults(release) == []
    (release / "taxonomy.csv").write_text(
        "hierarchical_label,natural_or_human_made,anchor_qid\nchurch,human-made,Q16970\n"
    )
    sign(release)
    assert any(f"of the label 'lake', which {release}/taxonomy.csv" in line for line in verify(release).faults)
    (release / "taxonomy.csv").write_text("hierarchical_label,natural_or_human_made,anchor_qid\nchurch,holy,Q16970\n")
    sign(release)
    assert "taxonomy.csv: labels that are not one of natural and human-made (1): 'church'" in _faults(release)


def test_a_wrong_nature_is_named(release: Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(natural_or_human_made=table["natural_or_human_made"].replace("natural", "human-made"))

    for name in ("labels.parquet", "train.parquet", "index.parquet", "test.parquet"):
        _change(release, name, change)
    for name in ("train", "index"):
        _change(release, f"{name}_label_to_hierarchical.csv", change)
    assert _faults(release) == [
        "labels.parquet: rows whose label has another nature (2): 'lake is human-made', 'lake is human-made'"
    ]


def test_one_landmark_too_few_is_named(release: Path) -> None:
    _change(release, "train_label_to_hierarchical.csv", lambda table: table[table["landmark_id"] != "12"])
    faults = _faults(release)
    ids = "'a000000120000000', 'a000000120000001'"
    assert faults[0] == f"train.parquet: images of a landmark that train_label_to_hierarchical.csv lacks (2): {ids}"
    shared = [line.rpartition("; ")[2] for line in faults[1:]]
    assert shared == ["metadata.json states 4 (overlap, train_index)", "metadata.json states 3 (overlap, train_test)"]
    _change(release, "train.parquet", lambda table: table[table["landmark_id"] != "13"])
    (fault,) = [line for line in _faults(release) if "without an image" in line]
    assert fault == "train.parquet: landmarks of train_label_to_hierarchical.csv without an image (1): '13'"
    _change(release, "labels.parquet", lambda table: table[table["category"] != "Lago Azul"])
    where = "index_label_to_hierarchical.csv: landmarks of a category that labels.parquet lacks (1): "
    assert any(line.startswith(where) for line in _faults(release))


def test_a_category_without_a_landmark_is_named(release: Path) -> None:
    for split in ("train", "index"):
        _change(
            release, f"{split}_label_to_hierarchical.csv", lambda table: table[~table["category"].str.contains("Rouge")]
        )
    _change(release, "train.parquet", lambda table: table[~table["category"].str.contains("Rouge")])
    assert _faults(release) == [
        "labels.parquet: categories without a landmark in train_label_to_hierarchical.csv and "
        "index_label_to_hierarchical.csv (1): 'Église Saint-Rouge'"
    ]


def test_images_twice_of_two_splits_with_odd_ids_or_other_labels_are_named(release: Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.copy()
        table.loc[0, "image_id"] = table.loc[1, "image_id"]
        table.loc[2, "image_id"] = "A000000110000000"
        table.loc[3, "image_id"] = "b000000070000000"
        table.loc[4, "category"] = "Blue Lake, too"
        table.loc[5, "landmark_id"] = "9" * 30
        return table

    _change(release, "train.parquet", change)
    assert _faults(release) == [
        "train.parquet: ids that are not 16 hex digits (1): 'A000000110000000'",
        "train.parquet: images of a landmark that train_label_to_hierarchical.csv lacks (1): 'a000000120000001'",
        "train.parquet: images with another category than their landmark (1): 'a000000120000000'",
        "train.parquet: images with the id of another row (1): 'a000000100000001'",
        "index.parquet: images that are in train, too (1): 'b000000070000000'",
    ]


def test_queries_with_unknown_images_usages_and_categories_are_named(release: Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.copy()
        table.loc[0, "relevant"] = "b000000070000000 ffffffffffffffff x"
        table.loc[1, "usage"] = "Secret"
        table.loc[2, "category"] = "Elsewhere"
        table.loc[3, "hierarchical_label"] = "church"
        return table

    _change(release, "test.parquet", change)
    first, second = "c000000000000000: ffffffffffffffff", "c000000000000000: x"
    assert [line for line in _faults(release) if "(overlap, " not in line] == [
        "test.parquet: images whose usage is none of Public, Private, Ignored (1): 'c000000000000001'",
        "test.parquet: images of a category without a row in labels.parquet (1): 'c000000000000002'",
        "test.parquet: images with another hierarchical_label than their category (1): 'c000000000000003'",
        f"test.parquet: relevant images that index.parquet lacks (2): '{first}', '{second}'",
    ]


def test_columns_that_are_missing_of_another_type_or_empty_are_named(release: Path) -> None:
    _change(release, "train.parquet", lambda table: table.drop(columns="clean").assign(cleen=True))
    _change(release, "index.parquet", lambda table: table.assign(landmark_id=table["landmark_id"].astype("int64")))
    labels = pq.read_table(release / "labels.parquet")
    sources = pa.array([None, *labels["source"].to_pylist()[1:]], pa.string())
    pq.write_table(
        labels.set_column(labels.schema.get_field_index("source"), "source", sources), release / "labels.parquet"
    )
    sign(release)
    assert _faults(release) == [
        "labels.parquet: column 'source' has no value in 1 row(s)",
        "train.parquet: no column 'clean'; did you mean 'cleen'?",
        "index.parquet: column 'landmark_id' is whole number, expected text",
    ]


def test_the_description_in_the_release_is_checked(release: Path) -> None:
    names = ("labels", "evidence", "train", "index", "test")
    kinds = dict.fromkeys(("score", "margin", "latitude", "longitude"), "number") | {"clean": "true or false"}
    described = {
        f"{name}.parquet": {
            "columns": [
                {"name": column, "type": kinds.get(column, "text")}
                for column in read_parquet(release / f"{name}.parquet")
            ]
        }
        for name in names
    }
    (release / "columns.json").write_text(json.dumps(described))
    sign(release)
    assert _faults(release) == []
    described["train.parquet"]["columns"][-1]["type"] = "text"
    del described["index.parquet"]["columns"][0], described["test.parquet"]
    (release / "columns.json").write_text(json.dumps(described))
    sign(release)
    train, index, test = sorted(_faults(release), key=lambda line: line[::-1])[::-1]
    assert {train, index, test} >= {"train.parquet: column 'clean' is true or false; columns.json says text"}
    assert any(line.startswith("index.parquet: has the columns image_id, landmark_id") for line in (train, index, test))
    assert "columns.json: does not describe the columns of test.parquet" in (train, index, test)


def test_paths_must_lead_through_the_class_graph(release: Path) -> None:
    edges = [("Q1", "Q2"), ("Q2", "Q16970"), ("Q16970", ""), ("Q23397", "")]
    write_parquet(pd.DataFrame(edges, columns=["class", "parent"]), release / "class_graph.parquet")

    def change(way: str, item_class: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def changed(table: pd.DataFrame) -> pd.DataFrame:
            red = table["category"] == "Red Chapel"
            return table.assign(path=table["path"].mask(red, way), **{"class": table["class"].mask(red, item_class)})

        return changed

    where = "labels.parquet: paths that "
    for way, item_class, fault in (
        ("Q1>Q2>Q16970", "Q1", None),
        ("Q1>Q16970", "Q1", "take a step that class_graph.parquet does not have (1): 'Red Chapel: Q1>Q16970'"),
        ("Q2>Q16970", "Q1", "do not begin with the class of their row (1): 'Red Chapel: Q2>Q16970'"),
        ("Q1>Q2", "Q1", "do not end at an anchor class of their label (1): 'Red Chapel: Q1>Q2'"),
    ):
        _change(release, "labels.parquet", change(way, item_class))
        assert _faults(release) == ([where + fault] if fault else [])


def test_a_label_without_evidence_or_source_is_named(release: Path) -> None:
    _change(release, "evidence.parquet", lambda table: table[table["category"] != "Blue Lake"])
    _change(release, "labels.parquet", lambda table: table.assign(
        source=table["source"].mask(table["category"] == "Lago Azul", ""), score=table["score"] * 2,
    ))  # fmt: skip
    assert _faults(release) == [
        "labels.parquet: rows whose score is not between 0 and 1 (2): 'Unknown Chapel', 'Unknown Lake'",
        "evidence.parquet: labels of labels.parquet without evidence of their source (1): 'Blue Lake'",
        "labels.parquet: rows with a label and no source (1): 'Lago Azul'",
    ]


def test_hostile_names_cannot_forge_a_line(release: Path) -> None:
    name = "Evil\nlabels.parquet: fine\x1b[2J\u202e"
    _change(
        release, "labels.parquet", lambda table: table.assign(category=table["category"].replace("Torn Place", name))
    )
    done = CliRunner().invoke(main, ["verify", str(release)])
    assert done.exit_code == 1
    assert "\x1b" not in done.output and "\u202e" not in done.output
    assert all(line.startswith((f"{release}/", "Error: ")) for line in done.output.splitlines())


def test_the_stated_numbers_of_rows_and_the_overlap_are_checked(release: Path) -> None:
    metadata = json.loads((release / "metadata.json").read_text())
    metadata["rows"]["train.parquet"] = 99
    metadata["overlap"] = {"train_index": 4, "train_test": 2}
    (release / "metadata.json").write_text(json.dumps(metadata))
    sign(release)
    result = verify(release)
    assert result.faults == [
        f"{release}/train.parquet: 14 rows; metadata.json says 99",
        f"{release}: categories in train and test: 3 (of 7 and 3); metadata.json states 2 (overlap, train_test)",
    ]
    for text, message in (("[]", "expected a JSON object, found list"), ("{", "not JSON"), ("[" * 100_000, "not JSON")):
        (release / "metadata.json").write_text(text)
        sign(release)
        (fault,) = verify(release).faults
        assert fault.startswith(f"{release}/metadata.json: {message}")


def test_against_gldv2_every_image_and_landmark_must_be_there(release: Path) -> None:
    folder = release.parent / "metadata"
    train = read_parquet(folder / "train.parquet")
    train.loc[0, "id"] = "d" * 16
    train.loc[1, "landmark_id"] = "16"
    write_parquet(train, folder / "train.parquet")
    write_parquet(read_parquet(folder / "train_clean.parquet").iloc[1:], folder / "train_clean.parquet")
    names = folder / "index_label_to_category.parquet"
    write_parquet(read_parquet(names).iloc[1:], names)
    assert verify(release).faults == []
    faults = [line.replace(f"{release}/", "") for line in verify(release, release.parent).faults]
    assert faults == [
        f"train.parquet: images of {folder}/train.parquet that it lacks (1): 'dddddddddddddddd'",
        f"train.parquet: images that {folder}/train.parquet lacks (1): 'a000000100000000'",
        f"train.parquet: images of another landmark than in {folder}/train.parquet (1): 'a000000100000001'",
        f"index_label_to_hierarchical.csv: landmarks that only one of it and {names} has (1): "
        "'10 http://commons.wikimedia.org/wiki/Category:Blue_Lake'",
        f"train.parquet: images that {folder}/train_clean.parquet lacks (1): 'a000000100000000'",
    ]
