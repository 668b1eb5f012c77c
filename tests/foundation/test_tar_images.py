"""Images read from a tar: by id, from several processes, and with hostile members."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from hgld.foundation import tar_images
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import write_parquet
from hgld.foundation.tar_images import ImageTars, UnreadableImageError, decode
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


def _photograph(orientation: object, *, exif: bytes | None = None) -> bytes:
    """A JPEG of 32 x 16 px as a camera stores it: red top left, green top right, blue bottom left, black."""
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:8, :16, 0] = pixels[:8, 16:, 1] = pixels[8:, :16, 2] = 255
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=95, subsampling=0, exif=exif or tags)
    return data.getvalue()


def _corners(image: Image.Image) -> str:
    """The colours of the corners: top left, top right, bottom left, bottom right."""
    right, bottom = image.width - 3, image.height - 3
    pixels = [image.getpixel(place) for place in ((2, 2), (right, 2), (2, bottom), (right, bottom))]
    return "".join("rgb"[int(np.argmax(p))] if max(p) > 128 else "." for p in pixels)  # type: ignore[arg-type, type-var]


@pytest.mark.parametrize(
    ("orientation", "corners", "size"),
    [
        # By EXIF 2.3: the visual place of the stored row 0 and column 0.
        (1, "rgb.", (32, 16)),  # top, left
        (2, "gr.b", (32, 16)),  # top, right
        (3, ".bgr", (32, 16)),  # bottom, right
        (4, "b.rg", (32, 16)),  # bottom, left
        (5, "rbg.", (16, 32)),  # left, top
        (6, "br.g", (16, 32)),  # right, top
        (7, ".gbr", (16, 32)),  # right, bottom
        (8, "g.rb", (16, 32)),  # left, bottom
        (0, "rgb.", (32, 16)),  # no such orientation
        (9, "rgb.", (32, 16)),
    ],
)
def test_image_is_upright_whatever_its_exif_orientation(orientation: int, corners: str, size: tuple[int, int]) -> None:
    image = decode(_photograph(orientation))
    assert (image.size, _corners(image)) == (size, corners)
    with Image.open(io.BytesIO(_photograph(orientation))) as stored:
        assert image.tobytes() == ImageOps.exif_transpose(stored).tobytes()


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\x09"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_do_not_spoil_a_picture(exif: bytes) -> None:
    assert _corners(decode(_photograph(1, exif=exif))) == "rgb."


def _encoded(name: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(data, name)
    return data.getvalue()


OTHER_FORMATS = {
    **{name: lambda name=name: _encoded(name) for name in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "EPS", "PPM", "PDF")},
    "damaged AVIF": lambda: b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(200),
    "empty": lambda: b"",
    "HTML": lambda: b"<!doctype html><html>",
}


@pytest.mark.parametrize("name", OTHER_FORMATS)
def test_only_jpeg_is_decoded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would start Ghostscript for EPS; here a program of that name would leave a trace."""
    trace = tmp_path / "trace"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UnreadableImageError, match="not a readable picture: not a JPEG file") as error:
        decode(OTHER_FORMATS[name]())
    assert " at 0x" not in str(error.value)
    assert not trace.exists()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_every_kind_of_jpeg_is_decoded_as_rgb(mode: str) -> None:
    data = io.BytesIO()
    Image.new(mode, (16, 16)).save(data, "JPEG")
    assert decode(data.getvalue()).mode == "RGB"


def test_narrow_image_is_refused_because_scaling_it_would_take_gigabytes() -> None:
    data = io.BytesIO()
    Image.new("L", (1, 65_000)).save(data, "JPEG")
    with pytest.raises(UnreadableImageError, match="1 x 65000 pixels are too narrow"):
        decode(data.getvalue())
