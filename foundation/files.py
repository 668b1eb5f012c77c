"""Files that are replaced atomically, JSON, and checksums."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hgld.foundation.errors import HgldError

# A folder of results is named after the stage that writes it, with this exception.
_STAGE_OF_FOLDER = {"metadata": "download"}


@contextmanager
def replacing(path: Path, *, directory: bool = False) -> Iterator[Path]:
    """A temporary file (or folder) beside `path`, which replaces `path` when the block succeeds.

    When the block raises, the temporary file is removed and `path` is unchanged. A symbolic link is followed.

    Raises HgldError when `path` is neither a regular file nor a folder (a device, a pipe), when its folder cannot be
    written to, and when the disk is full.
    """
    path = Path(path).resolve()
    if path.exists() and not (path.is_dir() if directory else path.is_file()):
        raise HgldError(f"cannot write {path}: not a regular {'folder' if directory else 'file'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
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


def _move(source: Path, path: Path) -> None:
    """Flush `source` to disk, then rename it to `path`; an existing folder is moved out of the way first."""
    if not source.exists():
        raise HgldError(f"cannot write {path}: nothing was written")
    for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    if source.is_dir() and path.exists():
        _swap(source, path)
    else:
        source.replace(path)


def _swap(source: Path, path: Path) -> None:
    """Replace one folder by another, and restore the first when that fails."""
    old = source.parent / f"{path.name}.old"
    path.replace(old)
    try:
        source.replace(path)
    except OSError:
        old.replace(path)
        raise


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
    return f"run the stage that makes it: dvc repro {_STAGE_OF_FOLDER.get(folder, folder)}"


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
    except (OSError, RecursionError) as error:
        raise HgldError(f"{path}: cannot be read: {error}; {remedy(path)}") from None
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
