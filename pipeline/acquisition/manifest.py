"""The record of a folder of downloads: origin, size and checksums of each file."""

import json
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hgld.foundation.errors import HgldError, reason
from hgld.foundation.files import write_text


@dataclass(frozen=True)
class Entry:
    """One file. No timestamp: the same files give the same manifest.

    md5_accepted: an MD5 that the user accepts besides the published one.
    """

    file: str
    url: str
    bytes: int
    etag: str | None
    md5_published: str | None
    md5_accepted: str | None
    md5: str
    sha256: str

    @property
    def verified(self) -> bool:
        """Whether the MD5 is the published one."""
        return self.md5 == self.md5_published


class Manifest:
    """`manifest.json`, rewritten after each file, so that it is up to date when a run is killed. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._entries = {entry.file: entry for entry in _read(path)}

    def get(self, file: str) -> Entry | None:
        """The entry of a file, from this run or an earlier one."""
        return self._entries.get(file)

    def add(self, entry: Entry) -> None:
        """Record a downloaded file."""
        with self._lock:
            if self._entries.get(entry.file) != entry:
                self._entries[entry.file] = entry
                self._write()

    def keep_only(self, files: list[str]) -> list[Entry]:
        """Drop the entries of all other files. Returns the rest in the order of `files`."""
        with self._lock:
            self._entries = {file: self._entries[file] for file in files}
            self._write()
            return list(self._entries.values())

    def _write(self) -> None:
        rows = [asdict(self._entries[file]) for file in sorted(self._entries)]
        write_text(json.dumps(rows, indent=2) + "\n", self._path)


def _read(path: Path) -> list[Entry]:
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise HgldError(
            f"{path}: not a manifest ({reason(error)}); delete it, and the files are verified again"
        ) from None
    # an entry with other fields or values is dropped: its file is verified again
    return [Entry(**row) for row in rows if _is_entry(row)] if isinstance(rows, list) else []


def _is_entry(row: object) -> bool:
    """Whether a value of the JSON is an entry, each field of its type."""
    types = {"bytes": (int,), "file": (str,), "url": (str,), "md5": (str,), "sha256": (str,)}
    return (
        isinstance(row, dict)
        and set(row) == {field.name for field in fields(Entry)}
        and all(isinstance(value, types.get(name, (str, type(None)))) for name, value in row.items())
    )
