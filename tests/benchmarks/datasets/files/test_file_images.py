"""Images in files: every format gives its picture, upright and 8 bits; what is no image never hangs or passes."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hgld.benchmarks.datasets.files.file_images import FORMATS, SUFFIXES, FileImages, file_states
from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import MAX_PIXELS, UnreadableImageError, decode

RED, BLUE = (200, 30, 30), (30, 30, 200)


def _images(folder: Path, *paths: str, boxes: dict[int, tuple[float, float, float, float]] | None = None) -> FileImages:
    states, wrong = file_states(folder, paths)
    assert wrong == {}
    labels = torch.zeros(len(paths), 1, dtype=torch.int64)
    return FileImages(
        ids=paths, labels=labels, folder=folder, paths=paths, captions=paths, states=states, boxes=boxes or {}
    )


def _two_colours() -> Image.Image:
    """Red above, blue below."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10], pixels[10:] = RED, BLUE
    return Image.fromarray(pixels)


def _near(pixel: object, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.array(pixel) - colour).max() < 12)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_its_picture(tmp_path: Path, name: str) -> None:
    _two_colours().save(tmp_path / "image.file", name)
    image = _images(tmp_path, "image.file").image(0)
    assert (image.mode, image.size) == ("RGB", (30, 20))
    assert _near(image.getpixel((15, 2)), RED)
    assert _near(image.getpixel((15, 17)), BLUE)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_orientation_is_applied_once(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
    _two_colours().save(tmp_path / "image.file", name, exif=exif)
    image = _images(tmp_path, "image.file").image(0)
    assert image.size == (20, 30)
    assert _near(image.getpixel((17, 15)), RED)
    assert _near(image.getpixel((2, 15)), BLUE)


def test_grey_values_of_16_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    Image.fromarray(values).save(tmp_path / "image.png")
    assert np.array_equal(np.asarray(_images(tmp_path, "image.png").image(0))[..., 0], values >> 8)


def test_pixels_of_32_bits_are_refused_as_their_white_is_not_known(tmp_path: Path) -> None:
    Image.fromarray(np.ones((9, 9), np.float32)).save(tmp_path / "image.tiff")
    with pytest.raises(UnreadableImageError, match=r"image\.tiff: pixels of 32 bits"):
        _images(tmp_path, "image.tiff").image(0)


def test_a_tiny_file_of_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "image.png")
    with pytest.raises(UnreadableImageError, match="pixels are too many"):
        _images(tmp_path, "image.png").image(0)
    Image.new("1", (2000, 2)).save(tmp_path / "image.gif")
    with pytest.raises(UnreadableImageError, match="too narrow"):
        _images(tmp_path, "image.gif").image(0)


def test_the_images_in_tars_are_still_jpeg_only(tmp_path: Path) -> None:
    _two_colours().save(tmp_path / "image.png")
    with pytest.raises(UnreadableImageError, match="not a JPEG file"):
        decode((tmp_path / "image.png").read_bytes())


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<html>", b"GIF89a"])
def test_a_damaged_or_foreign_file_is_unreadable_and_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"broken\.jpg: "):
        _images(tmp_path, "broken.jpg").image(0)


def test_a_truncated_picture_is_unreadable(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    for suffix in ("jpg", "png", "webp", "bmp", "tiff"):
        path = tmp_path / f"image.{suffix}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UnreadableImageError):
            _images(tmp_path, path.name).image(0)


def test_a_pipe_and_a_device_are_no_images_and_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    _, wrong = file_states(tmp_path, ["pipe.jpg", "zero.jpg", "folder.jpg", "missing.jpg", "a\0b"])
    assert list(wrong) == [0, 1, 2, 3, 4]
    assert [wrong[row] for row in range(4)] == ["not a regular file", "not a regular file", "a folder", "no such file"]


def test_a_pipe_that_replaces_a_file_is_not_waited_for(tmp_path: Path) -> None:
    _two_colours().save(tmp_path / "image.jpg")
    images = _images(tmp_path, "image.jpg")
    (tmp_path / "image.jpg").unlink()
    with pytest.raises(HgldError, match="No such file"):
        images.image(0)
    os.mkfifo(tmp_path / "image.jpg")
    with pytest.raises(HgldError, match="not a regular file"):
        images.image(0)


def test_a_box_crops_the_picture(tmp_path: Path) -> None:
    _two_colours().save(tmp_path / "image.png")
    images = _images(tmp_path, "image.png", "image.png", boxes={1: (3.6, 11.2, 9.9, 18.0)})
    assert images.image(0).size == (30, 20)
    assert images.image(1).size == (6, 7)
    assert images.image(1).getpixel((0, 0)) == BLUE
    with pytest.raises(UnreadableImageError, match="outside of 30 x 20"):
        _images(tmp_path, "image.png", boxes={0: (40, 1, 50, 9)}).image(0)


def test_the_fingerprint_changes_with_a_file_an_id_and_a_box_only(tmp_path: Path) -> None:
    _two_colours().save(tmp_path / "image.png")
    first = _images(tmp_path, "image.png")
    assert _images(tmp_path, "image.png").fingerprint() == first.fingerprint()
    assert _images(tmp_path, "image.png", boxes={0: (0, 0, 9, 9)}).fingerprint() != first.fingerprint()
    _two_colours().rotate(180).save(tmp_path / "image.png")
    os.utime(tmp_path / "image.png", ns=(1, 1))
    assert _images(tmp_path, "image.png").fingerprint() != first.fingerprint()


def test_a_worker_process_gets_a_copy(tmp_path: Path) -> None:
    _two_colours().save(tmp_path / "image.png")
    copy = pickle.loads(pickle.dumps(_images(tmp_path, "image.png")))
    assert copy.image(0).size == (30, 20)


def test_every_suffix_is_one_of_a_format_that_is_decoded() -> None:
    Image.init()
    assert {Image.EXTENSION[suffix] for suffix in SUFFIXES} <= set(FORMATS)
