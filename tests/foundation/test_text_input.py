"""Input files are read in bounded memory, or refused with one line, whatever they are."""

import bz2
import gzip
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv

MEGABYTE = 1 << 20


def expanding(start: bytes, repeated: bytes, megabytes: int) -> bytes:
    """A gzip file of a few kilobytes, of as many members as megabytes."""
    member = gzip.compress(repeated * (MEGABYTE // len(repeated)))
    return gzip.compress(start) + member * megabytes


@pytest.mark.parametrize("repeated", [b"x", b"1,2\n", b"\n", b'"', b"\0", b","])
def test_small_gzip_file_does_not_expand_without_bound(tmp_path: Path, repeated: bytes) -> None:
    """Read in a process that may not allocate what the file expands to."""
    (tmp_path / "bomb.csv.gz").write_bytes(expanding(b"a,b\n", repeated, 2_000))
    code = (
        "import sys; from pathlib import Path; from hgld.foundation.errors import HgldError\n"
        "from hgld.foundation.tables import read_csv\n"
        "try: read_csv(Path(sys.argv[1]), ['a', 'b'])\n"
        "except HgldError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "bomb.csv.gz")],
        capture_output=True, text=True, timeout=60, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (1500 * MEGABYTE, 1500 * MEGABYTE)),
    )  # fmt: skip
    assert "expand to more than" in done.stdout or "not a CSV row" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_gzip_file_of_an_ordinary_table_is_read(tmp_path: Path) -> None:
    rows = "".join(f"{number * 0x1234567_89ABCD % 2**64:016x},\n" for number in range(400_000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"a,b\n{rows}".encode()))
    assert len(read_csv(tmp_path / "a.csv.gz", ["a", "b"])) == 400_000


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-30], "truncated"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0) + b"more", "damaged"),
        (b"a,b\n1,2\n", "not a gzip file"),
        (b"", "found nothing"),
    ],
)
def test_damaged_gzip_file_is_named(tmp_path: Path, damaged: bytes, message: str) -> None:
    (tmp_path / "a.csv.gz").write_bytes(damaged)
    with pytest.raises(HgldError, match=rf"a\.csv\.gz.*{message}"):
        read_csv(tmp_path / "a.csv.gz", ["a", "b"])


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    cases = {
        tmp_path / "loop": "levels of symbolic links",
        tmp_path / ("x" * 300): "File name too long",
        tmp_path / "file" / "a.csv": "Not a directory",
        tmp_path / "no\nfile\x1b.csv": r"^no file .*no\\nfile\\x1b\.csv$",
        Path("/dev/zero"): "is a device",
        tmp_path: "is a folder",
    }
    for path, message in cases.items():
        with pytest.raises(HgldError, match=message):
            read_csv(path, ["a", "b"])


def test_pipe_is_read(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"a,b\n1,2\n")
    os.close(writer)
    assert len(read_csv(Path(f"/dev/fd/{reader}"), ["a", "b"])) == 1
    os.close(reader)


@pytest.mark.parametrize(("content", "message"), [
    ("a,b\n1,2\n".encode("utf-16"), "UTF-16 text; save the file as UTF-8"),
    ("a,b\n1,2\n".encode("utf-16-be"), "UTF-16 text; save the file as UTF-8"),
    (b"PK\x03\x04\x14\0", "a ZIP archive, as .xlsx and .ods are"),
    (gzip.compress(b"a,b\n1,2\n", mtime=0), "compressed by gzip; unpack it, or give it a name that ends in .gz"),
    (bz2.compress(b"a,b\n1,2\n"), "compressed by bzip2, xz or zstd"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    (b"\n<!doctype HTML><html>", "a web page"),
])  # fmt: skip
def test_file_of_another_kind_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(HgldError) as caught:
        read_csv(tmp_path / "a.csv", ["a", "b"])
    assert str(caught.value).startswith(f"{tmp_path}/a.csv: expected a CSV file, found {message}")
