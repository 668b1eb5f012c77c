"""What lies where in a tar of pictures: found in one pass, without extracting anything, whatever the tar holds.

A member is a picture when it is a plain file of its own with a relative name that ends in `<image id>.jpg`. All else
(links, devices, sparse files, names that climb out of their folder, an id that was there before) is reported and left
out. A picture that is plainly not whole is reported, and stays: who reads it is told.
"""

import os
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import COLUMNS, MAX_PIXELS

FAULTS = ["tar", "member", "fault"]
_BLOCK = 512
# Where the size of a JPEG stands: behind the tables and comments of its head.
_HEAD = 1 << 16
_TAIL = 1 << 10
_START, _END = b"\xff\xd8", b"\xff\xd9"
# The markers that hold no segment, and those that begin a frame.
_BARE = {0x01, *range(0xD0, 0xD8)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


class Scan(NamedTuple):
    """The pictures of a tar (`COLUMNS` of foundation/tar_images.py), and what is wrong in it (`FAULTS`)."""

    images: pd.DataFrame
    faults: pd.DataFrame


def scan_tar(tar: Path, split: str) -> Scan:
    """The pictures of `tar` and the faults in it, in the order in which they stand there.

    tar is named as below the image folder: `train/images_000.tar`. Offset and size of a picture are in bytes.

    Raises HgldError when the tar itself is damaged: cut off, or a header that is none.
    """
    name = f"{split}/{tar.name}"
    rows: dict[str, tuple[str, str, str, int, int]] = {}
    faults: list[tuple[str, str, str]] = []
    try:
        with tarfile.open(tar, "r:") as archive, tar.open("rb") as handle:
            end = os.fstat(handle.fileno()).st_size
            for member in archive:
                image = PurePosixPath(member.name).stem
                fault = _no_picture(member, rows)
                if not fault:
                    if member.offset_data + member.size > end:
                        raise tarfile.ReadError(f"it ends within {member.name}")
                    rows[image] = (image, split, name, member.offset_data, member.size)
                    fault = jpeg_fault(handle.fileno(), member.offset_data, member.size)
                if fault:
                    faults.append((name, _plain(member.name), fault))
            _check_end(handle.fileno(), archive.offset)
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        raise HgldError(f"{tar}: not a readable tar ({error}; {len(rows)} images before that)") from None
    return Scan(pd.DataFrame(list(rows.values()), columns=COLUMNS), pd.DataFrame(faults, columns=FAULTS))


def _no_picture(member: tarfile.TarInfo, known: dict[str, tuple[str, str, str, int, int]]) -> str:
    """Why a member is not taken for a picture; "" when it is one, or a folder."""
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


def _plain(name: str) -> str:
    """A member's name as text that any file takes: tars may hold names that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def _check_end(handle: int, offset: int) -> None:
    """The end of a tar is a block of zeros; tarfile takes a damaged header, or the end of the file, for it as well."""
    block = os.pread(handle, _BLOCK, offset)
    if block != bytes(_BLOCK):
        what = "it ends without the block that ends a tar" if len(block) < _BLOCK else "a header is damaged"
        raise tarfile.ReadError(f"{what} at byte {offset}")


def jpeg_fault(handle: int, offset: int, size: int) -> str:
    """What is wrong with the JPEG in these bytes of a file, as far as its two ends show; "" for nothing."""
    head = os.pread(handle, min(size, _HEAD), offset)
    if not head.startswith(_START):
        return "not a JPEG"
    pixels = _pixels(head)
    if pixels and pixels[0] * pixels[1] > MAX_PIXELS:
        return f"{pixels[0]} x {pixels[1]} pixels are too many"
    tail = os.pread(handle, min(size, _TAIL), offset + max(size - _TAIL, 0))
    return "" if _END in tail else "truncated: no end-of-image marker"


def _pixels(head: bytes) -> tuple[int, int] | None:
    """Width and height from the frame header of a JPEG; None when it does not stand in `head`."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAMES:
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return None
