"""Lack of memory is no fault of a file: no reader calls it damaged, and no model is said to take another input."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import scipy.io
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from hgld.benchmarks.datasets.files import image_table
from hgld.benchmarks.datasets.layouts.list_files import matlab_value
from hgld.benchmarks.models.embedding_network import check_network
from hgld.benchmarks.models.network import Architecture, Network, build_network
from hgld.benchmarks.models.scored_model import ModelOptions
from hgld.benchmarks.models.sources.embeddings import open_npy, open_npz, open_parquet
from hgld.benchmarks.models.sources.timm_name import open_timm_name
from hgld.benchmarks.models.sources.torch_program import open_torchscript
from hgld.benchmarks.models.torch_file import read_torch_file
from hgld.benchmarks.models.weights_file import read_safetensors
from hgld.benchmarks.protocols import plain_pickle
from hgld.benchmarks.protocols.array_files import load_arrays
from hgld.foundation.errors import HgldError, lacks_memory
from hgld.foundation.tables import read_parquet, write_parquet

LACKS = [
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    torch.OutOfMemoryError("CUDA out of memory"),
]


def _torch_file(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    torch.save({"a": torch.zeros(2)}, folder / "a.pt")
    patch.setattr(torch, "load", fail)
    return read_torch_file(folder / "a.pt")


def _pickle(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    (folder / "a.pkl").write_bytes(pickle.dumps({"a": [1]}))
    patch.setattr(plain_pickle, "scan_pickle", fail)
    return plain_pickle.load_plain(folder / "a.pkl")


def _torchscript(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    patch.setattr(torch.jit, "load", fail)
    return open_torchscript(str(folder / "a.ts"), ModelOptions(image_size=8))


def _timm(_: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    patch.setattr(timm, "create_model", fail)
    return open_timm_name("timm:resnet10t.c3_in1k", ModelOptions())


def _network(_: Path, __: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    class Fails(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            fail(inputs)

    return check_network("n", Fails(), lambda image: torch.zeros(3, 8, 8))


def _preprocessing(_: Path, __: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    def preprocess(image: Image.Image) -> Tensor:
        fail(image)

    return check_network("n", nn.Identity(), preprocess)


def _reads_arrays(patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> None:
    patch.setattr(np.lib.format, "read_array", fail)


def _array(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    np.save(folder / "a.npy", np.ones((2, 3)))
    _reads_arrays(patch, fail)
    return load_arrays(folder / "a.npy", (), lambda _: None)


def _npz(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    np.savez(folder / "a.npz", ids=np.array(["a", "b"]), vectors=np.ones((2, 3)))
    _reads_arrays(patch, fail)
    return open_npz(str(folder / "a.npz"), ModelOptions())


def _npy(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    np.save(folder / "a.npy", np.ones((2, 3)))
    _reads_arrays(patch, fail)
    return open_npy(str(folder / "a.npy"), ModelOptions(ids=folder / "ids.txt"))


def _embeddings_table(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    patch.setattr(pq, "read_table", fail)
    return open_parquet(str(folder / "a.parquet"), ModelOptions())


def _stage_table(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    write_parquet(pd.DataFrame({"a": [1]}), folder / "a.parquet")
    patch.setattr(pq, "read_table", fail)
    return read_parquet(folder / "a.parquet")


def _image_table(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    (folder / "a.parquet").touch()
    patch.setattr(pq, "ParquetFile", fail)
    return image_table._read_parquet(folder / "a.parquet")


def _safetensors(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    (folder / "a.safetensors").touch()
    patch.setattr(safetensors.torch, "load_file", fail)
    return read_safetensors(folder / "a.safetensors")


def _backbone(_: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    patch.setattr(Network, "_features", fail)
    return build_network(Architecture(backbone="test_resnet", dim=8, pooling="gem", image_size=32), seed=0)


def _matlab(folder: Path, patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> object:
    (folder / "a.mat").touch()
    patch.setattr(scipy.io, "loadmat", fail)
    return matlab_value(folder / "a.mat", "Cars", "a")


READERS = [
    *(_torch_file, _pickle, _torchscript, _timm, _network, _preprocessing, _array, _npz, _npy, _embeddings_table),
    *(_stage_table, _image_table, _safetensors, _backbone, _matlab),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("error", [*LACKS, ValueError("bad magic")], ids=["python", "cpu", "gpu", "damage"])
def test_lack_of_memory_passes_and_damage_is_one_line(
    reader: Callable[..., object], error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    with pytest.raises((MemoryError, RuntimeError) if error in LACKS else HgldError) as raised:
        reader(tmp_path, monkeypatch, fail)
    assert isinstance(raised.value, HgldError) == (error not in LACKS)
    assert lacks_memory(raised.value) == (error in LACKS)


@pytest.mark.parametrize("reader", [_embeddings_table, _stage_table, _image_table])
def test_so_does_that_of_arrow(reader: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exception is one of the library, too."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    with pytest.raises(pa.ArrowMemoryError):
        reader(tmp_path, monkeypatch, fail)


def _huge(path: Path) -> None:
    """Give a .npy a shape for which there is no memory."""
    content = path.read_bytes()
    assert content.count(b"(2, 3), }          ") == 1
    path.write_bytes(content.replace(b"(2, 3), }          ", b"(2, 30000000000), }"))


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_damaged_shape_is_no_lack_of_memory(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    _huge(tmp_path / "a.npy")
    if name == "a.npz":
        np.savez(tmp_path / "ids.npz", ids=np.array(["a", "b"]))
        with zipfile.ZipFile(tmp_path / "ids.npz", "a") as archive:
            archive.write(tmp_path / "a.npy", "vectors.npy")
        (tmp_path / "ids.npz").rename(tmp_path / "a.npz")
    (tmp_path / "ids.txt").write_text("a\nb\n")
    opener = open_npz if name == "a.npz" else open_npy
    with pytest.raises(HgldError, match=r"cannot be read as embeddings \(\d+ bytes for an array of"):
        opener(str(tmp_path / name), ModelOptions(ids=tmp_path / "ids.txt"))


def test_a_header_whose_brackets_are_too_deep_is_no_lack_of_memory(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"-" * 9000 + b"1,), }"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(HgldError, match="not a NumPy file of numbers"):
        load_arrays(tmp_path / "a.npy", (), lambda _: None)


def test_a_matlab_file_that_asks_for_too_much_memory_may_be_damaged(tmp_path: Path) -> None:
    """Its header is believed: one byte of 96 can make it 2 billion rows."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": np.arange(6.0).reshape(2, 3)}, format="4")
    content = bytearray(path.read_bytes())
    content[4:8], content[8:12] = b"\x02\x00\x00\x7f", (10**6).to_bytes(4, "little")  # more than can be addressed
    path.write_bytes(content)
    with pytest.raises(
        MemoryError, match=r"Cars: .*a\.mat declares values that do not fit .* damaged: download it again"
    ):
        matlab_value(path, "Cars", "a")
