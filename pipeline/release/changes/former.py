"""The version before: a folder, or the archive that `hgld archive` wrote, unpacked while it is read."""

import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hgld.foundation.errors import HgldError, lacks_memory, reason

ARCHIVE = ".zip"
_NAME = re.compile(r"[^/\\\0]+/([A-Za-z0-9][A-Za-z0-9._-]*)")
_MOST_BYTES = 1 << 35
# What zipfile raises for files that are no archives, cut off, encrypted, or damaged.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


def is_release(path: Path) -> bool:
    """Whether a path may be a release: a folder, or a file that is named like an archive."""
    return path.is_dir() or (path.suffix.lower() == ARCHIVE and path.is_file())


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder of a release; of an archive, a temporary one with its files.

    Raises HgldError for what is neither, and for an archive that is damaged or holds anything but the files of one
    folder.
    """
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise HgldError(f"no release {path}; give the folder of one, or the archive that hgld archive wrote")
    with tempfile.TemporaryDirectory(prefix="hgld-release-") as folder:
        target = Path(folder) / path.stem
        target.mkdir()
        try:
            _unpack(path, target)
        except _DAMAGED as fault:
            if lacks_memory(fault):
                raise
            raise HgldError(f"{path}: not an archive of a release: {reason(fault)}; download it again") from None
        yield target


def _unpack(path: Path, target: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            match = _NAME.fullmatch(member.filename)
            if not match:
                raise ValueError(f"it holds {member.filename[:80]!r}")
            if sum(own.file_size for own in members) > _MOST_BYTES:
                raise ValueError("it is larger than any release")
            with archive.open(member) as source, (target / match[1]).open("xb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
