"""Thumbnails from Wikimedia Commons: their URLs, and a client that keeps the rules of its servers.

The rules: a contact address in the user agent, standard widths only, few requests at a time, Retry-After.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from hgld.foundation.errors import HgldError
from hgld.foundation.tar_images import UnreadableImageError, decode
from hgld.pipeline.acquisition.retry import (
    BusyError,
    RateLimiter,
    StoppedError,
    TransientError,
    call_with_retries,
    retry_after,
)
from hgld.pipeline.acquisition.source import content_length

COMMONS = "https://upload.wikimedia.org"
# $wgThumbnailSteps of Wikimedia, and the width at which it prepares thumbnails of other widths.
WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280)
FORMATS = ("JPEG", "PNG", "WEBP")
PARALLEL = 2
MAX_BYTES = 5_000_000

_ORIGINAL = re.compile(
    r"https?://upload\.wikimedia\.org/wikipedia/commons/(([0-9a-f])/\2[0-9a-f])/([^/?#]+\.([A-Za-z]+))", re.ASCII
)
# Extension → what MediaWiki writes before the width, and after the name of a thumbnail that has another format.
_NAMES = {
    "jpg": ("", ""),
    "jpeg": ("", ""),
    "png": ("", ""),
    "svg": ("", ".png"),
    "tif": ("lossy-page1-", ".jpg"),
    "tiff": ("lossy-page1-", ".jpg"),
    "pdf": ("page1-", ".jpg"),
}
# In bytes. The thumbnail of a file with a longer name is called "thumbnail" (abbrvThreshold of Wikimedia).
_LONGEST_NAME = 160
_SMALLER_WIDTHS = 2
_MAX_REDIRECTS = 3
_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_NO_SUCH_WIDTH = {400, 404, 410}
_REDIRECTS = {301, 302, 303, 307, 308}
_SIGNATURES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF.{4}WEBP", re.DOTALL)
_LONGEST_S = 60.0
_CHUNK_BYTES = 1 << 16


def thumbnail_url(url: str, width: int) -> str | None:
    """The URL of the thumbnail of an image on Wikimedia Commons; None for other hosts, and kinds without thumbnails.

    >>> thumbnail_url("https://upload.wikimedia.org/wikipedia/commons/a/ab/Caf%C3%A9.tif", 500)
    'https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/Caf%C3%A9.tif/lossy-page1-500px-Caf%C3%A9.tif.jpg'
    """
    match = _ORIGINAL.fullmatch(url)
    extension = match[4].lower() if match else ""
    if not match or extension not in _NAMES:
        return None
    before, after = _NAMES[extension]
    name = quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", match[3]), safe="!$%&'()*+,;=:@~")
    short = name if len(unquote_to_bytes(name)) <= _LONGEST_NAME else f"thumbnail.{extension}"
    return f"{COMMONS}/wikipedia/commons/thumb/{match[1]}/{name}/{before}{width}px-{short}{after}"


def widths_to_try(width: int) -> list[int]:
    """A standard width and the next smaller ones: an original has no thumbnail that is wider than itself.

    >>> widths_to_try(500), widths_to_try(40)
    ([500, 330, 250], [40, 20])
    """
    return [smaller for smaller in reversed(WIDTHS) if smaller <= width][: _SMALLER_WIDTHS + 1]


def image_fault(data: bytes) -> str:
    """What is wrong with the bytes of a thumbnail; "" for a JPEG, PNG or WebP that can be decoded."""
    if not _SIGNATURES.match(data):
        return "not a JPEG, PNG or WebP file"
    try:
        decode(data, FORMATS)
    except UnreadableImageError as error:
        return str(error)
    return ""


def utc_day() -> str:
    """Today in UTC, as 2026-01-31."""
    return datetime.now(UTC).date().isoformat()


class BudgetSpentError(HgldError):
    """All requests of this day have been sent."""


class Budget:
    """The requests that may be sent per UTC day, by all threads together.

    used: day → the requests that earlier runs sent.
    """

    def __init__(self, limit: int, used: Mapping[str, int], today: Callable[[], str] = utc_day) -> None:
        self._limit, self._used, self._today = limit, dict(used), today
        self._lock = threading.Lock()

    @property
    def spent(self) -> bool:
        """Whether no request is left today."""
        return self._used.get(self._today(), 0) >= self._limit

    def take(self) -> None:
        """Count a request before it is sent. Raises BudgetSpentError."""
        with self._lock:
            if self.spent:
                raise BudgetSpentError(f"the {self._limit:,} requests of this day have been sent")
            day = self._today()
            self._used[day] = self._used.get(day, 0) + 1


class Fetched(NamedTuple):
    """The outcome for one image, and the number of requests that it took.

    status: ok, missing, broken, or unfinished (the budget is spent, the run was stopped, or the retries are exhausted).
    url, width: of the thumbnail that was tried last; fault: why there is none; fatal: so would be the next request.
    """

    status: str
    url: str
    width: int
    requests: int
    data: bytes = b""
    fault: str = ""
    fatal: bool = False


class _BrokenError(HgldError):
    """The server answered with something that is no thumbnail."""


class _RefusedError(HgldError):
    """The server does not answer this client, or asks it to come back later."""


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: `_Fetch` follows redirects itself; even where they are not allowed, requests parses the target."""
        return None


class ThumbnailClient:
    """Fetches thumbnails within a budget. Safe to use from PARALLEL threads, whose requests are `pause_s` apart.

    base_url: replaces the scheme and host of Wikimedia, for tests.
    """

    def __init__(
        self,
        user_agent: str,
        budget: Budget,
        *,
        base_url: str = COMMONS,
        pause_s: float = 0.5,
        retries: int = 3,
        timeout_s: float = 30.0,
    ) -> None:
        self.limiter = RateLimiter()
        self.budget, self.base_url = budget, base_url.rstrip("/")
        self.pause_s, self.retries, self.timeout_s = pause_s, retries, timeout_s
        self.session = _Session()
        self.session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=PARALLEL))

    def fetch(self, url: str, width: int) -> Fetched:
        """The thumbnail of the image at `url`, of a standard width or the widest of the next two smaller ones."""
        return _Fetch(self, url, width).run()


class _Fetch:
    """The requests for one image."""

    def __init__(self, client: ThumbnailClient, original: str, width: int) -> None:
        self._client, self._original = client, original
        self._url, self._width = "", width
        self._requests, self._status = 0, 0

    def run(self) -> Fetched:
        if self._client.budget.spent or self._client.limiter.stopped:
            return self._outcome("unfinished")
        try:
            return self._any_width()
        except _BrokenError as error:
            return self._outcome("broken", fault=f"{self._url}: {error}")
        except (BudgetSpentError, StoppedError):
            return self._outcome("unfinished")
        except HgldError as error:
            fatal = isinstance(error, _RefusedError) or self._status == 429
            return self._outcome("unfinished", fault=str(error), fatal=fatal)

    def _outcome(self, status: str, data: bytes = b"", fault: str = "", fatal: bool = False) -> Fetched:
        return Fetched(status, self._url, self._width, self._requests, data, fault, fatal)

    def _any_width(self) -> Fetched:
        for width in widths_to_try(self._width):
            self._width = width
            self._url = thumbnail_url(self._original, width) or ""
            data = self._follow(self._client.base_url + self._url.removeprefix(COMMONS))
            if data is not None:
                fault = image_fault(data)
                return self._outcome("broken", fault=f"{self._url}: {fault}") if fault else self._outcome("ok", data)
        return self._outcome("missing")

    def _follow(self, address: str) -> bytes | None:
        """The body at an address; redirects are followed on the same host only. None: there is no such width."""
        client = self._client
        for _ in range(_MAX_REDIRECTS + 1):
            answer = call_with_retries(
                partial(self._attempt, address), address, client.limiter, client.retries, pause_s=client.pause_s
            )
            if not isinstance(answer, str):
                return answer
            address = _same_host(address, answer)
        raise _BrokenError(f"redirected more than {_MAX_REDIRECTS} times")

    def _attempt(self, address: str) -> bytes | str | None:
        """Send one request. The body, the target of a redirect, or None where there is no such width."""
        self._client.budget.take()
        self._requests += 1
        self._status = 0
        try:
            with self._client.session.get(
                address, stream=True, timeout=self._client.timeout_s, allow_redirects=False
            ) as response:
                self._status = response.status_code
                return _answer(response)
        except (urllib3.exceptions.HTTPError, requests.RequestException) as error:
            raise TransientError(f"the connection failed ({type(error).__name__})") from None


def _same_host(address: str, location: str) -> str:
    """The target of a redirect."""
    try:
        target = urljoin(address, location)
        same = urlsplit(target)[:2] == urlsplit(address)[:2]
    except ValueError:
        same = False
    if not same:
        raise _BrokenError(f"redirected to another host: {location[:200]}")
    return target


def _answer(response: requests.Response) -> bytes | str | None:
    status, what = response.status_code, f"HTTP {response.status_code} {response.reason}"
    if status in _TRANSIENT_STATUSES:
        try:
            seconds = retry_after(response.url, response.headers.get("Retry-After"))
        except HgldError as error:
            raise _RefusedError(str(error)) from None
        raise BusyError(what, seconds)
    if status in (401, 403):
        raise _RefusedError(f"{response.url}: refused ({what}); is the contact address in --user-agent right?")
    if status in _NO_SUCH_WIDTH:
        return None
    if status in _REDIRECTS:
        return response.headers.get("Location", "")
    if status != 200:
        raise _BrokenError(what)
    return _body(response)


def _body(response: requests.Response) -> bytes:
    """At most MAX_BYTES. Raises TransientError for a body that is cut off or slow."""
    announced, data, end = content_length(response), bytearray(), time.monotonic() + _LONGEST_S
    if announced is not None and announced > MAX_BYTES:
        raise _BrokenError(f"{announced:,} bytes are too many")
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        data += chunk
        if len(data) > MAX_BYTES:
            raise _BrokenError(f"more than {MAX_BYTES:,} bytes")
        if time.monotonic() > end:
            raise TransientError(f"not complete after {_LONGEST_S:.0f} s")
    if announced is not None and len(data) != announced:
        raise TransientError(f"received {len(data)} of {announced} bytes")
    return bytes(data)
