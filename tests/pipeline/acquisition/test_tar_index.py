"""Hostile tars: every fault is reported, nothing is written, and every good image is indexed."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import write_parquet
from hgld.foundation.tar_images import ImageTars
from hgld.pipeline.acquisition.tar_index import Scan, scan_tar
from tests.fault_table import FaultTable

IDS = [f"{number:016x}" for number in range(20)]


def _jpeg(size: tuple[int, int] = (8, 6)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, (250, 0, 0)).save(data, "JPEG", quality=95)
    return data.getvalue()


def _bomb() -> bytes:
    """A small JPEG whose frame header claims 65,000 x 65,000 pixels."""
    data = bytearray(_jpeg())
    marker = data.index(b"\xff\xc0")
    data[marker + 5 : marker + 9] = (65_000).to_bytes(2) * 2
    return bytes(data)


def _member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **more: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def _sparse(name: str) -> tuple[tarfile.TarInfo, bytes]:
    """A sparse file as GNU tar writes it (PAX format 1.0)."""
    info, data = _member(name, data=b"1\n0\n512\n".ljust(512, b"\0") + b"x" * 512)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name,
                        "GNU.sparse.realsize": "99999"}  # fmt: skip
    return info, data


def _write(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


GOOD = _member(f"0/0/0/{IDS[0]}.jpg", data=_jpeg())
# fault → the member, the reported fault, whether the image is indexed all the same
MEMBERS = {
    "truncated JPEG": (_member(f"0/{IDS[1]}.jpg", data=_jpeg()[:200]), "truncated", True),
    "too many pixels": (_member(f"0/{IDS[2]}.jpg", data=_bomb()), "65000 x 65000 pixels", True),
    "not a JPEG": (_member(f"0/{IDS[3]}.jpg", data=b"<html>"), "not a JPEG", True),
    "empty file": (_member(f"0/{IDS[4]}.jpg"), "not a JPEG", True),
    "absolute path": (_member(f"/tmp/{IDS[5]}.jpg", data=_jpeg()), "leaves its folder", False),
    "path with ..": (_member(f"0/../../{IDS[6]}.jpg", data=_jpeg()), "leaves its folder", False),
    "symbolic link": (_member(f"0/{IDS[7]}.jpg", tarfile.SYMTYPE, linkname="/etc/passwd"), "not a plain file", False),
    "hard link": (_member(f"0/{IDS[8]}.jpg", tarfile.LNKTYPE, linkname="../x"), "not a plain file", False),
    "device": (_member(f"0/{IDS[9]}.jpg", tarfile.CHRTYPE), "not a plain file", False),
    "pipe": (_member(f"0/{IDS[10]}.jpg", tarfile.FIFOTYPE), "not a plain file", False),
    "sparse file": (_sparse(f"0/{IDS[11]}.jpg"), "not a plain file", False),
    "folder called .jpg": (_member(f"0/{IDS[12]}.jpg", tarfile.DIRTYPE), "a folder", False),
    "no image id": (_member("0/readme.jpg", data=_jpeg()), "not named", False),
    "name that is not UTF-8": (_member("0/\udcff.jpg", data=_jpeg()), "not named", False),
}  # fmt: skip


@pytest.mark.parametrize("fault", MEMBERS)
def test_bad_member_is_reported_and_the_others_are_indexed(tmp_path: Path, fault_table: FaultTable, fault: str) -> None:
    member, message, indexed = MEMBERS[fault]
    last = _member(f"0/{IDS[19]}.jpg", data=_jpeg())
    scan = scan_tar(_write(tmp_path / "train/images_000.tar", [GOOD, member, last]), "train")
    assert len(scan.faults) == 1 and message in scan.faults["fault"][0]
    good = [IDS[0], IDS[19]]
    image = Path(member[0].name).stem
    assert list(scan.images["id"]) == ([good[0], image, good[1]] if indexed else good)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["images_000.tar", "train"]
    with _store(tmp_path, scan) as tars:
        assert [tars.image(name).size for name in good] == [(8, 6), (8, 6)]
        if indexed:
            with pytest.raises(HgldError, match=f"image {image}: "):
                tars.image(image)
    fault_table.add("images", fault, f"reported: {scan.faults['fault'][0]}")


def _store(folder: Path, scan: Scan) -> ImageTars:
    write_parquet(scan.images.sort_values("id"), folder / "images.parquet")
    return ImageTars(folder / "images.parquet", folder)


def test_duplicate_id_is_the_first_image(tmp_path: Path) -> None:
    second = _member(f"1/{IDS[0]}.jpg", data=_jpeg((4, 4)))
    scan = scan_tar(_write(tmp_path / "train/images_000.tar", [GOOD, second]), "train")
    assert list(scan.faults["fault"]) == ["an id that an earlier member has; left out"]
    with _store(tmp_path, scan) as tars:
        assert tars.image(IDS[0]).size == (8, 6)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("cut in a member", r"it ends within 0/|unexpected end"),
        ("cut between members", "no end-of-archive block"),
        ("damaged header", "a damaged header at byte"),
        ("no tar", "not a readable tar"),
        ("empty", "not a readable tar"),
    ],
)
def test_damaged_tar_is_named(tmp_path: Path, fault_table: FaultTable, fault: str, message: str) -> None:
    """tarfile itself takes a damaged header in the middle for the end of the archive, without an error."""
    members = [_member(f"0/{image}.jpg", data=_jpeg()) for image in IDS[:3]]
    tar = _write(tmp_path / "images_000.tar", members)
    with tarfile.open(tar) as archive:
        third = archive.getmembers()[2].offset
    data = bytearray(tar.read_bytes())
    if fault == "damaged header":
        data[third + 5] ^= 0xFF
    cut = {"cut in a member": third + 700, "cut between members": third, "empty": 0}.get(fault, len(data))
    tar.write_bytes(b"no tar at all" * 100 if fault == "no tar" else data[:cut])
    with pytest.raises(HgldError, match=message) as error:
        scan_tar(tar, "train")
    fault_table.add("images", f"tar: {fault}", f"error: {str(error.value).replace(str(tmp_path), '…')}")


def test_damaged_image_is_an_image_or_an_error_with_its_id(tmp_path: Path) -> None:
    """Each byte of a JPEG is changed in turn: reading it gives an image or one kind of error."""
    good = _jpeg()
    damaged = []
    for offset in range(2, len(good)):
        data = bytearray(good)
        data[offset] ^= 0x55
        damaged.append(_member(f"0/{offset:016x}.jpg", data=bytes(data)))
    scan = scan_tar(_write(tmp_path / "train/images_000.tar", damaged), "train")
    outcomes = set()
    with _store(tmp_path, scan) as tars:
        for image in scan.images["id"]:
            try:
                outcomes.add(tars.image(image).mode)
            except HgldError as error:
                assert str(error).startswith(f"image {image}: ")
                outcomes.add("error")
    assert outcomes == {"RGB", "error"}


def test_several_processes_read_concurrently(tmp_path: Path) -> None:
    members = [_member(f"0/{image}.jpg", data=_jpeg((8, 6 + row))) for row, image in enumerate(IDS)]
    scan = scan_tar(_write(tmp_path / "train/images_000.tar", members), "train")
    with _store(tmp_path, scan) as tars:
        tars.read(IDS[0])  # the forked readers share the open file, and pread does not use its position
        children = []
        for number in range(4):
            pid = os.fork()
            if not pid:
                order = IDS[number:] + IDS[:number]
                good = all(tars.image(name).height == 6 + IDS.index(name) for name in order * 20)
                os._exit(0 if good else 1)
            children.append(pid)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
