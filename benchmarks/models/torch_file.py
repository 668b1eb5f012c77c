"""Read what `torch.save` wrote without running code in it, in time and memory that the size of the file bounds.

`torch.load(weights_only=True)` alone checks no checksum (a flipped bit gives other weights), inflates compressed
records, and calls what pickle_scan.py describes.
"""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from pathlib import Path
from typing import IO

import torch

from hgld.benchmarks.models.file_kind import file_kind, folder_kind, zip_kind
from hgld.benchmarks.models.pickle_scan import ForeignObjectError, scan_pickle
from hgld.foundation.errors import HgldError, lacks_memory, reason

MAX_PICKLE_BYTES = 64 << 20
# What torch.save calls to rebuild tensors, and the plain values that pickle builds by a call.
_REBUILD = "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_sparse_tensor"
CALLABLE = {
    *(f"torch._utils.{name}" for name in f"{_REBUILD} _rebuild_meta_tensor_no_storage".split()),
    *("collections.OrderedDict", "_codecs.encode", "torch.Size", "torch.device", "torch.serialization._get_layout"),
    *("__builtin__.set", "builtins.set", "__builtin__.complex", "builtins.complex", "argparse.Namespace"),
}
_ZIP = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file of torch < 1.6
# An object of these is a network, or belongs to the training of one.
_LIBRARIES = {
    *("torch", "timm", "torchvision", "transformers", "hgld", "__main__", "fastai", "mmengine", "omegaconf"),
    *("lightning", "lightning_fabric", "pytorch_lightning"),
}
_DAMAGED = "download or copy it again"
_NETWORK = "network.state_dict() instead, and give --backbone NAME to `hgld benchmark`"


def read_torch_file(path: Path, device: str = "cpu") -> object:
    """The contents of a file written by torch.save: tensors (on `device`), numbers, strings, lists, dictionaries.

    Raises HgldError that says what any other file is, and what to do; the message begins with a verb and is to be
    preceded by the path.
    """
    try:
        check_torch_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.serialization.safe_globals([argparse.Namespace]):  # the arguments that trainers save; inert
                return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise HgldError("is a link to a file that does not exist" if path.is_symlink() else "no such file") from None
    except IsADirectoryError:
        raise HgldError(folder_kind(path)) from None
    except HgldError:
        raise
    except OSError as error:
        raise HgldError(f"cannot be read: {error.strerror or reason(error)}") from None
    except Exception as error:  # a damaged file can raise anything
        if lacks_memory(error):
            raise
        if match := re.search(r"Unsupported (?:global: GLOBAL|class) ([\w.]+)", str(error)):
            raise HgldError(_foreign(match[1])) from None
        raise HgldError(f"is damaged, or not written by torch.save ({type(error).__name__}); {_DAMAGED}") from None


def check_torch_file(path: Path) -> None:
    """Raise HgldError or OSError for everything but an intact file of torch.save with plain contents."""
    try:
        _check(path)
    except ForeignObjectError as error:
        raise HgldError(_foreign(error.name)) from None


def _check(path: Path) -> None:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise HgldError("is a pipe or a device, not a file")
    with path.open("rb") as handle:
        if handle.read(len(_ZIP)) == _ZIP:
            _check_zip(path)
            return
        if kind := file_kind(path):
            raise HgldError(kind)
        handle.seek(0)
        _check_legacy(handle)


def _check_zip(path: Path) -> None:
    """Raise an error unless the archive is whole, not compressed, and its pickle plain."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError):
        size = path.stat().st_size
        raise HgldError(
            f"is truncated or was changed: the directory at its end is missing ({size:,} bytes); {_DAMAGED}"
        ) from None
    with archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        pickles = [member for member in members if member.filename.count("/") == 1 and _is_pickle(member)]
        if len(pickles) != 1 or any(name.endswith("/constants.pkl") for name in names):
            raise HgldError(zip_kind(names))
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > path.stat().st_size:
            raise HgldError("is a compressed archive, which torch.save does not write; unpack it and save it again")
        if pickles[0].file_size > MAX_PICKLE_BYTES:
            raise HgldError(f"has {pickles[0].file_size:,} bytes besides its tensors; at most {MAX_PICKLE_BYTES:,}")
        if broken := archive.testzip():
            raise HgldError(f"is damaged: the checksum of {broken[:60]!r} does not match; {_DAMAGED}")
        with archive.open(pickles[0]) as stream:
            _scan(stream)


def _is_pickle(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith("/data.pkl")


def _check_legacy(handle: IO[bytes]) -> None:
    """Raise an error unless the file is one of torch < 1.6: five pickles, of which the fourth holds the contents."""
    first = _scan(handle)
    if _LEGACY_MAGIC not in first:
        raise HgldError("is a pickle, not written by torch.save; load it where it was made and save its state_dict")
    for _ in range(4):
        _scan(handle)


def _scan(stream: IO[bytes]) -> list[object]:
    try:
        return scan_pickle(stream, CALLABLE, persistent="storage")
    except (ForeignObjectError, HgldError) as error:
        if isinstance(error, ForeignObjectError):
            raise
        raise HgldError(f"is refused: {error}; load it where it was made and save its state_dict") from None


def _foreign(name: str) -> str:
    """The message for a pickle that refers to an object that is not plain, by the name of the object."""
    shown = repr(name[:80])
    if name.split(".")[0] in ("numpy", "pandas"):
        return f"holds NumPy values ({shown}); convert them before saving: float(x), int(x), torch.from_numpy(x)"
    if name.startswith(("torch._utils._rebuild", "torch._tensor._rebuild")):
        return (
            f"holds a special tensor ({shown}), such as a quantised or nested one, or one of another device; "
            "save plain ones: x.dequantize(), x.detach().cpu()"
        )
    if name.split(".")[0] in _LIBRARIES:
        return f"holds an object of {shown}, which would run code when loaded; save {_NETWORK}"
    remedy = f"save tensors, numbers and text only: str(x), dict(x); of a network, {_NETWORK}"
    return f"holds an object of {shown}, which would run code when loaded; {remedy}"
