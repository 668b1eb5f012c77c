"""Where GLDv2's files come from: its server, or a local folder with the same layout."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from hgld.foundation.errors import HgldError
from hgld.foundation.text_input import whole_number
from hgld.pipeline.acquisition.retry import (
    BusyError,
    RateLimiter,
    Result,
    TransientError,
    call_with_retries,
    retry_after,
)

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_MISSING_STATUSES = {403, 404, 410}  # S3 answers 403 for a key that does not exist
_MAX_SMALL_FILE_BYTES = 1 << 16


class MissingError(HgldError):
    """The source does not have the file, or refuses it."""


class RemoteFile(NamedTuple):
    """What a source says about a file before it is downloaded; None where it says nothing."""

    size: int | None = None
    etag: str | None = None


class Source:
    """A server (https base URL) or a local folder; names are paths below it, such as `metadata/train.csv`."""

    def __init__(self, base: str, timeout_s: float = 30.0, retries: int = 3, parallel: int = 4) -> None:
        if not base.strip():
            raise HgldError("the source is empty; give an https URL or a folder laid out like GLDv2's server")
        self.base, self.timeout_s, self.retries, self.parallel = base, timeout_s, retries, parallel
        self.remote = urlsplit(base).scheme in ("http", "https")
        self.limiter = RateLimiter()
        if self.remote:
            _refuse_plain_http(base)
        elif not Path(base).is_dir():
            raise HgldError(f"no folder {base}; give an https URL or a folder laid out like GLDv2's server")
        self._session = _HttpsSession()
        # offsets and checksums are those of the file, not of a compressed copy
        self._session.headers.update({"User-Agent": "hgld", "Accept-Encoding": "identity"})
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=parallel))

    def location(self, name: str) -> str:
        """The full URL or path of a file."""
        return f"{self.base.rstrip('/')}/{name}"

    def path(self, name: str) -> Path:
        """The path of a file of a local source. Raises MissingError."""
        path = Path(self.base) / name
        if not path.is_file():
            raise MissingError(f"no file {path}; is {self.base} a complete copy?")
        return path

    def stat(self, name: str) -> RemoteFile:
        """The size and ETag that the source announces for a file.

        Raises MissingError when there is no such file, HgldError when the server cannot be reached.
        """
        if not self.remote:
            return RemoteFile(self.path(name).stat().st_size)

        def attempt() -> RemoteFile:
            with self.request(name, method="HEAD") as response:
                if response.status_code != 200:
                    return RemoteFile()  # not every server supports HEAD
                return RemoteFile(content_length(response), response.headers.get("ETag"))

        return self.retrying(name, attempt)

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None when the source does not have it."""

        def attempt() -> bytes:
            with self.request(name) as response:
                if response.status_code != 200:
                    raise unexpected_status(response)
                body = next(response.iter_content(_MAX_SMALL_FILE_BYTES), b"")
                announced = content_length(response)
                if announced is not None and len(body) < min(announced, _MAX_SMALL_FILE_BYTES):
                    raise TransientError(f"the body ended after {len(body)} of {announced} bytes")
                return body

        try:
            return self.retrying(name, attempt) if self.remote else self.path(name).read_bytes()
        except MissingError:
            return None

    def retrying(self, name: str, attempt: Callable[[], Result], progress: Callable[[], int] = lambda: 0) -> Result:
        """`call_with_retries` with the settings of this source."""
        return call_with_retries(attempt, self.location(name), self.limiter, self.retries, progress=progress)

    @contextmanager
    def request(
        self, name: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Iterator[requests.Response]:
        """One request, whose body is not read yet.

        Raises TransientError for network faults, also those while the caller reads the body, and for 429 and 5xx;
        MissingError when there is no such file.
        """
        location = self.location(name)
        try:
            with self._session.request(
                method, location, headers=headers, stream=True, timeout=self.timeout_s, allow_redirects=True
            ) as response:
                status = response.status_code
                if status in _TRANSIENT_STATUSES:
                    seconds = retry_after(location, response.headers.get("Retry-After"))
                    raise BusyError(f"HTTP {status} {response.reason}", seconds)
                if status in _MISSING_STATUSES:
                    raise MissingError(f"{location}: expected a file, got HTTP {status} {response.reason}")
                yield response
        except (requests.ConnectionError, requests.Timeout) as error:
            raise TransientError(f"the connection failed ({_root_cause(error)})") from None
        except (urllib3.exceptions.HTTPError, requests.RequestException) as error:
            raise TransientError(f"the transfer was interrupted ({_root_cause(error)})") from None


def content_length(response: requests.Response) -> int | None:
    """The Content-Length of a response; None without a valid one."""
    return whole_number(response.headers.get("Content-Length", ""))


def published_md5(source: Source, name: str) -> str | None:
    """The MD5 published for `train/images_000.tar` in `md5sum/train/md5.images_000.txt`; None where there is none.

    Raises HgldError when that file holds something else.
    """
    path = Path(name)
    stem = path.stem if path.suffix == ".tar" else path.name
    listing = f"md5sum/{path.parent}/md5.{stem}.txt"
    text = source.read(listing)
    if text is None:
        return None
    match = re.match(rb"([0-9a-fA-F]{32})(?:\s+\*?(\S+))?\s*$", text.strip())
    if not match:
        raise HgldError(f"{source.location(listing)}: expected an MD5, found {text[:60]!r}")
    if match[2] and Path(match[2].decode(errors="replace")).name != path.name:
        raise HgldError(f"{source.location(listing)}: expected the MD5 of {path.name}, found {text[:80]!r}")
    return match[1].decode().lower()


def unexpected_status(response: requests.Response) -> HgldError:
    """The error for a status that no retry will change."""
    return HgldError(f"{response.url}: expected a file, got HTTP {response.status_code} {response.reason}")


class _HttpsSession(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target:
            _refuse_plain_http(urljoin(resp.url, target))
        return target


def _refuse_plain_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise HgldError(f"{url}: plain http is not accepted; use https, or a local folder")


def _root_cause(error: BaseException) -> str:
    """The message of the innermost exception in a chain, without the object addresses of the outer ones."""
    cause: object = error
    while isinstance(cause, Exception):
        inner = getattr(cause, "reason", None) or (cause.args[-1] if cause.args else None)
        if not isinstance(inner, Exception):
            break
        cause = inner
    message = re.sub(r"^<[^>]*>:?\s*|HTTPS?Connection(Pool)?\([^)]*\):\s*", "", str(cause))
    return message or type(error).__name__
