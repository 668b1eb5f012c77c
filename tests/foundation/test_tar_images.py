"""Images read from a tar: by id, from several processes, and with hostile members."""

import io
import pickle
import struct
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from hgld.foundation import tar_images
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import write_parquet
from hgld.foundation.tar_images import ImageTars, UnreadableImageError, decode, jpeg_frame
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
        with pytest.raises(UnreadableImageError, match=f"image {A}: 8 x 6 pixels are too many"):
            store.image(A)
        monkeypatch.setattr(tar_images, "MAX_BYTES", 199)
        with pytest.raises(UnreadableImageError, match=f"image {B}: 200 bytes are too many"):
            store.image(B)


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


def _with_segment(marker: int, content: bytes, *, exif: bytes | None = None) -> bytes:
    """A photograph with one more segment behind its first marker."""
    data = _photograph(1, exif=exif)
    return data[:2] + bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content + data[2:]


# 5,000 tags that each claim 4 GB: Pillow warns of every one.
EXIF_BOMB = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 5000) + struct.pack(">HHII", 1, 7, 2**32 - 1, 8) * 5000


@pytest.mark.parametrize("exif", [EXIF_BOMB, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_metadata_of_a_picture_print_nothing(exif: bytes) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = decode(_with_segment(0xE1, exif))
        assert len(warnings.filters) and warnings.filters[0][0] == "always"
    assert _corners(picture) == "rgb." and not caught


def test_orientation_that_only_xmp_states_is_applied() -> None:
    xmp = b'http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation="6"/>'
    assert _corners(decode(_with_segment(0xE1, xmp, exif=b"Exif\0\0"))) == "br.g"
    assert _corners(decode(_with_segment(0xE1, xmp))) == "rgb."  # the EXIF data say 1


def test_picture_with_a_second_one_behind_it_is_the_first() -> None:
    """MPO, as phones and stereo cameras write it."""
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    data = io.BytesIO()
    first = Image.open(io.BytesIO(_photograph(1)))
    first.save(data, "MPO", save_all=True, append_images=[first.transpose(Image.Transpose.ROTATE_180)], exif=tags)
    assert _corners(decode(data.getvalue())) == "br.g"
    assert jpeg_frame(data.getvalue()) == (32, 16, 1)


def _progressive(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are so many."""
    data = io.BytesIO()
    Image.new("RGB", (64, 48), (128, 128, 128)).save(data, "JPEG", progressive=True)
    content = data.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * (scans - content.count(b"\xff\xda")) + content[-2:]


def test_progressive_picture_has_a_limited_number_of_scans() -> None:
    """1,000 scans of 30 megapixels in a file of 0.2 MB took 19 s."""
    assert jpeg_frame(_progressive(40)) == (64, 48, 40)
    assert decode(_progressive(tar_images.MAX_SCANS)).size == (64, 48)
    with pytest.raises(UnreadableImageError, match="101 scans are too many"):
        decode(_progressive(tar_images.MAX_SCANS + 1))


def test_scans_are_counted_by_the_markers_alone() -> None:
    """Neither a thumbnail in a segment nor what follows the picture counts, and fill bytes hide no scan."""
    marker = b"\xff\xda\0\x08"
    assert jpeg_frame(_with_segment(0xED, marker * 500)).scans == 1
    assert jpeg_frame(_photograph(1) + marker * 500).scans == 1
    assert jpeg_frame(_progressive(101).replace(marker[:2], b"\xff\xff\xff\xda")).scans == 101
    assert jpeg_frame(_progressive(101).replace(marker[:2], b"garbage\0\xff\xda")).scans == 101


def test_size_is_checked_before_pillow_sees_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a second frame header contradicts the first."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    data = _photograph(1)
    header = data.index(b"\xff\xc0")
    huge = data[: header + 5] + struct.pack(">HH", 65_500, 65_501) + data[header + 9 :]
    for content in (huge, data[:-2] + huge[header:]):
        with pytest.raises(UnreadableImageError, match="65501 x 65500 pixels are too many"):
            decode(content)


@pytest.mark.parametrize(
    ("method", "error", "expected"),
    [
        ("convert", MemoryError(), MemoryError),
        ("convert", OSError("out of memory when reading image file"), MemoryError),
        ("convert", KeyboardInterrupt(), KeyboardInterrupt),
        ("convert", OSError("broken data stream when reading image file"), UnreadableImageError),
        ("getexif", MemoryError(), MemoryError),
    ],
)
def test_lack_of_memory_is_no_fault_of_the_file(
    monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException, expected: type[BaseException]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, method, fail)
    with pytest.raises(expected):
        decode(_photograph(1))


def test_a_picture_cut_anywhere_is_whole_or_unreadable() -> None:
    data = _photograph(6)
    for end in range(0, len(data) - 2, 7):
        with pytest.raises(UnreadableImageError):
            decode(data[:end])
