"""Images read from a tar: by id, from several processes, and with hostile members."""

import io
import pickle
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from hgld.foundation import tar_images
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import write_parquet
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.acquisition.tar_index import scan_tar

A, B, C = "00001e1234567890", "00002e1234567890", "ffffffffffffffff"


def _jpeg(colour: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(data, "JPEG", quality=95)
    return data.getvalue()


def _tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("../../etc/evil.jpg")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        archive.addfile(link)
    return path


@pytest.fixture
def store(tmp_path: Path) -> ImageTars:
    members = {
        f"0/0/0/{A}.jpg": _jpeg((250, 0, 0)),
        f"0/0/0/{B}.jpg": _jpeg((0, 0, 250))[:200],
        "readme.txt": b"x",
    }
    tar = _tar(tmp_path / "train" / "images_000.tar", members)
    write_parquet(scan_tar(tar, "train").images, tmp_path / "images.parquet")
    return ImageTars(tmp_path / "images.parquet", tmp_path)


def test_image_is_found_by_its_id(store: ImageTars) -> None:
    with store:
        assert A in store and C not in store
        image = store.image(A)
        red, _, blue = image.getpixel((3, 3))  # type: ignore[misc]  # RGB: a triple
        assert image.size == (8, 6) and red > 200 and blue < 50


def test_pickled_copy_opens_its_own_files(store: ImageTars) -> None:
    with store, pickle.loads(pickle.dumps(store)) as copy:
        assert copy.read(A) == store.read(A)


def test_errors_name_the_image(store: ImageTars, monkeypatch: pytest.MonkeyPatch) -> None:
    with store:
        with pytest.raises(HgldError, match=f"image {C}: in none of the 1 tars"):
            store.read(C)
        with pytest.raises(HgldError, match=f"image {B}: not a readable picture"):
            store.image(B)
        monkeypatch.setattr(tar_images, "MAX_PIXELS", 40)
        with pytest.raises(HgldError, match=f"image {A}: 8 x 6 pixels are too many"):
            store.image(A)


def test_truncated_tar_is_reported(store: ImageTars, tmp_path: Path) -> None:
    with (tmp_path / "train" / "images_000.tar").open("r+b") as handle:
        handle.truncate(600)
    with store, pytest.raises(HgldError, match="ends before it"):
        store.read(A)


def test_missing_tar_names_the_stage_to_run(store: ImageTars, tmp_path: Path) -> None:
    (tmp_path / "train" / "images_000.tar").unlink()
    with pytest.raises(HgldError, match="run the images stage"):
        store.read(A)
