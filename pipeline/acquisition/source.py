"""Where GLDv2's files come from: its server, asked again when that may help, or a folder laid out like it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.retry import Gate, TransientError, patiently, retry_after

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
# S3 answers 403 for a key that is not there
_MISSING = {403, 404, 410}
_LISTING_BYTES = 1 << 16


class Facts(NamedTuple):
    """What a source says of a file before it is fetched; None: it does not say."""

    size: int | None = None
    etag: str | None = None


class Source:
    """A server (https base URL) or a local folder; names are paths below it, such as `metadata/train.csv`."""

    def __init__(self, base: str, timeout_s: float = 30.0, retries: int = 3, parallel: int = 4) -> None:
        if not base.strip():
            raise HgldError("the source is empty; give an https URL or a folder laid out like GLDv2's server")
        self.base, self.timeout_s, self.retries, self.parallel = base, timeout_s, retries, parallel
        self.remote = urlsplit(base).scheme in ("http", "https")
        self.gate = Gate()
        if self.remote:
            _refuse_plain_http(base)
        elif not Path(base).is_dir():
            raise HgldError(f"no folder {base}; give an https URL or a folder laid out like GLDv2's server")
        self._session = _Session()
        # offsets and checksums are those of the file, not of a compressed copy
        self._session.headers.update({"User-Agent": "hgld", "Accept-Encoding": "identity"})
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=parallel))

    def place(self, name: str) -> str:
        """The full URL or path of a file, for messages."""
        return f"{self.base.rstrip('/')}/{name}"

    def path(self, name: str) -> Path:
        """Where a local source has the file. Raises HgldError when it is not there."""
        path = Path(self.base) / name
        if not path.is_file():
            raise MissingError(f"no file {path}; is {self.base} a complete copy?")
        return path

    def facts(self, name: str) -> Facts:
        """The file's size and ETag as far as the source says them before the file is fetched.

        Raises MissingError when there is no such file, HgldError when the server cannot be reached.
        """
        if not self.remote:
            return Facts(self.path(name).stat().st_size)

        def attempt() -> Facts:
            with self.request(name, method="HEAD") as response:
                if response.status_code != 200:
                    return Facts()  # not every server answers HEAD: the size is then not known beforehand
                return Facts(length(response), response.headers.get("ETag"))

        return patiently(self.place(name), attempt, self.gate, self.retries)

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file, or None when the source says that there is none."""
        try:
            if not self.remote:
                return self.path(name).read_bytes()

            def attempt() -> bytes:
                with self.request(name) as response:
                    if response.status_code != 200:
                        raise _unexpected(response)
                    body = next(response.iter_content(_LISTING_BYTES), b"")
                    announced = length(response)
                    if announced is not None and len(body) < min(announced, _LISTING_BYTES):
                        raise TransientError(f"the body ended after {len(body)} of {announced} bytes")
                    return body

            return patiently(self.place(name), attempt, self.gate, self.retries)
        except MissingError:
            return None

    @contextmanager
    def request(
        self, name: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Iterator[requests.Response]:
        """One request; the body is not read yet.

        Raises TransientError for what may pass (network faults, also those while the caller reads the body; 429, 5xx),
        MissingError when there is no such file.
        """
        place = self.place(name)
        self.gate.pass_through()
        try:
            with self._session.request(
                method, place, headers=headers, stream=True, timeout=self.timeout_s, allow_redirects=True
            ) as response:
                status = response.status_code
                if status in _TRANSIENT:
                    wait = retry_after(place, response.headers)
                    self.gate.shut_for(wait)
                    raise TransientError(f"HTTP {status} {response.reason}", wait)
                if status in _MISSING:
                    raise MissingError(f"{place}: HTTP {status} {response.reason}; a file was expected")
                yield response
        except (requests.ConnectionError, requests.Timeout) as error:
            raise TransientError(f"the connection failed ({_first_cause(error)})") from None
        except (urllib3.exceptions.HTTPError, requests.RequestException) as error:
            raise TransientError(f"the transfer broke off ({_first_cause(error)})") from None


class MissingError(HgldError):
    """A source that answers says that it does not have the file, or does not give it."""


def length(response: requests.Response) -> int | None:
    """The Content-Length that a response announces."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def published_md5(source: Source, name: str) -> str | None:
    """The MD5 published for `train/images_000.tar` in `md5sum/train/md5.images_000.txt` (None: there is none).

    Raises HgldError when that file holds something else.
    """
    path = Path(name)
    stem = path.stem if path.suffix == ".tar" else path.name
    listing = f"md5sum/{path.parent}/md5.{stem}.txt"
    text = source.read(listing)
    if text is None:
        return None
    found = re.match(rb"([0-9a-fA-F]{32})(?:\s+\*?(\S+))?\s*$", text.strip())
    if not found:
        raise HgldError(f"{source.place(listing)}: expected an MD5, found {text[:60]!r}")
    if found[2] and Path(found[2].decode(errors="replace")).name != path.name:
        raise HgldError(f"{source.place(listing)}: expected the MD5 of {path.name}, found {text[:80]!r}")
    return found[1].decode().lower()


def _unexpected(response: requests.Response) -> HgldError:
    return HgldError(f"{response.url}: HTTP {response.status_code} {response.reason}; a file was expected")


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target:
            _refuse_plain_http(urljoin(resp.url, target))
        return target


def _refuse_plain_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise HgldError(f"{url}: plain http is not accepted; use https, or a local folder")


def _first_cause(error: BaseException) -> str:
    """The innermost reason in a chain of exceptions, without the object addresses of the outer ones."""
    reason: object = error
    while isinstance(reason, Exception):
        inner = getattr(reason, "reason", None) or (reason.args[-1] if reason.args else None)
        if not isinstance(inner, Exception):
            break
        reason = inner
    return (
        re.sub(r"^<[^>]*>:?\s*|HTTPS?Connection(Pool)?\([^)]*\):\s*", "", str(reason)) or type(error).__name__
    )
