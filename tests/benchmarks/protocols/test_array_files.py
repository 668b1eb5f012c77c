"""Files of arrays that are encrypted, foreign, damaged or too large: one line each, before anything is read."""

import io
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hgld.cli import main


def rewritten(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """An .npz with embeddings, its bytes changed."""
    with path.open("wb") as file:
        np.savez_compressed(file, query=np.ones((2, 3)), index=np.ones((4, 3)))
    path.write_bytes(change(path.read_bytes()))
    return path


def encrypted(content: bytes) -> bytes:
    """With the flag of a password in every member, at its beginning and in the list at the end."""
    before_flag = re.compile(rb"(?:PK\x03\x04..|PK\x01\x02....)\x00", re.DOTALL)
    return before_flag.sub(lambda match: match[0][:-1] + b"\x01", content)


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def header(shape: tuple[int, ...], dtype: Any = np.float32) -> bytes:
    """The beginning of a .npy with an array of this shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


HOSTILE = {
    "encrypted": (lambda path: rewritten(path, encrypted), "query is encrypted"),
    "foreign members": (lambda path: archive(path, query=b"text", index=b"text"), "not a NumPy file of numbers"),
    "other names": (lambda path: archive(path, **{"a\x1b[2J.txt": b""}), "no array 'query'"),
    "objects": (
        lambda path: archive(path, **{"query.npy": header((2, 3), object), "index.npy": b""}), "query has objects"
    ),
    "too wide": (
        lambda path: archive(
            path,
            **{f"{name}.npy": header((n, 10**6)) + bytes(n * 4 * 10**6) for name, n in (("query", 2), ("index", 4))},
        ),
        "the embeddings have 1,000,000 columns",
    ),
    "shorter than its header": (
        lambda path: archive(path, **{"query.npy": header((2, 10**12)), "index.npy": header((4, 10**12))}),
        "bytes for an array of 8,000,000,000,000",
    ),
    "10^18 numbers": (lambda path: path.write_bytes(header((10**9, 10**9))) and path, "not a NumPy file of numbers"),
    "records": (lambda path: np.save(path, np.zeros(3, dtype=[("a", "i4")])) or path, "the array has dtype"),
    "unknown compression": (
        lambda path: rewritten(path, lambda content: content.replace(b"\x08\x00", b"\x63\x00")),
        "not a NumPy file of numbers",
    ),
    "damaged": (lambda path: rewritten(path, lambda content: content[:60] + b"xx" + content[62:]), "not a NumPy file"),
}  # fmt: skip


def _fifo(path: Path) -> str:
    os.mkfifo(path)
    return "is a pipe"


def _loop(path: Path) -> str:
    path.symlink_to(path)
    return ": cannot be read: "


@pytest.mark.parametrize("make", [_fifo, _loop])
def test_what_is_no_file_is_said(truth: Path, tmp_path: Path, make: Callable[[Path], str]) -> None:
    message = make(path := tmp_path / "a.npy")
    done = CliRunner().invoke(main, ["evaluate", "revisited", str(truth), str(path)])
    assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output
    assert done.output.startswith(f"Error: {path}") and message in done.output


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_array_file_is_an_error_in_one_line(truth: Path, tmp_path: Path, case: str) -> None:
    make, message = HOSTILE[case]
    path = make(tmp_path / "a.npy")
    done = CliRunner().invoke(main, ["evaluate", "revisited", str(truth), str(path)])
    assert (done.exit_code, done.output.count("\n"), "\x1b" in done.output) == (1, 1, False), done.output
    assert done.output.startswith(f"Error: {path}") and message in done.output
