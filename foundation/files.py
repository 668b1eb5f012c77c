"""Files that are either the old one or the new one, never half of one; and their checksums."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hgld.foundation.errors import HgldError


@contextmanager
def replacing(path: Path, *, directory: bool = False) -> Iterator[Path]:
    """A temporary file (or folder) beside `path` that takes its place when the block ends well.

    A link is followed; what is neither a regular file nor a folder (a device, a pipe) is refused.

    The block writes to the path it is given. When it raises, nothing of it stays and what stood at
    `path` before is untouched.

    Raises HgldError when the folder cannot be written to or the disk is full.
    """
    path = Path(path).resolve()
    if path.exists() and not (path.is_dir() if directory else path.is_file()):
        raise HgldError(f"cannot write {path}: it is no regular {'folder' if directory else 'file'}")
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
        raise HgldError(
            f"cannot write {path}: {error.strerror}; what stood there before is unchanged"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(source: Path, path: Path) -> None:
    """Put `source` in the place of `path`; a folder that stands there steps aside first."""
    if not source.exists():
        raise HgldError(f"cannot write {path}: nothing was written")
    if source.is_dir():
        _sync_tree(source)
        if path.exists():
            _swap(source, path)
            return
    else:
        with source.open("rb") as handle:
            os.fsync(handle.fileno())
    source.replace(path)


def _swap(source: Path, path: Path) -> None:
    """Put a folder in the place of another, which comes back when that fails."""
    old = source.parent / f"{path.name}.old"
    path.replace(old)
    try:
        source.replace(path)
    except OSError:
        old.replace(path)
        raise


def _sync_tree(folder: Path) -> None:
    for name in sorted(folder.rglob("*")):
        if name.is_file():
            with name.open("rb") as handle:
                os.fsync(handle.fileno())


def write_text(text: str, path: Path) -> None:
    """Write `text` to `path` as UTF-8 with "\\n" line ends, atomically."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that a stage wrote. Raises HgldError that names the stage when it is not there or not that."""
    again = f"run the stage that makes it: dvc repro {path.parent.name}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HgldError(f"no {path}; {again}") from None
    except json.JSONDecodeError as error:
        raise HgldError(f"{path}:{error.lineno}: not JSON: {error.msg}; {again}") from None
    except UnicodeDecodeError:
        raise HgldError(f"{path}: not JSON: not UTF-8; {again}") from None
    except (OSError, RecursionError) as error:
        raise HgldError(f"{path}: cannot be read: {error}; {again}") from None
    if not isinstance(content, dict):
        raise HgldError(f"{path}: expected a JSON object, found {type(content).__name__}; {again}")
    return content


def sha256(path: Path) -> str:
    """Lower-case hex SHA-256 of a file's bytes."""
    return _digest(path, "sha256")


def md5(path: Path) -> str:
    """Lower-case hex MD5 of a file's bytes (what GLDv2 publishes)."""
    return _digest(path, "md5")


def _digest(path: Path, name: str) -> str:
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, name).hexdigest()
