"""Atomic replacement: a reader sees the old file or the new one, also when the writer is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output, md5, replacing, sha256, write_array, write_text
from tests.full_disk import full_disk


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


def _fill(path: Path, *names: str, text: str = "") -> None:
    with replacing(path, directory=True) as part:
        for name in names:
            (part / name).parent.mkdir(exist_ok=True)
            (part / name).write_text(text)


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    _fill(path, "a", "b", text="old")
    _fill(path, "a", "b", "sub/c", text="new")
    assert {file.name: file.read_text() for file in path.rglob("?")} == dict.fromkeys("abc", "new")
    assert list(tmp_path.iterdir()) == [path]


def test_folder_with_files_of_others_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "out"
    _fill(path, "a", "sub/b", text="old")
    (path / ".gitignore").write_text("/a")
    (path / "sub" / "notes.txt").write_text("mine")
    with pytest.raises(HgldError, match=r"would be deleted: sub/notes\.txt; move it"):
        _fill(path, "a", "sub/b", text="new")
    assert (path / "a").read_text() == "old" and (path / "sub" / "notes.txt").read_text() == "mine"
    (path / "sub" / "notes.txt").unlink()
    _fill(path, "a", "sub/b", text="new")
    assert (path / "a").read_text() == "new" and (path / ".gitignore").read_text() == "/a"


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
    assert len(list(tmp_path.iterdir())) == 2


def test_remains_of_a_killed_writer_are_swept_by_the_next_process_and_those_of_a_living_one_are_not(
    tmp_path: Path,
) -> None:
    code = (
        "import sys; from pathlib import Path; from hgld.foundation.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as part:\n"
        "    part.write_text('slow'); print('writing', flush=True); sys.stdin.readline()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    names = "killed", "living"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / name)], **pipes) for name in names]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "writing\n"
    writers[0].kill()
    writers[0].communicate()
    moved = tmp_path / ".out.x.part"
    moved.mkdir()
    (moved / "out.old").mkdir()  # the moment between the two renames of a folder
    next_process = "import sys; from hgld.foundation.files import *; write_text('new', Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", next_process, str(tmp_path / "another")], check=True)
    left = sorted(path.name.split(".")[1] for path in tmp_path.glob(".*.part"))
    assert left == ["living"]
    writers[1].communicate("go on\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "living", "out"]


def test_writers_that_begin_at_once_do_not_sweep_each_other(tmp_path: Path) -> None:
    """The first write of a process sweeps, maybe between another's making of its folder and its lock on it."""
    code = (
        "import os, sys; from pathlib import Path; from hgld.foundation import files\n"
        "for number in range(300):\n"
        "    files._SWEPT.clear(); files.write_text('x', Path(sys.argv[1], f'{os.getpid()}-{number}'))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert len(list(tmp_path.iterdir())) == 4 * 300


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


def test_no_link_is_followed_out_of_its_folder(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    _fill(mine, "diary.txt", text="mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").symlink_to(mine / "diary.txt")
    (out / "folder").symlink_to(mine)
    (tmp_path / "beside").symlink_to("mine")
    for link, directory in ((out / "file", False), (out / "folder", True), (tmp_path / "beside", True)):
        with pytest.raises(HgldError, match=r"it is a link to .*mine.*; give that path itself"):
            check_output(link)
        with pytest.raises(HgldError, match="it is a link to"), replacing(link, directory=directory):
            pytest.fail("nothing is computed for an output that cannot be written")
    assert (mine / "diary.txt").read_text() == "mine" and (out / "folder").is_symlink()


def test_link_loops_and_names_that_are_too_long_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "a" / "c", tmp_path / ("x" * 300), tmp_path / "/".join(["y" * 200] * 30)):
        for check in (lambda path=path: write_text("x", path), lambda path=path: check_output(path)):
            with pytest.raises(HgldError, match="cannot write"):
                check()


def test_no_input_is_an_output(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x")
    (tmp_path / "link.csv").symlink_to("in.csv")
    os.link(tmp_path / "in.csv", tmp_path / "same.csv")
    for name in ("in.csv", "link.csv", "same.csv", "../" + tmp_path.name + "/in.csv"):
        with pytest.raises(HgldError, match=r"is the input .*in\.csv; choose another place"):
            check_output(tmp_path / name, None, tmp_path / "absent.csv", tmp_path / "in.csv")
    with pytest.raises(HgldError, match="is the input"):
        check_output(tmp_path, tmp_path)
    check_output(tmp_path / "out.csv", tmp_path / "in.csv")


def test_an_array_is_written_as_numpy_does_and_a_full_disk_is_reported(tmp_path: Path) -> None:
    for shape in ((3, 5), (4, 0), (0, 0)):
        array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        np.save(tmp_path / "numpy.npy", array)
        write_array(array, tmp_path / "ours.npy")
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    large = np.zeros((100, 1000), np.float32)
    failure = pytest.raises(HgldError, match=r"cannot write .*large\.npy: File too large")
    with full_disk(100_000), failure, replacing(tmp_path / "large.npy") as part:
        write_array(large, part)
    assert not list(tmp_path.glob("*large*"))


def test_the_longest_name_that_the_disk_takes_is_written(tmp_path: Path) -> None:
    write_text("x", tmp_path / ("é" * 127))
    assert (tmp_path / ("é" * 127)).read_text() == "x"
