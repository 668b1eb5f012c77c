"""Atomic replacement: a reader sees the old file or the new one, also when the writer is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.files import md5, replacing, sha256, write_text


def test_new_file_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text("old\n", path)
    write_text("zwölf\n", path)
    assert path.read_bytes() == "zwölf\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_error_in_the_block_leaves_only_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text("old", path)
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    for names in (["a", "b"], ["b", "c"]):
        with replacing(path, directory=True) as part:
            for name in names:
                (part / name).write_text(name)
    assert sorted(file.name for file in path.iterdir()) == ["b", "c"]
    assert list(tmp_path.iterdir()) == [path]


def test_writing_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="nothing was written"), replacing(tmp_path / "a"):
        pass


def test_full_disk_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(HgldError, match=r"cannot write .*a\.txt: No space left"),
        replacing(tmp_path / "a.txt"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_file_in_place_of_the_parent_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HgldError, match="cannot write"):
        write_text("x", tmp_path / "file" / "a.txt")


def test_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text("old", path)
    code = (
        "import sys, time; from pathlib import Path; from hgld.foundation.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as part:\n"
        "    part.write_text('half'); print('writing', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert path.read_text() == "old"
    write_text("new", path)
    assert path.read_text() == "new"


def test_concurrent_writers_leave_one_whole_file(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hgld.foundation.files import write_text\n"
        "for _ in range(50): write_text(sys.argv[2] * 100_000, Path(sys.argv[1]))"
    )
    path = tmp_path / "a.txt"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "ab"]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert set(path.read_text()) in ({"a"}, {"b"})
        time.sleep(0.005)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_checksums_have_known_values(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert md5(tmp_path / "a") == "900150983cd24fb0d6963f7d28e17f72"
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_devices_and_pipes_are_refused_and_links_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(HgldError, match="not a regular file"):
            write_text("x", path)
    assert (tmp_path / "pipe").is_fifo() and Path("/dev/null").is_char_device()
    (tmp_path / "link").symlink_to("target")
    write_text("x", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "x"
