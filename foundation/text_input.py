"""Input from outside, read within bounds: text files (plain or gzipped), YAML, whole numbers."""

import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, reason

# How far a gzip file may expand: tables of text shrink to a third, at most to a twentieth.
_FREE_BYTES = 1 << 22
_MAX_RATIO = 50
_HEAD_BYTES = 64
# The first bytes of what is not UTF-8 text, and what to do.
_OTHER_KINDS = tuple(
    (re.compile(start, re.DOTALL | re.IGNORECASE), kind)
    for start, kind in (
        (rb"\xff\xfe|\xfe\xff|(?:[^\0]\0){4}|(?:\0[^\0]){4}", "UTF-16 text; save the file as UTF-8"),
        (rb"PK\x03\x04", "a ZIP archive, as .xlsx and .ods are; save the sheet as CSV (UTF-8), or unpack the archive"),
        (rb"\x1f\x8b", "compressed by gzip; unpack it, or give it a name that ends in .gz"),
        (rb"BZh\d|\xfd7zXZ\0|\x28\xb5\x2f\xfd", "compressed by bzip2, xz or zstd; unpack it"),
        (rb"PAR1\x15", "a Parquet table; export it as text"),
        (rb"version https://git-lfs", "a Git LFS pointer, which stands for the file; run: git lfs pull"),
        (rb"\s*<(?:!doctype )?html", "a web page; open the address in a browser, and download the file itself"),
    )
)
# Of a YAML file: far more than any file of settings has.
_MAX_CHARACTERS = 1 << 18
_MAX_DEPTH = 20
_MAX_VALUES = 20_000
# Characters that no file name and no UTF-8 text may have.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@contextmanager
def open_text(
    path: Path, newline: str | None = "", expected: str = "a CSV file", largest: int | None = None
) -> Iterator[TextIO]:
    """The UTF-8 text of a file (gunzipped if its name ends in `.gz`), without a byte order mark.

    newline: as for `open`; largest: the most bytes, for a text that is held in memory.

    Raises HgldError, also while the text is read, for a file that is missing, a folder, an endless device, unreadable,
    too large or not UTF-8 (with what it is, if its first bytes tell), and for a gzip file that is damaged or expands to
    far more than a table does.
    """
    shown = visible(str(path))
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                raise HgldError(f"{shown} is a device; {expected} was expected")
            if largest and status.st_size > largest:
                raise _too_large(shown, largest)
            if Path(path).suffix.lower() == ".gz":
                raw: IO[bytes] = io.BufferedReader(_Gunzipped(file, shown, largest), 1 << 16)
            else:
                raw = file
                _check_kind(shown, file.peek(_HEAD_BYTES)[:_HEAD_BYTES], expected)
            with io.TextIOWrapper(raw, encoding="utf-8-sig", newline=newline) as text:
                yield text
    except FileNotFoundError:
        raise HgldError(f"no file {shown}") from None
    except IsADirectoryError:
        raise HgldError(f"{shown} is a folder; {expected} was expected") from None
    except EOFError:
        raise HgldError(f"{shown}: the gzip file is truncated; download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise HgldError(f"{shown}: not a gzip file, or damaged ({reason(error)}); download it again") from None
    except UnicodeDecodeError:
        raise HgldError(f"{shown}: not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise HgldError(f"{shown}: cannot be read: {error.strerror or reason(error)}") from None


def _check_kind(path: str, head: bytes, expected: str) -> None:
    for pattern, kind in _OTHER_KINDS:
        if pattern.match(head):
            raise HgldError(f"{path}: expected {expected}, found {kind}")


def _too_large(path: str, largest: int) -> HgldError:
    return HgldError(f"{path}: more than {largest >> 20:,} MiB, which are held in memory at once; split the file")


class _Gunzipped(io.RawIOBase):
    """The decompressed bytes of a gzip file. Raises HgldError as soon as it expands to more than any table does."""

    def __init__(self, file: IO[bytes], path: str, largest: int | None) -> None:
        self._file, self._path, self._size, self._largest = file, path, 0, largest
        self._gzip = gzip.GzipFile(fileobj=file, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        data = self._gzip.read(len(buffer))
        buffer[: len(data)] = data
        self._size += len(data)
        if self._largest and self._size > self._largest:
            raise _too_large(self._path, self._largest)
        if self._size > _FREE_BYTES + _MAX_RATIO * self._file.tell():
            raise HgldError(
                f"{self._path}: the first {self._file.tell():,} bytes expand to more than {self._size >> 20} MiB; no "
                "table does that; if you trust the file, decompress it first"
            )
        return len(data)


def read_yaml(path: Path) -> Any:
    """The content of a YAML 1.2 file, as ruamel and DVC read it: PyYAML reads 1e-4 as text.

    The values that aliases repeat count as often as they stand there.

    Raises HgldError for a file that cannot be read, is not YAML, or is too large or too deeply nested.
    """
    with open_text(path, expected="a YAML file") as handle:
        return parse_yaml(handle.read(_MAX_CHARACTERS + 1), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The content of YAML 1.2 text, as `read_yaml`; where: what messages call it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > _MAX_CHARACTERS:
        raise HgldError(f"{where}: more than {_MAX_CHARACTERS:,} characters; expected a file of settings")
    try:
        _check_size(where, YAML(typ="safe", pure=True).parse(text))
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        # the last ones: of values that are no valid number or date, such as 2024-13-45
        fault = reason(error).replace(' in "<unicode string>"', "")
        raise HgldError(f"{where}: not YAML: {fault}") from None


def _check_size(path: str, events: Iterable[Any]) -> None:
    """Raise HgldError unless the values of a document are few, with its aliases expanded, and not nested deeply."""
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

    sizes: dict[str, int] = {}  # of the values that have an anchor
    open_sizes, open_anchors = [0], [""]
    for event in events:
        where = f"{path}:{event.start_mark.line + 1}"
        if isinstance(event, CollectionStartEvent):
            open_sizes.append(1)
            open_anchors.append(event.anchor or "")
        elif isinstance(event, CollectionEndEvent):
            size, anchor = open_sizes.pop(), open_anchors.pop()
            open_sizes[-1] += size
            sizes |= {anchor: size} if anchor else {}
        elif isinstance(event, ScalarEvent):
            if fault := _NO_TEXT.search(event.value):
                raise HgldError(f"{where}: the character {fault[0]!r} in a value; no setting may have it")
            open_sizes[-1] += 1
            sizes |= {event.anchor: 1} if event.anchor else {}
        elif isinstance(event, AliasEvent):
            if event.anchor in open_anchors:
                raise HgldError(f"{where}: *{event.anchor} is an alias of a value that it is in itself")
            open_sizes[-1] += sizes.get(event.anchor, 0)
        if len(open_sizes) > _MAX_DEPTH:
            raise HgldError(f"{where}: nested more than {_MAX_DEPTH} levels deep")
        if open_sizes[-1] > _MAX_VALUES:
            raise HgldError(f"{where}: more than {_MAX_VALUES:,} values, with those that aliases repeat")


def whole_number(text: str) -> int | None:
    """The number that `text` writes with 1 to 18 ASCII digits; None for anything else.

    `int` also accepts signs, spaces, underscores and the digits of other scripts, and fails at thousands of digits.

    >>> whole_number("0042"), whole_number("-1"), whole_number("٤٢"), whole_number("9" * 5000)
    (42, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
