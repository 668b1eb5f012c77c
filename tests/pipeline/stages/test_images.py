"""The stage `images`: tars are verified before they are indexed."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import read_parquet
from hgld.pipeline.stages.images import run
from tests.paths import ROOT


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Parameters of a source with one tar per split, each with two (empty) images."""
    monkeypatch.chdir(tmp_path)
    for number, split in enumerate(("train", "index", "test")):
        path = tmp_path / "source" / split / "images_000.tar"
        path.parent.mkdir(parents=True)
        with tarfile.open(path, "w") as archive:
            for image in range(2):
                archive.addfile(tarfile.TarInfo(f"a/b/c/{number}{image:015x}.jpg"), io.BytesIO())
        listing = tmp_path / "source" / "md5sum" / split / "md5.images_000.txt"
        listing.parent.mkdir(parents=True)
        listing.write_text(f"{hashlib.md5(path.read_bytes()).hexdigest()}  images_000.tar\n")
    loaded = load_params(ROOT / "params.yaml")
    return loaded.model_copy(update={"images": loaded.images.model_copy(update={"source": "source"})})


def test_tars_are_copied_and_indexed(params: Params) -> None:
    run(params)
    index = read_parquet(params.data / "images" / "images.parquet")
    assert len(index) == 6
    assert index["id"].is_monotonic_increasing
    assert list(index["tar"].unique()) == [
        "train/images_000.tar",
        "index/images_000.tar",
        "test/images_000.tar",
    ]


def test_damaged_tar_stops_the_stage_before_it_is_indexed(params: Params) -> None:
    with Path("source/index/images_000.tar").open("ab") as handle:
        handle.write(b"extra bytes")
    with pytest.raises(HgldError, match=r"source/index/images_000\.tar: expected the published MD5"):
        run(params)
    assert not (params.data / "images" / "index" / "images_000.tar").exists()
    assert not (params.data / "images" / "images.parquet").exists()


def test_tar_without_a_published_md5_requires_an_accepted_one(params: Params) -> None:
    Path("source/md5sum/test/md5.images_000.txt").unlink()
    with pytest.raises(HgldError, match=r"no MD5 is published for it; .*--accept-md5 test/images_000\.tar=MD5"):
        run(params)
    run(
        params,
        {"test/images_000.tar": hashlib.md5(Path("source/test/images_000.tar").read_bytes()).hexdigest()},
    )


def _publish(tar: str) -> str:
    """Publish the current MD5 of a tar of the source."""
    digest = hashlib.md5(Path("source", tar).read_bytes()).hexdigest()
    split, name = tar.split("/")
    Path("source/md5sum", split, f"md5.{name.removesuffix('.tar')}.txt").write_text(f"{digest}  {name}\n")
    return digest


def test_duplicate_image_in_a_later_tar_is_a_fault(params: Params) -> None:
    Path("source/test/images_000.tar").write_bytes(Path("source/index/images_000.tar").read_bytes())
    _publish("test/images_000.tar")
    run(params)
    index = read_parquet(params.data / "images" / "images.parquet")
    assert list(index["tar"]) == ["train/images_000.tar"] * 2 + ["index/images_000.tar"] * 2
    faults = (params.data / "images" / "faults.csv").read_text()
    assert faults.count("test/images_000.tar") == 4 and faults.count("an id that an earlier tar has") == 2


def test_tar_damaged_at_the_source_is_an_error_with_the_remedy(params: Params) -> None:
    """Its MD5 is the published one, so running the stage again would not help."""
    tar = Path("source/index/images_000.tar")
    tar.write_bytes(tar.read_bytes()[:512])
    _publish("index/images_000.tar")
    with pytest.raises(HgldError) as error:
        run(params)
    assert "its MD5 is the published one, so source/index/images_000.tar itself is damaged" in str(error.value)
    assert "sample.images.leave_out: [index/images_000.tar]" in str(error.value)
    settings = params.images.model_copy(update={"leave_out": ["index/images_000.tar"]})
    run(params.model_copy(update={"images": settings}))
    assert len(read_parquet(params.data / "images" / "images.parquet")) == 4


def test_tar_damaged_locally_is_downloaded_again(params: Params) -> None:
    run(params)
    local = params.data / "images" / "index" / "images_000.tar"
    complete = local.read_bytes()
    local.write_bytes(complete[:600])
    run(params)
    assert local.read_bytes() == complete


def test_accepted_md5_overrides_a_wrong_published_one(params: Params) -> None:
    Path("source/md5sum/train/md5.images_000.txt").write_text("0" * 32)
    digest = hashlib.md5(Path("source/train/images_000.tar").read_bytes()).hexdigest()
    with pytest.raises(HgldError, match=f"expected the published MD5 {'0' * 32}, found {digest}"):
        run(params)
    run(params, {"train/images_000.tar": digest})
    run(params)


def test_tar_to_leave_out_must_be_selected(params: Params) -> None:
    settings = params.images.model_copy(update={"leave_out": ["train/images_001.tar"]})
    with pytest.raises(HgldError, match=r"tar 'train/images_001\.tar' is not selected; did you mean"):
        run(params.model_copy(update={"images": settings}))


def test_no_tar_is_downloaded_if_none_is_selected(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    settings = params.images.model_copy(update={"train": 0, "index": 0, "test": 0})
    run(params.model_copy(update={"images": settings}))
    assert read_parquet(params.data / "images" / "images.parquet").empty
    assert not list((params.data / "images").rglob("*.tar"))
    assert "labels are made without images" in capsys.readouterr().out
