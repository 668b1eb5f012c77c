"""A pickle of plain data is read; one that would run code is refused, and nothing runs."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgld.benchmarks.protocols.plain_pickle import Array, load_plain
from hgld.foundation.errors import HgldError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    return path


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, Array) else value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back(tmp_path: Path, protocol: int) -> None:
    value = {"a": [1, -(2**70), 2.5, True, None], "b": ("é", b"\x00\xff"), "c": {}, "d": []}
    assert load_plain(write(tmp_path, pickle.dumps(value, protocol))) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int64),
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]),
        np.array(["all_souls", "é"]),
        np.zeros(0, dtype=np.float32),
        np.array([1, "two", [3]], dtype=object),
        np.float64(0.1),
        np.int32(-7),
    ],
    ids=lambda value: str(value.dtype),
)
def test_arrays_come_back_as_lists(tmp_path: Path, protocol: int, array: Any) -> None:
    assert plain(load_plain(write(tmp_path, pickle.dumps(array, protocol)))) == array.tolist()


class Runs:
    """Its pickle calls os.system."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_with_code_is_refused_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, pickle.dumps({"gnd": [Runs()]}, protocol))
    with pytest.raises(HgldError, match=r"refers to (posix|nt)\.system.*no code was run"):
        load_plain(path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "ran").exists(), "an ordinary unpickler must run it"


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        b"c__builtin__\neval\n(S'1+1'\ntR.",
        b"(S'1+1'\nibuiltins\neval\n.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"cbuiltins\ngetattr\n.",
        b"chgld.benchmarks.protocols.plain_pickle\nload_plain\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"\x80\x02\x82\x01.",
        b"Pname\n.",
    ],
)
def test_no_opcode_reaches_a_callable(tmp_path: Path, program: bytes) -> None:
    with pytest.raises(HgldError):
        load_plain(write(tmp_path, program))


@pytest.mark.parametrize("value", [OrderedDict(a=1), np.random.default_rng(0), Path("x"), 1 + 2j])
def test_other_objects_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(HgldError, match="plain data does not need"):
        load_plain(write(tmp_path, pickle.dumps(value)))


def test_object_array_of_raw_bytes_is_refused(tmp_path: Path) -> None:
    """NumPy would take the bytes for addresses."""
    forged = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI63\ntbI00\nS'AAAAAAAA'\ntb."
    )
    pickletools.dis(forged, out=io.StringIO())
    with pytest.raises(HgldError, match="array of type 'O8'"):
        load_plain(write(tmp_path, forged))
    structured = pickle.dumps(np.zeros(2, dtype=[("a", "i4"), ("b", "f4")]))
    with pytest.raises(HgldError, match="structured array"):
        load_plain(write(tmp_path, structured))


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2, 3])[:-4], b"I1\nR.", b"."])
def test_a_damaged_pickle_is_an_error_with_its_path(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(HgldError, match=r"file\.pkl: not a readable pickle"):
        load_plain(write(tmp_path, content))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="cannot be read: No such file"):
        load_plain(tmp_path / "none.pkl")
