"""The sample: GLDv2's files and formats, consistent ids, and reproducible bytes."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from hgld.foundation.errors import HgldError
from hgld.foundation.files import md5, sha256
from hgld.foundation.tables import read_parquet
from hgld.pipeline.acquisition.csv_to_parquet import to_parquet
from hgld.pipeline.acquisition.gldv2_tables import TABLES
from hgld.pipeline.sample.draw import SHAPES
from hgld.pipeline.sample.pictures import COLUMNS, STRAY_QUERIES, pictures_of, read_landmarks
from hgld.pipeline.sample.world import run
from tests.paths import ROOT

ROWS = [
    ("http://commons.wikimedia.org/wiki/Category:%C3%89glise_X", "7", "3", "church", "2", ""),
    ("http://commons.wikimedia.org/wiki/Category:Lake_Y", "3", "12", "lake", "1", "several classes"),
    ("http://commons.wikimedia.org/wiki/Category:Z_Castle", "", "7", "castle / fort", "1", ""),
    ("http://commons.wikimedia.org/wiki/Category:Only_trained", "12", "", "ocean area ", "0", ""),
]


def _write(folder: Path, rows: list[tuple[str, ...]] = ROWS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "landmarks.csv", index=False)
    return folder


def _digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = _write(tmp_path_factory.mktemp("sample"))
    run(sources)
    return sources / "metadata"


@pytest.fixture(scope="module")
def tables(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    target, frames = tmp_path_factory.mktemp("tables") / "table.parquet", {}
    for name, table in TABLES.items():
        if (world / "metadata" / table.file).is_file():
            to_parquet(table, world / "metadata" / table.file, target)
            frames[name] = read_parquet(target)
    return frames


def test_bytes_depend_on_neither_row_order_nor_hash_seed(world: Path, tmp_path: Path) -> None:
    other = _write(tmp_path / "other", ROWS[::-1])
    command = "from pathlib import Path; from hgld.pipeline.sample.world import run; run(Path('.'))"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", command], cwd=other, env=environment, check=True)
    assert _digests(world) == _digests(other / "metadata")


def test_every_file_has_its_published_md5(world: Path) -> None:
    files = [p for p in world.rglob("*") if p.is_file() and "md5sum" not in p.relative_to(world).parts]
    assert len(files) == len(TABLES) - 2 + 3  # two tables are not in the sample; three tars
    for path in files:
        stem = path.stem if path.suffix == ".tar" else path.name
        listing = world / "md5sum" / path.parent.name / f"md5.{stem}.txt"
        assert listing.read_text() == f"{md5(path)}  {path.name}\n"


@pytest.mark.parametrize(("split", "table"), [("train", "train"), ("index", "index"), ("test", "test")])
def test_tars_hold_the_images_of_their_split(
    world: Path, tables: dict[str, pd.DataFrame], split: str, table: str
) -> None:
    ids = tables[table]["id"].tolist()
    with tarfile.open(world / split / "images_000.tar") as tar:
        assert tar.getnames() == [f"{i[0]}/{i[1]}/{i[2]}/{i}.jpg" for i in ids]
        assert {(m.mtime, m.uid, m.gid, m.mode) for m in tar.getmembers()} == {(0, 0, 0, 0o644)}
        data = tar.extractfile(tar.getnames()[0])
        assert data is not None
        picture = Image.open(io.BytesIO(data.read()))
    assert (picture.format, picture.size) == ("JPEG", (96, 96))


def test_ids_agree_between_the_tables(tables: dict[str, pd.DataFrame]) -> None:
    train, index, test = (set(tables[name]["id"]) for name in ("train", "index", "test"))
    assert len(train | index | test) == len(train) + len(index) + len(test)
    assert set(tables["index_image_to_landmark"]["id"]) == index
    assert (
        set(tables["train"]["landmark_id"]) == set(tables["train_label_to_category"]["landmark_id"]) == {"3", "7", "12"}
    )
    assert set(tables["index_label_to_category"]["landmark_id"]) == {"3", "7", "12"}
    assert set(tables["retrieval_solution"]["id"]) == set(tables["recognition_solution"]["id"]) == test
    merged = tables["train_clean"].merge(tables["train"], on="id")
    assert (merged["landmark_id_x"] == merged["landmark_id_y"]).all()
    assert 0 < len(merged) == len(tables["train_clean"]) < len(train)
    assert tables["train"]["url"].eq("drawing:" + tables["train"]["id"]).all()


def test_train_and_index_landmark_ids_are_linked_by_the_category_only(
    tables: dict[str, pd.DataFrame],
) -> None:
    """Index landmark 3 is the church; train landmark 3 is the lake."""
    index = tables["index_image_to_landmark"].set_index("id")["landmark_id"]
    solutions = tables["retrieval_solution"].merge(tables["recognition_solution"], on="id")
    answered = solutions[solutions["images"] != "None"]
    links = {(index[row.images.split()[0]], row.landmarks) for row in answered.itertuples()}
    assert links == {("3", "7"), ("12", "3"), ("7", "")}
    for row in answered.itertuples():
        own = index[row.images.split()[0]]
        assert set(row.images.split()) == set(index.index[index == own])


def test_stray_queries_have_no_landmark_and_are_ignored_for_retrieval(
    tables: dict[str, pd.DataFrame],
) -> None:
    none = tables["retrieval_solution"].query("images == 'None'")
    assert len(none) == STRAY_QUERIES and set(none["usage"]) == {"Ignored"}
    known = tables["recognition_solution"].set_index("id").loc[none["id"]]
    assert set(known["landmarks"]) == {""} and set(known["usage"]) == {"Public", "Private"}


def test_every_landmark_of_the_sample_can_be_drawn() -> None:
    rows = read_landmarks(ROOT / "sources" / "sample" / "landmarks.csv")
    assert {row.drawn_as for row in rows} <= set(SHAPES)
    pictures = [picture for row in rows for picture in pictures_of(row)]
    assert 1000 < len(pictures) <= 2000
    train = [p for p in pictures if p.split == "train"]
    clutter = sum(p.shown.category != p.labelled_as.category for p in train if p.labelled_as) / len(train)
    assert 0.01 < clutter < 0.06


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("A", "1", "1", "no such thing", "0", ""), "no drawing for 'no such thing'"),
        (("A", "", "", "church", "0", ""), "in neither split"),
        (("A", "1", "", "church", "2", ""), "2 queries, but nothing in the index"),
        (("A", "one", "", "church", "0", ""), "train_landmark_id must be a whole number, found 'one'"),
        (("A", "1", "", "church", "", ""), "queries must be a whole number, found ''"),
        (("A", "7", "", "church", "0", ""), "train_landmark_id '7' is given twice"),
    ],
)
def test_invalid_rows_are_errors_and_nothing_is_written(tmp_path: Path, row: tuple[str, ...], message: str) -> None:
    sources = _write(tmp_path, [*ROWS, row])
    with pytest.raises(HgldError, match=message):
        run(sources)
    assert [path.name for path in sources.iterdir()] == ["landmarks.csv"]
