"""The images stage: tars are verified before they are used, and indexed once."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.params import Params, load_params
from hgld.hierarchy.tables import read_parquet
from hgld.pipeline.images import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Parameters of a source with one tar a split, each with two (empty) pictures."""
    monkeypatch.chdir(tmp_path)
    for number, split in enumerate(("train", "index", "test")):
        path = tmp_path / "source" / split / "images_000.tar"
        path.parent.mkdir(parents=True)
        with tarfile.open(path, "w") as archive:
            for one in range(2):
                archive.addfile(tarfile.TarInfo(f"a/b/c/{number}{one:015x}.jpg"), io.BytesIO())
        listing = tmp_path / "source" / "md5sum" / split / "md5.images_000.txt"
        listing.parent.mkdir(parents=True)
        listing.write_text(f"{hashlib.md5(path.read_bytes()).hexdigest()}  images_000.tar\n")
    loaded = load_params(ROOT / "params.yaml")
    return loaded.model_copy(update={"images": loaded.images.model_copy(update={"source": "source"})})


def test_the_tars_are_copied_and_indexed(params: Params) -> None:
    run(params)
    index = read_parquet(params.data / "images" / "images.parquet")
    assert len(index) == 6
    assert index["id"].is_monotonic_increasing
    assert list(index["tar"].unique()) == [
        "train/images_000.tar",
        "index/images_000.tar",
        "test/images_000.tar",
    ]


def test_a_damaged_tar_stops_the_stage_before_it_is_used(params: Params) -> None:
    with Path("source/index/images_000.tar").open("ab") as handle:
        handle.write(b"one more byte")
    with pytest.raises(HgldError, match=r"source/index/images_000\.tar: MD5 is"):
        run(params)
    assert not (params.data / "images" / "index" / "images_000.tar").exists()
    assert not (params.data / "images" / "images.parquet").exists()


def test_one_picture_in_two_tars_is_an_error(params: Params) -> None:
    Path("source/test/images_000.tar").write_bytes(Path("source/index/images_000.tar").read_bytes())
    Path("source/md5sum/test/md5.images_000.txt").write_text(
        Path("source/md5sum/index/md5.images_000.txt").read_text()
    )
    with pytest.raises(HgldError, match="not a valid 'images' table"):
        run(params)
