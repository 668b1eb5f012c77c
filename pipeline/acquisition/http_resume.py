"""One file over HTTP into `NAME.part`, taken up where an earlier try or an earlier run was cut off."""

import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import requests

from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.pipeline.acquisition.retry import TransientError, patiently
from hgld.pipeline.acquisition.source import Source, length

_CHUNK = 1 << 18
# Slower than this over `timeout_s` is a stalled transfer: a new connection is quicker.
_SLOWEST = 1024
# A try that brought so many new bytes is not counted as a failed one.
_STEP = 1 << 20

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Version:
    """Which version of a file the bytes in a `.part` belong to, as the server named it."""

    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong ETag, else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class Part:
    """The bytes of a file that have come so far, beside where the file will stand, and what version they are of."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """How many bytes have come; 0 when nobody knows of what version they are."""
        return self.path.stat().st_size if self.path.is_file() and self._note.is_file() else 0

    @property
    def version(self) -> Version:
        """The version of the bytes."""
        try:
            return Version(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Version()

    def begin(self, version: Version) -> None:
        """Throw away the bytes and note the version of those that follow."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._note.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        write_text(json.dumps(asdict(version)) + "\n", self._note)

    def discard(self) -> None:
        """Throw everything away."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """Put the file in its place."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)


class Transferred(NamedTuple):
    """The ETag of what came, and whether it came in more than one piece, which may be of different versions."""

    etag: str | None
    continued: bool


def transfer(source: Source, name: str, part: Part, *, sure: bool, progress: Progress) -> Transferred:
    """Bring `part` to the whole of the file, from where it stands.

    sure: the caller checks the whole by its MD5, so that bytes without a validator may be continued too.
    progress: told how many bytes came, or (negative) were thrown away.

    Raises HgldError that says after how many tries, and keeps the part for the next run.
    """
    one = _Transfer(source, name, part, sure, progress)
    version = patiently(source.place(name), one.attempt, source.gate, source.retries, one.steps)
    return Transferred(version.etag, one.continued)


class _Transfer:
    def __init__(self, source: Source, name: str, part: Part, sure: bool, progress: Progress) -> None:
        self.source, self.name, self.part, self.sure, self.progress = source, name, part, sure, progress
        self.furthest, self.continued = 0, False

    def steps(self) -> int:
        """How far the transfer ever was, in steps."""
        return self.furthest // _STEP

    def attempt(self) -> Version:
        """One request, and its body to the end."""
        if self.part.size and not (self.sure or self.part.version.validator):
            self._drop()
        version, have = self.part.version, self.part.size
        self.continued = have > 0
        if have and have == version.size:
            return version
        headers = {}
        if have:
            headers["Range"] = f"bytes={have}-"
            if version.validator:
                headers["If-Range"] = version.validator
        with self.source.request(self.name, headers) as response:
            if self._body_follows(response, have):
                self._take(response)
        return self.part.version

    def _body_follows(self, response: requests.Response, have: int) -> bool:
        """Make the part ready for the body. False: it is whole already."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise HgldError(f"{response.url}: sent compressed although the file itself was asked for")
        if response.status_code == 200:
            self._drop()
            self.continued = False
            size = length(response)
            if (
                size is None
                and not self.sure
                and "chunked" not in response.headers.get("Transfer-Encoding", "")
            ):
                raise HgldError(
                    f"{response.url}: sent without a length, and no MD5 is published: it may not be whole"
                )
            tags = response.headers
            self.part.begin(Version(size, tags.get("ETag"), tags.get("Last-Modified")))
            return True
        if response.status_code == 206 and have:
            self._check_continues(response, have)
            return True
        if response.status_code == 416 and have:
            if response.headers.get("Content-Range") == f"bytes */{have}" and self.sure:
                return False
            self._drop()
            raise TransientError("the server has no bytes after those that came before; starting over")
        raise HgldError(f"{response.url}: HTTP {response.status_code} {response.reason}; a file was expected")

    def _check_continues(self, response: requests.Response, have: int) -> None:
        """Raise TransientError, with the part thrown away, unless the 206 goes on exactly where the part ends."""
        said = response.headers.get("Content-Range", "")
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said)
        version, etag = self.part.version, response.headers.get("ETag")
        wrong = ""
        if not span or int(span[1]) != have:
            wrong = f"the server sent 'Content-Range: {said}' when asked for the bytes from {have} on"
        elif version.size is not None and span[3] not in ("*", str(version.size)):
            wrong = f"the file had {version.size} bytes and now has {span[3]}"
        elif version.etag and etag and etag != version.etag:
            wrong = f"the file changed on the server (ETag {version.etag}, now {etag})"
        if wrong:
            self._drop()
            raise TransientError(f"{wrong}; starting over")

    def _take(self, response: requests.Response) -> None:
        """Append the body to the part."""
        stall = _Stall(self.source.timeout_s)
        with self.part.path.open("ab", buffering=0) as handle:
            # read1 gives what has come: a server that drips is seen to drip
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                _write(handle, chunk)
                self.progress(len(chunk))
                self.furthest = max(self.furthest, handle.tell())
                self.source.gate.sleep(0.0)
                stall.note(len(chunk))
        size, came = self.part.version.size, self.part.size
        if size is not None and came != size:
            if came > size:
                self._drop()
            raise TransientError(f"{came} of {size} bytes came")

    def _drop(self) -> None:
        self.progress(-self.part.size)
        self.part.discard()


class _Stall:
    """Raises TransientError when too little comes for too long; a socket's own timeout sees only silence."""

    def __init__(self, window_s: float) -> None:
        self.window_s, self.since, self.count = window_s, time.monotonic(), 0

    def note(self, count: int) -> None:
        """So many bytes came."""
        self.count += count
        now = time.monotonic()
        if now - self.since >= self.window_s:
            if self.count < _SLOWEST * self.window_s:
                raise TransientError(f"the transfer stalled ({self.count} bytes in {now - self.since:.0f} s)")
            self.since, self.count = now, 0


def _write(handle: io.FileIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[handle.write(view) :]
    except OSError as error:
        raise DiskError(f"cannot write {handle.name}: {error.strerror}; what has come is kept") from None


class DiskError(HgldError):
    """The disk is full or broken: there is no point in going on with other files."""
