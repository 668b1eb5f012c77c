"""The index of a tar of images: id, offset and size of each, in one pass and without extracting anything.

A member is indexed as an image if it is a regular file with a relative name that ends in `<image id>.jpg`. Everything
else (links, devices, sparse files, names that lead out of the folder, duplicate ids) is reported and left out. A
truncated image is reported and indexed: reading it raises an error.
"""

import os
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import COLUMNS, MAX_PIXELS, jpeg_frame

FAULT_COLUMNS = ["tar", "member", "fault"]
_BLOCK_BYTES = 512
# How far into a JPEG its frame header with the size may be: behind tables and comments.
_HEAD_BYTES = 1 << 16
_TAIL_BYTES = 1 << 10
_START, _END = b"\xff\xd8", b"\xff\xd9"


class Scan(NamedTuple):
    """The images of a tar (columns: `COLUMNS` of foundation/tar_images.py), and its faults (`FAULT_COLUMNS`)."""

    images: pd.DataFrame
    faults: pd.DataFrame


def scan_tar(tar: Path, split: str) -> Scan:
    """The images and the faults of `tar`, in the order of its members.

    The index names the tar relative to the image folder: `train/images_000.tar`. Offsets and sizes are in bytes.

    Raises HgldError when the tar itself is damaged: truncated, or with an invalid header.
    """
    name = f"{split}/{tar.name}"
    rows: dict[str, tuple[str, str, str, int, int]] = {}
    faults: list[tuple[str, str, str]] = []
    try:
        with tarfile.open(tar, "r:") as archive, tar.open("rb") as handle:
            end = os.fstat(handle.fileno()).st_size
            for member in archive:
                image = PurePosixPath(member.name).stem
                fault = _not_an_image(member, rows)
                if not fault:
                    if member.offset_data + member.size > end:
                        raise tarfile.ReadError(f"it ends within {member.name}")
                    rows[image] = (image, split, name, member.offset_data, member.size)
                    fault = _jpeg_fault(handle.fileno(), member.offset_data, member.size)
                if fault:
                    faults.append((name, _printable(member.name), fault))
            _check_end(handle.fileno(), archive.offset)
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        raise HgldError(f"{tar}: not a readable tar: {error}, after {len(rows)} images") from None
    return Scan(pd.DataFrame(list(rows.values()), columns=COLUMNS), pd.DataFrame(faults, columns=FAULT_COLUMNS))


def _not_an_image(member: tarfile.TarInfo, known: dict[str, tuple[str, str, str, int, int]]) -> str:
    """Why a member is not indexed; "" for an image, or an ordinary folder."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "a name that leaves its folder; left out"
    if member.isdir():
        return "a folder; left out" if path.suffix == ".jpg" else ""
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        return "not a plain file (a link, a device, a sparse file …); left out"
    if not re.fullmatch(r"[0-9a-f]{16}\.jpg", path.name):
        return "not named <16 hex digits>.jpg; left out"
    if path.stem in known:
        return "an id that an earlier member has; left out"
    return ""


def _printable(name: str) -> str:
    """A member's name as text that UTF-8 can encode: names in tars may be any bytes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _check_end(handle: int, offset: int) -> None:
    """Raise ReadError unless a block of zeros ends the tar: tarfile also stops at a damaged header or a missing end."""
    block = os.pread(handle, _BLOCK_BYTES, offset)
    if block != bytes(_BLOCK_BYTES):
        fault = "no end-of-archive block" if len(block) < _BLOCK_BYTES else "a damaged header"
        raise tarfile.ReadError(f"{fault} at byte {offset}")


def _jpeg_fault(handle: int, offset: int, size: int) -> str:
    """What is wrong with the JPEG in these bytes of a file, judged by its first and last bytes; "" for nothing."""
    head = os.pread(handle, min(size, _HEAD_BYTES), offset)
    if not head.startswith(_START):
        return "not a JPEG"
    frame = jpeg_frame(head)
    if frame.width * frame.height > MAX_PIXELS:
        return f"{frame.width} x {frame.height} pixels are too many"
    tail = os.pread(handle, min(size, _TAIL_BYTES), offset + max(size - _TAIL_BYTES, 0))
    return "" if _END in tail else "truncated: no end-of-image marker"
