"""Lack of memory is no fault of a file: no reader calls it damaged, and no model is said to take another input."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from hgld.benchmarks.models.embedding_network import check_network
from hgld.benchmarks.models.scored_model import ModelOptions
from hgld.benchmarks.models.sources.timm_name import open_timm_name
from hgld.benchmarks.models.sources.torch_program import open_torchscript
from hgld.benchmarks.models.torch_file import read_torch_file
from hgld.benchmarks.protocols import plain_pickle
from hgld.foundation.errors import HgldError

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


READERS = [_torch_file, _pickle, _torchscript, _timm, _network, _preprocessing]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("error", [*LACKS, ValueError("bad magic")], ids=["python", "cpu", "gpu", "damage"])
def test_lack_of_memory_passes_and_damage_is_one_line(
    reader: Callable[..., object], error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    with pytest.raises(type(error) if error in LACKS else HgldError) as raised:
        reader(tmp_path, monkeypatch, fail)
    assert isinstance(raised.value, HgldError) == (error not in LACKS)
