"""One file over HTTP into `NAME.part`, resumed with a Range request where an earlier attempt or run was cut off."""

import io
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import requests

from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.pipeline.acquisition.retry import TransientError
from hgld.pipeline.acquisition.source import Source, content_length, unexpected_status

_CHUNK_BYTES = 1 << 18
# A slower transfer over `timeout_s` counts as stalled: a new connection is quicker.
_MIN_BYTES_PER_S = 1024
# An attempt that received this much more does not count as a failure.
_PROGRESS_BYTES = 1 << 20

Progress = Callable[[int], None]


class DiskError(HgldError):
    """The disk is full or broken, so other files would fail as well."""


@dataclass(frozen=True)
class Version:
    """The version of a file that the bytes in a `.part` file belong to, as the server identifies it."""

    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None

    @property
    def validator(self) -> str | None:
        """The value for If-Range: a strong ETag, else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class PartialFile:
    """The temporary file beside `target` with the bytes received so far, and the version that they belong to."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.path = target.with_name(f"{target.name}.part")
        self._version_file = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """The number of bytes received; 0 when their version is unknown."""
        return self.path.stat().st_size if self.path.is_file() and self._version_file.is_file() else 0

    @property
    def version(self) -> Version:
        """The version of the bytes."""
        try:
            return Version(**json.loads(self._version_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return Version()

    def begin(self, version: Version) -> None:
        """Delete the bytes, and record the version of those that follow."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._version_file.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        write_text(json.dumps(asdict(version)) + "\n", self._version_file)

    def discard(self) -> None:
        """Delete everything."""
        self._version_file.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def move_to_target(self) -> None:
        """Flush the file to the disk and rename it to `target`."""
        with self.path.open("rb") as handle:
            os.fsync(handle.fileno())
        self.path.replace(self._target)
        self._version_file.unlink(missing_ok=True)


class Transferred(NamedTuple):
    """The ETag of the file, and whether it was received in pieces, which may belong to different versions."""

    etag: str | None
    resumed: bool


def transfer(source: Source, name: str, partial: PartialFile, *, has_md5: bool, progress: Progress) -> Transferred:
    """Complete `partial`, from where it ends.

    has_md5: the caller verifies the file by its MD5, so that a transfer without a validator may be resumed, too.
    progress: called with the number of bytes received or (negative) discarded.

    Raises HgldError after the retries, and keeps the partial file for the next run.
    """
    state = _Transfer(source, name, partial, has_md5, progress)
    version = source.retrying(name, state.attempt, state.steps)
    return Transferred(version.etag, state.resumed)


class _Transfer:
    def __init__(self, source: Source, name: str, partial: PartialFile, has_md5: bool, progress: Progress) -> None:
        self.source, self.name, self.partial = source, name, partial
        self.has_md5, self.progress = has_md5, progress
        self.furthest, self.resumed = 0, False

    def steps(self) -> int:
        """The furthest point that the transfer has reached, in steps of `_PROGRESS_BYTES`."""
        return self.furthest // _PROGRESS_BYTES

    def attempt(self) -> Version:
        """Send one request and append its body to the partial file."""
        if self.partial.size and not (self.has_md5 or self.partial.version.validator):
            self._discard()
        version, offset = self.partial.version, self.partial.size
        self.resumed = offset > 0
        if offset and offset == version.size:
            return version
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if version.validator:
                headers["If-Range"] = version.validator
        with self.source.request(self.name, headers) as response:
            if self._accept_head(response, offset):
                self._append_body(response)
        return self.partial.version

    def _accept_head(self, response: requests.Response, offset: int) -> bool:
        """Prepare the partial file for the body that follows. False: the partial file is complete already."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise HgldError(f"{response.url}: sent compressed although `identity` was requested")
        if response.status_code == 200:
            self._restart(response)
            return True
        if response.status_code == 206 and offset:
            self._check_range(response, offset)
            return True
        if response.status_code == 416 and offset:
            if response.headers.get("Content-Range") == f"bytes */{offset}" and self.has_md5:
                return False
            self._discard()
            raise TransientError("the server has no bytes after those received before; starting over")
        raise unexpected_status(response)

    def _restart(self, response: requests.Response) -> None:
        """Start over with the whole file of a 200. Raises HgldError when its completeness could not be verified."""
        self._discard()
        self.resumed = False
        size, headers = content_length(response), response.headers
        if size is None and not self.has_md5 and "chunked" not in headers.get("Transfer-Encoding", ""):
            raise HgldError(f"{response.url}: sent without a length, and no MD5 is published: it may be incomplete")
        self.partial.begin(Version(size, headers.get("ETag"), headers.get("Last-Modified")))

    def _check_range(self, response: requests.Response, offset: int) -> None:
        """Discard the partial file and raise TransientError unless the body of a 206 continues it exactly."""
        content_range = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", content_range)
        version, etag = self.partial.version, response.headers.get("ETag")
        fault = ""
        if not match or int(match[1]) != offset:
            fault = f"the server sent 'Content-Range: {content_range}' for a request from byte {offset}"
        elif version.size is not None and match[3] not in ("*", str(version.size)):
            fault = f"the file had {version.size} bytes and now has {match[3]}"
        elif version.etag and etag and etag != version.etag:
            fault = f"the file changed on the server (ETag {version.etag}, now {etag})"
        if fault:
            self._discard()
            raise TransientError(f"{fault}; starting over")

    def _append_body(self, response: requests.Response) -> None:
        stall = _StallDetector(self.source.timeout_s)
        with self.partial.path.open("ab", buffering=0) as handle:
            # read1 returns what has arrived, so that a slow transfer is noticed
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
                _write(handle, chunk)
                self.progress(len(chunk))
                self.furthest = max(self.furthest, handle.tell())
                self.source.limiter.check()
                stall.add(len(chunk))
        expected, received = self.partial.version.size, self.partial.size
        if expected is not None and received != expected:
            if received > expected:
                self._discard()
            raise TransientError(f"received {received} of {expected} bytes")

    def _discard(self) -> None:
        self.progress(-self.partial.size)
        self.partial.discard()


class _StallDetector:
    """Raises TransientError when too little arrives for `window_s`; a socket's own timeout only notices silence."""

    def __init__(self, window_s: float) -> None:
        self.window_s, self.since, self.received = window_s, time.monotonic(), 0

    def add(self, count: int) -> None:
        """Count received bytes."""
        self.received += count
        elapsed = time.monotonic() - self.since
        if elapsed >= self.window_s:
            if self.received < _MIN_BYTES_PER_S * self.window_s:
                raise TransientError(f"the transfer stalled ({self.received} bytes in {elapsed:.0f} s)")
            self.since, self.received = self.since + elapsed, 0


def _write(handle: io.FileIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[handle.write(view) :]
    except OSError as error:
        raise DiskError(
            f"cannot write {handle.name}: {error.strerror}; free some space and run it again: what was received is kept"
        ) from None
