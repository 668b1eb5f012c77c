"""The pictures of `hgld thumbnails`, data/P/thumbnails/ab/ab….jpg, and their record, manifest.csv."""

import threading
from collections import Counter
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv, write_csv
from hgld.foundation.text_input import whole_number

_UNSAVED = 20


@dataclass(frozen=True)
class Thumbnail:
    """A row of the manifest. url, width: of the thumbnail; for a skipped image, its own URL.

    status: ok, missing (the server has none), broken (it sent no picture), skipped (not on Wikimedia Commons), or
    unfinished (the next run tries again). requests: those that were sent for it on the UTC day fetched_on.
    """

    id: str
    url: str
    width: int
    bytes: int
    md5: str
    status: str
    fetched_on: str
    author: str = ""
    title: str = ""
    license: str = ""
    requests: int = 0


COLUMNS = [field.name for field in fields(Thumbnail)]
_NUMBERS = [field.name for field in fields(Thumbnail) if field.type is int]


class ThumbnailFolder:
    """The pictures and the rows by id. Thread-safe.

    The manifest is written after 20 pictures and after each row without one: a picture that a killed run stored, and
    did not record, is on disk.
    """

    def __init__(self, params: Params) -> None:
        self.path = params.data / "thumbnails"
        self._manifest = self.path / "manifest.csv"
        self._rows = _read(self._manifest)
        self._unsaved, self._lock = 0, threading.Lock()

    def picture(self, image_id: str) -> Path:
        """Where a picture is stored."""
        return self.path / image_id[:2] / f"{image_id}.jpg"

    def get(self, image_id: str) -> Thumbnail | None:
        """The row of an image."""
        return self._rows.get(image_id)

    def fetched(self) -> set[str]:
        """The images that have a picture here, by the manifest."""
        return {row.id for row in self._rows.values() if row.status == "ok"}

    def requests(self) -> Counter[str]:
        """UTC day → the requests that were sent on it."""
        used = Counter[str]()
        for row in self._rows.values():
            used[row.fetched_on] += row.requests
        return used

    def store(self, image_id: str, data: bytes) -> None:
        """Write the bytes of a picture."""
        with replacing(self.picture(image_id)) as part:
            part.write_bytes(data)

    def add(self, *rows: Thumbnail) -> None:
        """Record images."""
        with self._lock:
            self._rows.update({row.id: row for row in rows})
            self._unsaved += len(rows)
            if self._unsaved >= _UNSAVED or any(row.status != "ok" for row in rows):
                self._write()

    def save(self) -> None:
        """Write the manifest if it has changed."""
        with self._lock:
            if self._unsaved:
                self._write()

    def _write(self) -> None:
        rows = [astuple(self._rows[image_id]) for image_id in sorted(self._rows)]
        write_csv(pd.DataFrame(rows, columns=COLUMNS), self._manifest)
        self._unsaved = 0


def _read(path: Path) -> dict[str, Thumbnail]:
    if not path.is_file():
        return {}
    table = read_csv(path, COLUMNS)
    numbers = {name: [whole_number(text) for text in table[name]] for name in _NUMBERS}
    wrong = [name for name in _NUMBERS if None in numbers[name]]
    if wrong or not table["id"].str.fullmatch("[0-9a-f]{16}").all() or not table["id"].is_unique:
        raise HgldError(f"{path}: not a manifest of thumbnails ({', '.join(wrong) or 'id'}); restore it, or delete it")
    columns = [numbers.get(name, table[name]) for name in COLUMNS]
    rows = [Thumbnail(*values) for values in zip(*columns, strict=True)]
    return {row.id: row for row in rows}
