"""`hgld export`: every format says what the release says, ids stay text, and nothing is replaced unasked."""

import csv
import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from hgld.cli import main
from hgld.foundation.files import sha256
from hgld.foundation.tables import read_csv, read_parquet, write_parquet
from hgld.pipeline.stages.release import run

NAMES = ["labels", "evidence", "train_landmarks", "index_landmarks", "train", "index", "test"]
HOSTILE = [
    '=HYPERLINK("http://evil","x")',
    "+1",
    "-1",
    "@x",
    'a,"b"',
    "two\nlines",
    "a\rb",
    "00001e1234567890",
    "ocean area ",
]


def _export(*words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words)])


def _plain(table: pd.DataFrame) -> list[dict[str, object]]:
    """The rows as JSON values: None for a missing number."""
    return json.loads(table.to_json(orient="records"))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_all_tables_become_a_folder_with_a_file_each(release: Path, tmp_path: Path, form: str) -> None:
    done = _export(release, "--format", form, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.output == f"written to {tmp_path}/out/: {', '.join(f'{name}.{form}' for name in NAMES)}\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(f"{name}.{form}" for name in NAMES)


def test_each_format_has_the_rows_of_the_release(release: Path, tmp_path: Path) -> None:
    for name in ("labels", "evidence", "train", "index", "test"):
        expected = read_parquet(release / f"{name}.parquet")
        for form in ("csv", "jsonl", "parquet"):
            out = tmp_path / f"{name}.{form}"
            assert _export(release, "--format", form, "--table", name, "--out", out).exit_code == 0
        pd.testing.assert_frame_equal(read_parquet(tmp_path / f"{name}.parquet"), expected)
        lines = (tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == _plain(expected)
        table = read_csv(tmp_path / f"{name}.csv", list(expected.columns))
        for column in expected:
            words = {True: "true", False: "false"} if pd.api.types.is_bool_dtype(expected[column]) else {}
            texts = ["" if pd.isna(value) else words.get(value, str(value)) for value in expected[column]]
            assert list(table[column]) == texts, column


def test_landmarks_have_the_category_that_joins_them_with_the_labels(release: Path, tmp_path: Path) -> None:
    assert _export(release, "--format", "csv", "--table", "train_landmarks", "--out", tmp_path / "l.csv").exit_code == 0
    with (tmp_path / "l.csv").open(encoding="utf-8", newline="") as handle:
        rows = {row["landmark_id"]: row for row in csv.DictReader(handle)}
    url = "http://commons.wikimedia.org/wiki/Category:%C3%89glise_Saint-Rouge"
    assert (rows["11"]["url"], rows["11"]["category"]) == (url, "Église Saint-Rouge")


def test_hostile_values_come_back_from_every_format(release: Path, tmp_path: Path) -> None:
    table = read_parquet(release / "labels.parquet").head(1)
    table = pd.concat([table.assign(category=f"c{n}", note=text) for n, text in enumerate(HOSTILE)], ignore_index=True)
    write_parquet(table, release / "labels.parquet")
    for form in ("csv", "jsonl", "sqlite"):
        done = _export(release, "--format", form, "--table", "labels", "--out", tmp_path / f"out.{form}")
        assert done.exit_code == 0, done.output
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as handle:
        assert [row["note"] for row in csv.DictReader(handle)] == HOSTILE
    assert list(pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)["note"]) == HOSTILE
    raw = (tmp_path / "out.csv").read_bytes()
    assert b"\r\n" not in raw and not raw.startswith(b"\xef\xbb\xbf")
    # quotation marks only where the value needs them
    assert b",00001e1234567890," in raw and b',"a,""b""",' in raw and b',"a\rb",' in raw
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line)["note"] for line in lines] == HOSTILE
    with closing(sqlite3.connect(tmp_path / "out.sqlite")) as database:
        assert [note for (note,) in database.execute("SELECT note FROM labels ORDER BY category")] == HOSTILE


@pytest.fixture
def database(release: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    done = _export(release, "--format", "sqlite", "--out", tmp_path / "release.db")
    assert done.exit_code == 0, done.output
    with closing(sqlite3.connect(tmp_path / "release.db")) as connection:
        yield connection


def test_the_database_has_keys_and_indexes(database: sqlite3.Connection, release: Path) -> None:
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert tables == ["release", "labels", "evidence", "train_landmarks", "index_landmarks", "train_images",
                      "index_images", "test_images", "relevant_images"]  # fmt: skip
    for table, source in (("train_images", "train"), ("labels", "labels"), ("evidence", "evidence")):
        (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert count == len(read_parquet(release / f"{source}.parquet"))
    keys = {(row[3], row[2]) for row in database.execute("PRAGMA foreign_key_list(train_images)")}
    assert keys == {("landmark_id", "train_landmarks"), ("category", "labels")}
    plan = database.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM train_images JOIN labels USING (category) WHERE labels.category = 'Blue Lake'"
    ).fetchall()
    assert any("USING INDEX train_images_category" in row[3] for row in plan)
    database.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError):
        database.execute("UPDATE train_images SET category = 'Elsewhere'")


def test_ids_are_text_and_missing_values_null(database: sqlite3.Connection) -> None:
    ids = database.execute("SELECT DISTINCT typeof(landmark_id), typeof(image_id) FROM train_images").fetchall()
    assert ids == [("text", "text")]
    nowhere = "SELECT category, hierarchical_label FROM test_images WHERE image_id = 'c000000000000003'"
    assert database.execute(nowhere).fetchall() == [(None, "")]
    assert database.execute("SELECT score FROM labels WHERE category = 'Blue Lake'").fetchall() == [(None,)]
    assert dict(database.execute("SELECT key, value FROM release"))["name"] == "H-GLDv2-sample"
    relevant = "SELECT index_image FROM relevant_images WHERE test_image = 'c000000000000001'"
    assert database.execute(relevant).fetchall() == [("b000000100000000",), ("b000000120000000",)]


def test_a_release_with_a_key_twice_or_a_landmark_nowhere_gives_no_database(release: Path, tmp_path: Path) -> None:
    train = read_parquet(release / "train.parquet")
    write_parquet(pd.concat([train, train.head(1)]), release / "train.parquet")
    done = _export(release, "--format", "sqlite", "--out", tmp_path / "r.db")
    assert done.exit_code == 1 and "a key twice (UNIQUE constraint failed: train_images.image_id)" in done.output
    write_parquet(train.assign(landmark_id="99"), release / "train.parquet")
    done = _export(release, "--format", "sqlite", "--out", tmp_path / "r.db")
    assert done.exit_code == 1 and "train_images has a row whose landmark or category is in no other" in done.output
    assert not (tmp_path / "r.db").exists()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "sqlite"])
def test_equal_releases_give_equal_bytes(release: Path, tmp_path: Path, form: str) -> None:
    for name in ("a", "b"):
        assert _export(release, "--format", form, "--table", "train", "--out", tmp_path / name).exit_code == 0
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


def test_an_output_that_exists_is_kept(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.csv"
    out.write_text("mine")
    words = [release, "--format", "csv", "--table", "labels", "--out", out]
    done = _export(*words)
    assert done.exit_code == 1
    assert done.output == f"Error: {out} exists; choose another name, or replace it with --force\n"
    assert out.read_text() == "mine"
    assert _export(*words, "--force").exit_code == 0
    assert out.read_text().startswith("category,")


def test_outputs_in_the_release_unknown_tables_and_no_release_are_refused(release: Path, tmp_path: Path) -> None:
    done = _export(release, "--format", "csv", "--out", release / "csv")
    assert done.exit_code == 1 and "is in the release" in done.output
    done = _export(release, "--format", "csv", "--table", "lables", "--out", tmp_path / "x")
    assert (
        done.exit_code == 1
        and f"no table 'lables' (there are: {', '.join(NAMES)}); did you mean 'labels'?" in done.output
    )
    done = _export(tmp_path, "--format", "csv", "--out", tmp_path / "x")
    assert done.exit_code == 1 and "no release: it has no labels.parquet" in done.output
    assert not (tmp_path / "x").exists()


def test_a_damaged_table_writes_nothing(release: Path, tmp_path: Path) -> None:
    path = release / "train.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:200] + b"\0" * 200 + data[400:])
    done = _export(release, "--format", "csv", "--out", tmp_path / "out")
    assert done.exit_code == 1 and "train.parquet: not a Parquet table, or a damaged one" in done.output
    assert done.output.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.fixture
def shards(pictured, proposed, tmp_path: Path) -> Path:
    """The release of the world with images, as shards of at most 20 kB."""
    run(proposed.params)
    folder = tmp_path / "shards"
    words = ["--format", "webdataset", "--images", proposed.data / "images", "--out", folder]
    done = _export(proposed.data / "release", *words)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[1:] == [
        "  train: 14 images", "  index: 5 images", "  test: 0 images, 4 left out: not in the tars",
    ]  # fmt: skip
    return folder


def test_shards_have_each_image_with_its_labels(shards: Path, proposed) -> None:
    train = read_parquet(proposed.data / "release" / "train.parquet")
    with tarfile.open(shards / "train-000000.tar") as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == [
            f"{image}.{suffix}" for image in train["image_id"] for suffix in ("jpg", "json")
        ]
        assert {(member.mtime, member.mode, member.uid, member.uname) for member in members} == {(0, 0o644, 0, "")}
        labels = json.load(tar.extractfile(members[1]))
        assert labels == {**_plain(train.head(1))[0], "split": "train"}
        picture = tar.extractfile(members[0]).read()
    with tarfile.open(proposed.data / "images/train/images_000.tar") as tar:
        name = train["image_id"][0]
        assert tar.extractfile(f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg").read() == picture
    listed = json.loads((shards / "train.json").read_text())
    assert listed["shardlist"] == [{"url": "train-000000.tar", "nsamples": 14}]
    assert not list(shards.glob("test*"))


def test_shards_are_bounded_and_reproducible(shards: Path, proposed, tmp_path: Path) -> None:
    from hgld.pipeline.release.export.sources import sources
    from hgld.pipeline.release.export.webdataset import write_shards

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tables = sources(proposed.data / "release", "train")
        write_shards(tables, proposed.data / "images", tmp_path / name, 20_480)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) > 2
    assert max((tmp_path / "a" / name).stat().st_size for name in files) <= 20_480
    assert [sha256(tmp_path / "a" / name) for name in files] == [sha256(tmp_path / "b" / name) for name in files]
    counts = [shard["nsamples"] for shard in json.loads((tmp_path / "a" / "train.json").read_text())["shardlist"]]
    assert sum(counts) == 14 and min(counts[:-1]) > 1


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_shards_load_with_the_package_webdataset(shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    dataset = webdataset.WebDataset(str(shards / "train-000000.tar"), shardshuffle=False).decode("pil")
    samples = list(dataset.to_tuple("jpg", "json"))
    assert len(samples) == 14
    picture, labels = samples[0]
    assert (picture.size, labels["hierarchical_label"]) == ((24, 20), "church")


def test_shards_without_tars_or_images_are_refused(release: Path, tmp_path: Path) -> None:
    done = _export(release, "--format", "webdataset", "--out", tmp_path / "s", "--table", "labels")
    assert done.exit_code == 1 and "labels has no images; webdataset is for --table train, index, test" in done.output
    done = _export(release, "--format", "webdataset", "--out", tmp_path / "s")
    assert done.exit_code == 1 and "give the folder of images.parquet and the tars with --images" in done.output
    done = _export(release, "--format", "webdataset", "--out", tmp_path / "s", "--images", tmp_path)
    assert done.exit_code == 1 and f"no table {tmp_path}/images.parquet" in done.output
    assert not (tmp_path / "s").exists()
