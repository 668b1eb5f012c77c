"""Every file that is not a checkpoint is named with a remedy, and a small file costs little time and memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import resource
import struct
import sys
import tarfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgld.benchmarks.models.network import build_network, load_checkpoint
from hgld.foundation.errors import HgldError
from tests.benchmarks.models.test_network import TINY, document
from tests.fault_table import FaultTable


def torch_bytes(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return buffer.getvalue()


def repacked(data: bytes, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of torch.save with changed members."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return archive({name: change(name, source.read(name)) for name in source.namelist()}, compression)


def with_pickle(program: bytes) -> bytes:
    """An archive of torch.save whose pickle is this program."""
    return repacked(torch_bytes({}), lambda name, data: program if name.endswith("data.pkl") else data)


def flipped(data: bytes) -> bytes:
    """One bit of the last weights changed."""
    changed = bytearray(data)
    changed[len(data) * 3 // 4] ^= 1
    return bytes(changed)


def numpy_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def nested_tuples(levels: int = 60) -> bytes:
    """{(((), ()), ((), ())) …: 1}: hashing the key visits 2**levels tuples."""
    step = b"".join(b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(levels))
    return with_pickle(b"\x80\x02}()q\x00" + step + b"K\x01u.")


def safetensors() -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def tar_file(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as target:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        target.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def torchscript() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), buffer)
    return buffer.getvalue()


WHOLE = torch_bytes(document())
FOREIGN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty file": (lambda: b"", "is empty; download or copy it again"),
    "zeros": (lambda: bytes(4096), "zero bytes: an unfinished download"),
    "HTML page": (lambda: b"\xef\xbb\xbf\n<!DOCTYPE HTML>\n<html><head>", "is an HTML page: the server sent a page"),
    "XML error": (lambda: b'<?xml version="1.0"?><Error><Code>AccessDenied', "is an XML document"),
    "Git LFS pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "is a Git LFS pointer, which stands for the file; run `git lfs pull`",
    ),
    "DVC pointer": (lambda: b"outs:\n- md5: 4d7a\n  path: model.pt\n", "is a DVC pointer.*run `dvc pull`"),
    "JSON": (lambda: b'{"format": "hgld-model/1"}', "is a JSON text"),
    "text": (lambda: b"Not\x20found", "is a text that begins with 'Not found'"),
    "safetensors": (safetensors, "is a safetensors file; give --backbone NAME to `hgld benchmark`"),
    ".npy": (numpy_file, r"is a NumPy array \(.npy\)"),
    ".npz": (lambda: archive({"a.npy": numpy_file()}), r"is an archive of NumPy arrays \(.npz\)"),
    ".onnx": (lambda: b"\x08\x07\x12\x07pytorch\x1a\x052.0.1:\x80\x01", "is an ONNX model"),
    ".h5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(50), "is an HDF5 file"),
    "gzip": (lambda: gzip.compress(WHOLE[:2000]), "is gzip-compressed; unpack it"),
    "HTML page, UTF-16": (lambda: "<!doctype html><p>".encode("utf-16"), "is an HTML page"),
    "HTML page, Latin-1": (lambda: "<HTML lang=fr>Accès refusé".encode("latin-1"), "is an HTML page"),
    "script": (lambda: b"<script>location='login'</script>", "is an HTML page"),
    "text, Latin-1": (lambda: "nicht verfügbar".encode("latin-1"), "is a text that begins with 'nicht verfügbar'"),
    "TOML": (lambda: b"[train]\nlr = 1\n", r"is a text that begins with '\[train\]'"),
    "git-annex pointer": (lambda: b"/annex/objects/SHA256E-s1--4d.pt\n", "run `git annex get`"),
    "truncated safetensors": (lambda: struct.pack("<Q", 10**6) + safetensors()[8:], "is a truncated safetensors file"),
    "lz4": (lambda: b"\x04\x22\x4d\x18" + bytes(9), "is lz4-compressed; unpack it"),
    "lzma": (lambda: lzma.compress(WHOLE[:99], format=lzma.FORMAT_ALONE), "is lzma-compressed; unpack it"),
    "xz": (lambda: lzma.compress(WHOLE[:99]), "is xz-compressed; unpack it"),
    "bzip2": (lambda: bz2.compress(WHOLE[:99]), "is bzip2-compressed; unpack it"),
    "zlib": (lambda: zlib.compress(WHOLE[:99]), "is zlib-compressed"),
    "tar": (lambda: tar_file("model.pt", WHOLE[:99]), "is a tar archive; unpack it with tar -xf"),
    "empty zip": (lambda: archive({}), "is an empty zip archive"),
    "SavedModel": (lambda: b"\x08\x01\x12\x9a\x01\x0a\x02", "is a TensorFlow or Core ML model"),
    "TensorFlow .index": (lambda: bytes([0, 0, 1, 8]) * 9 + bytes.fromhex("57fb808b247547db"), "TensorFlow checkpoint"),
    "TensorFlow checkpoint": (lambda: b'model_checkpoint_path: "model-1"', "the list of checkpoints in a TensorFlow"),
    "MATLAB": (lambda: b"MATLAB 5.0 MAT-file" + bytes(99), "is a MATLAB file"),
    "MessagePack": (lambda: b"\x81\xa6params\x80", "is a MessagePack file"),
    "SQLite": (lambda: b"SQLite format 3\0", "is an SQLite database"),
    "program": (lambda: b"\x7fELF\x02\x01", "is a program"),
    "TorchScript": (torchscript, "is a TorchScript archive, which holds code"),
    "zip": (lambda: archive({"model.pt": WHOLE[:100]}), r"is a zip archive \('model.pt'\), not written by torch.save"),
    "truncated": (lambda: WHOLE[: len(WHOLE) // 2], "is truncated or was changed: the directory at its end is missing"),
    "one bit changed": (lambda: flipped(WHOLE), "is damaged: the checksum of 'archive/data/.*' does not match"),
    "compressed": (
        lambda: repacked(WHOLE, lambda _, data: data, zipfile.ZIP_DEFLATED),
        "is a compressed archive, which torch.save does not write",
    ),
    "np.float64 in config": (
        lambda: torch_bytes(document(config={"lr": np.float64(1)})),
        r"holds NumPy values \('numpy\S+'\); convert them before saving: float\(x\)",
    ),
    "np.ndarray in config": (lambda: torch_bytes(document(config={"lr": np.ones(2)})), "holds NumPy values"),
    "np.float64, pickled": (lambda: pickle.dumps(np.float64(1)), "holds NumPy values"),
    "Path in config": (
        lambda: torch_bytes(document(config={"out": Path("x")})),
        "holds an object of 'pathlib.*; save tensors, numbers and text only",
    ),
    "pickled network": (
        lambda: torch_bytes(torch.nn.Linear(2, 2)),
        r"holds an object of 'torch\.nn\.\S+', .*; save network.state_dict\(\) instead",
    ),
    "pickled network, before 1.6": (
        lambda: torch_bytes(torch.nn.Linear(2, 2), _use_new_zipfile_serialization=False),
        r"holds an object of 'torch\.nn\.Module', .*; save network.state_dict\(\) instead",
    ),
    "Counter in config": (
        lambda: torch_bytes(document(config=Counter("aa"))),
        r"'collections.Counter', .*; save tensors, numbers and text only: str\(x\), dict\(x\)",
    ),
    "quantised weights": (
        lambda: with_pickle(b"\x80\x02ctorch._utils\n_rebuild_qtensor\n)R."),
        r"holds a special tensor \('torch._utils._rebuild_qtensor'\).*x.dequantize\(\)",
    ),
    "pickle of protocol 0": (lambda: pickle.dumps({"a": 1}, 0), "is a pickle, not written by torch.save"),
    "optimizer": (
        lambda: torch_bytes(torch.optim.Adam([torch.ones(1)]).state_dict()),
        "found the state of an optimizer, which has no weights",
    ),
    "Lightning": (
        lambda: torch_bytes({"pytorch-lightning_version": "2", "state_dict": {"model.a": torch.ones(1)}}),
        "found a training checkpoint of PyTorch Lightning with weights under 'state_dict'",
    ),
    "training checkpoint": (
        lambda: torch_bytes({"epoch": 1, "model": {"a": torch.ones(1)}}),
        "found a training checkpoint with weights under 'model'; `hgld benchmark` scores it with --backbone NAME",
    ),
    "pickled dictionary": (lambda: pickle.dumps({"a": 1}), "is a pickle, not written by torch.save"),
    "random bytes": (lambda: b"\x9a\x8b\x7c" * 999, r"is damaged, or not written by torch.save \(ValueError\)"),
    "bare weights": (
        lambda: torch_bytes(build_network(TINY, seed=0).state_dict()),
        "found a bare state_dict of .* tensors, from 'pool.power' on|found a bare state_dict of",
    ),
    "unfinished training": (lambda: torch_bytes({"format": "hgld-training/2"}), "`hgld train` resumes it"),
    "nested tuples": (nested_tuples, "is refused: it has a key or a member of a set that is a tuple"),
    "bytearray of a gigabyte": (
        lambda: with_pickle(b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x3f\x85R."),
        "holds an object of 'builtins.bytearray', which would run code",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_file_is_named_with_what_to_do(tmp_path: Path, fault_table: FaultTable, name: str) -> None:
    make, message = FOREIGN[name]
    path = tmp_path / "model.pt"
    path.write_bytes(make())
    with pytest.raises(HgldError, match=message) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    assert "expected a checkpoint of format hgld-model/1 (see docs/checkpoint.md)" in text
    fault_table.add("checkpoint", name, text.replace(str(path), "…"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([".metadata", "__0_0.distcp"], "is a folder of torch.distributed.checkpoint; make a file of it"),
        (["saved_model.pb"], "is a TensorFlow model"),
        (["data.pkl", "version"], "is an unpacked archive of torch.save"),
        (["model.pth", "log.txt"], "is a folder; give the path of the checkpoint, such as 'model.pth' in it"),
        ([], "is a folder; give the path of the checkpoint; expected"),
    ],
)
def test_folder_is_named_with_what_to_do(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(HgldError, match=message):
        load_checkpoint(tmp_path)


def test_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HgldError, match="is a link to a file that does not exist"):
        load_checkpoint(tmp_path / "model.pt")


def test_weights_of_8_bits_are_read(tmp_path: Path) -> None:
    path, weights = tmp_path / "model.pt", build_network(TINY, seed=0).state_dict()
    small = {k: v.to(torch.float8_e4m3fn) if v.is_floating_point() else v for k, v in weights.items()}
    path.write_bytes(torch_bytes(document(state_dict=small)))
    head = load_checkpoint(path).network.head.weight
    assert torch.equal(head, small["head.weight"].float())
    small["head.bias"] = torch.full((8,), float("nan")).to(torch.float8_e4m3fn)
    path.write_bytes(torch_bytes(document(state_dict=small)))
    with pytest.raises(HgldError, match=r"head\.bias contains values that are not finite"):
        load_checkpoint(path)


def test_checkpoint_in_the_format_of_torch_before_1_6_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torch_bytes(document(), _use_new_zipfile_serialization=False))
    loaded = load_checkpoint(path).network.state_dict()
    for name, value in build_network(TINY, seed=0).state_dict().items():
        assert torch.equal(loaded[name], value)


def renamed(change: Callable[[str], str]) -> dict[str, Any]:
    return {change(name): value for name, value in build_network(TINY, seed=0).state_dict().items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: f"module.{k}", r"contain 'module.' \(DistributedDataParallel\): save network.module.state_dict\(\)"),
        (lambda k: f"_orig_mod.{k}", r"contain '_orig_mod.' \(torch.compile\): save network._orig_mod.state_dict\(\)"),
        (lambda k: f"module._orig_mod.{k}", r"save network.module._orig_mod.state_dict\(\)"),
        (lambda k: k.replace("backbone.", "backbone._orig_mod."), r"contain '_orig_mod.' \(torch.compile\)"),
        (lambda k: f"model.{k}", "begin with 'model.': remove that from each key"),
    ],
)
def test_keys_with_the_name_of_a_wrapper_are_explained(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torch_bytes(document(state_dict=renamed(change))))
    with pytest.raises(HgldError, match=message) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def deep(levels: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(levels):
        nested = {"x": nested}
    return nested


def shared(levels: int) -> list[Any]:
    """A list of 2**levels empty lists, made of a few."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (deep(30), "config is nested deeper than 20 levels"),
        ({"x": shared(15)}, "config has more than 10,000 values"),
        ({str(n): n for n in range(10_001)}, "config has more than 10,000 values"),
        ({"x": "y" * 1_000_001}, "config has more than 1,000,000 characters"),
        ({"y" * 1_000_001: 1}, "is refused: it has a key or a member of a set that is too long"),
        ({"x": 10**5000}, "is refused: it has a whole number of 16,610 bits"),
        ({"x": torch.zeros(20_000)}, "'config.x' is a Tensor"),
    ],
)
def test_settings_in_a_checkpoint_are_bounded(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torch_bytes(document(config=config)))
    with pytest.raises(HgldError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mean", (123.7, 116.3, 103.5), "model.mean.0: expected a number from 0 to 1.*divide a mean.*found 123.7"),
        ("mean", (-0.1, 0.5, 0.5), "model.mean.0: expected a number from 0 to 1"),
        ("mean", (float("nan"), 0.5, 0.5), "model.mean.0: .*finite"),
        ("std", (0.2, 0.0, 0.2), "model.std.1: expected a number from 1/256 to 1.*found 0.0"),
        ("std", (58.4, 57.1, 57.4), "model.std.0: expected a number from 1/256 to 1"),
        ("std", (-0.2, 0.2, 0.2), "model.std.0: "),
        ("std", (float("inf"), 0.2, 0.2), "model.std.0: .*finite"),
        ("mean", (0.5, 0.5), "model.mean.2: "),
        ("image_size", 4096, "model.image_size: .*less than or equal to 1024; found 4096"),
        ("dim", 10**9, "model.dim: .*less than or equal to 65536"),
        ("backbone", "vit_giant_patch14_224", r"'vit_giant_patch14_224' has 4,\d+ MB of weights, and the file only"),
        ("backbone", "coat_tiny", "'coat_tiny' cannot be built without its pooling"),
    ],
)
def test_architecture_is_checked_before_it_is_built(tmp_path: Path, field: str, value: object, message: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torch_bytes(document(model={**TINY.model_dump(), field: value})))
    start, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(HgldError, match=message) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 30
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * unit < 1 << 30
