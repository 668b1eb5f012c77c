"""Files that are replaced atomically, JSON, headers of NumPy arrays, and checksums."""

import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hgld.foundation.errors import HgldError, reason

if TYPE_CHECKING:
    from zipfile import ZipFile

    import numpy as np
    import numpy.typing as npt

# The folders of results in data/PROFILE, and the stages of dvc.yaml that write them, in order.
STAGE_OF_FOLDER = {
    "check": "check",
    "metadata": "download",
    "images": "images",
    "wikidata": "wikidata",
    "build": "build",
    "embed": "embed",
    "refine": "refine",
    "queue": "queue",
    "release": "release",
    "train": "train",
    "benchmark": "benchmark",
}

# Folders in which this process has looked for the remains of killed ones.
_SWEPT: set[Path] = set()


@contextmanager
def replacing(path: Path, *, directory: bool = False) -> Iterator[Path]:
    """A temporary file (or folder) beside `path`, which replaces `path` when the block succeeds; it is then on disk.

    When the block raises, the temporary file is removed and `path` is unchanged. What a killed process left behind is
    removed by the next one that writes into the same folder. A link to a file of the same folder is followed.

    Raises HgldError when `path` is neither a regular file nor a folder (a device, a pipe), when it is a link to another
    place, when its folder cannot be written to, when the disk is full, and when a folder to be replaced holds files
    that the new one lacks: they would be deleted.
    """
    path = _checked_target(Path(path), directory)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        folder, handle = _temporary_folder(path)
    except OSError as error:
        raise HgldError(f"cannot write {path}: {error.strerror}") from error
    try:
        target = folder / path.name
        if directory:
            target.mkdir()
        yield target
        _move(target, path)
    except OSError as error:
        if error.errno is None:
            raise
        raise HgldError(f"cannot write {path}: {error.strerror}; the previous version is unchanged") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


# What no command writes, in whatever folder: overwritten by a mistyped output, the repository would not run any more.
_PROJECT_FILES = {"params.yaml", "dvc.yaml", "dvc.lock", "pyproject.toml"}


def check_output(path: Path, *inputs: Path | None) -> None:
    """Raise HgldError if the file or folder `path` is one of the inputs, a link elsewhere, or a file of _PROJECT_FILES.

    For commands that take the name of an output: called before their work, as `replacing` sees it only afterwards.
    """
    for source in inputs:
        try:
            same = source is not None and Path(path).samefile(source)
        except OSError:  # one of them does not exist, or cannot be reached; who opens it says so
            same = False
        if same:
            raise HgldError(f"{path} is the input {source}; choose another place for the output")
    if Path(path).name in _PROJECT_FILES and Path(path).is_file():
        raise HgldError(f"{path} belongs to the repository; choose another name for the output")
    _checked_target(Path(path), directory=os.path.isdir(path))  # noqa: PTH112 (Path.is_dir raises for a name that is too long)


def _checked_target(path: Path, directory: bool) -> Path:
    """The absolute path of the file or folder to write."""
    try:
        target = path.resolve()
        elsewhere = path.is_symlink() and (directory or target.parent != path.parent.resolve())
        other_kind = target.exists() and not (target.is_dir() if directory else target.is_file())
    except (OSError, RuntimeError) as error:  # a name that is too long, or a loop of links
        raise HgldError(f"cannot write {path}: {getattr(error, 'strerror', None) or reason(error)}") from None
    if elsewhere:
        raise HgldError(f"cannot write {path}: it is a link to {target}; give that path itself, or remove the link")
    if other_kind:
        raise HgldError(f"cannot write {target}: not a regular {'folder' if directory else 'file'}")
    return target


def _temporary_folder(path: Path) -> tuple[Path, int]:
    """A new folder beside `path`, and a locked handle of it that says that this process is alive."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent))
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # swept by another process, as below
            continue
        if _lock(handle) is not False and folder.exists():
            return folder, handle
        os.close(handle)  # swept by another process before it was locked


def _lock(handle: int) -> bool | None:
    """Whether the handle could be locked: False if another process has it, None if the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sweep(folder: Path) -> None:
    """Remove the temporary folders of killed processes; a folder that one of them had moved away comes back."""
    if folder in _SWEPT:
        return
    _SWEPT.add(folder)
    for leftover in folder.glob(".*.part"):
        try:
            handle = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # a file, a link, or another process has swept it
            continue
        if _lock(handle):
            for old in leftover.glob("*.old"):
                if not (path := folder / old.stem).exists():
                    old.replace(path)
            shutil.rmtree(leftover, ignore_errors=True)
        os.close(handle)


def _move(source: Path, path: Path) -> None:
    """Flush `source` to disk, then rename it to `path`; an existing folder is moved out of the way first."""
    if not source.exists():
        raise HgldError(f"cannot write {path}: nothing was written")
    for item in [*sorted(source.rglob("*")), source]:
        _flush(item)
    if source.is_dir() and path.exists():
        _swap(source, path)
    else:
        source.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Have the operating system write a file, or the names in a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot flush a folder
            raise
    finally:
        os.close(handle)


def _swap(source: Path, path: Path) -> None:
    """Replace one folder by another, and restore the first when that fails; hidden files of other tools stay."""
    new = {item.relative_to(source) for item in source.rglob("*")}
    others = sorted({item.relative_to(path) for item in path.rglob("*")} - new)
    lost = [str(item) for item in others if not any(part.startswith(".") for part in item.parts)]
    if lost:
        raise HgldError(
            f"{path} holds what is not written there and would be deleted: {', '.join(lost[:3])}; "
            "move it to another folder"
        )
    old = source.parent / f"{path.name}.old"
    path.replace(old)
    try:
        source.replace(path)
    except OSError:
        old.replace(path)
        raise
    for item in others:
        if (old / item).exists():  # not moved yet with the hidden folder it is in
            (old / item).replace(path / item)


def write_array(array: "npt.NDArray[Any]", path: Path) -> None:
    """Write `array` as .npy, as numpy.save does; but when the disk is full, numpy's own OSError does not say so."""
    import numpy as np
    from numpy.lib import format as npy

    array = np.ascontiguousarray(array)
    with path.open("wb") as handle:
        npy.write_array_header_1_0(handle, npy.header_data_from_array_1_0(array))
        handle.write(array.reshape(-1).data)


def array_header(handle: IO[bytes], size: int) -> "tuple[tuple[int, ...], np.dtype[Any]]":
    """The shape and the type of the .npy array at the start of a file of `size` bytes.

    Raises ValueError for another file, and for an array of numbers that is larger than the file: a damaged shape, for
    which numpy would say that memory is lacking.
    """
    import numpy as np
    from numpy.lib import format as npy

    version = npy.read_magic(handle)
    try:
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(handle)
    except MemoryError:  # Python's word for brackets that are too deep; a header is short
        raise ValueError("a header that is not one of an array") from None
    needed = int(np.prod([dtype.itemsize, *shape], dtype=object))
    if min(shape, default=1) < 0 or (not dtype.hasobject and handle.tell() + needed > size):
        raise ValueError(f"{size:,} bytes for an array of {needed:,}")
    return shape, dtype


def check_archive(archive: "ZipFile", *names: str) -> None:
    """Raise KeyError unless a .npz has these arrays, and ValueError where one of them is larger than its part."""
    for name in names:
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as member:
            array_header(member, info.file_size)


def write_text(text: str, path: Path) -> None:
    """Write `text` to `path` as UTF-8 with "\\n" line ends, atomically."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def remedy(path: Path) -> str:
    """How to create a missing or damaged output of a stage; the stage is named by the folder of `path`.

    >>> remedy(Path("data/sample/metadata/train.parquet"))
    'run the stage that makes it: dvc repro download'
    """
    folder = path.parent.name
    return f"run the stage that makes it: dvc repro {STAGE_OF_FOLDER.get(folder, folder)}"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a stage wrote.

    Raises HgldError that names the stage to run when the file is missing, damaged, or not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HgldError(f"no {path}; {remedy(path)}") from None
    except json.JSONDecodeError as error:
        raise HgldError(f"{path}:{error.lineno}: not JSON: {error.msg}; {remedy(path)}") from None
    except UnicodeDecodeError:
        raise HgldError(f"{path}: not JSON: not UTF-8; {remedy(path)}") from None
    except (OSError, RecursionError, ValueError) as error:  # the last one: a number of thousands of digits
        raise HgldError(f"{path}: cannot be read: {reason(error)}; {remedy(path)}") from None
    if not isinstance(content, dict):
        raise HgldError(f"{path}: expected a JSON object, found {type(content).__name__}; {remedy(path)}")
    return content


def without_nan(value: Any) -> Any:
    """`value` with None for every NaN in its dicts, lists and tuples: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def sha256(path: Path) -> str:
    """Lower-case hex SHA-256 of a file's bytes."""
    return _digest(path, "sha256")


def md5(path: Path) -> str:
    """Lower-case hex MD5 of a file's bytes."""
    return _digest(path, "md5")


def _digest(path: Path, algorithm: str) -> str:
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()
