"""Requests to Zenodo: its REST API as JSON, the token, retries, and one line for each kind of refusal."""

import os
import re
from collections.abc import Callable, Mapping
from typing import IO, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from hgld.foundation.errors import HgldError, reason
from hgld.pipeline.acquisition.retry import BusyError, RateLimiter, TransientError, call_with_retries, retry_after

SITES = {"": "https://zenodo.org", "sandbox": "https://sandbox.zenodo.org"}
# Another installation of Zenodo's software.
_ENDPOINT, _TOKEN = "ZENODO_ENDPOINT", "ZENODO_TOKEN"
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_TIMEOUT_S = (20, 300)
_MAX_REDIRECTS = 3
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE, _BUSY = 401, 403, 404, 413, 429


Result = TypeVar("Result")


class ZenodoApi:
    """One installation of Zenodo, and the token for it, which goes to this installation only."""

    def __init__(self, site: str, *, retries: int) -> None:
        self.base = (os.environ.get(_ENDPOINT) or SITES[site]).rstrip("/")
        parts = urlsplit(self.base)
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            raise HgldError(f"{_ENDPOINT}={self.base}: expected an address with https, as a token is sent to it")
        self._token = os.environ.get(_TOKEN, "").strip()
        self._retries, self._limiter = retries, RateLimiter()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "hgld"

    @property
    def has_token(self) -> bool:
        """Whether ZENODO_TOKEN is set."""
        return bool(self._token)

    def check_token(self) -> None:
        """Raise HgldError without a token."""
        if not self._token:
            raise HgldError(
                f"no token for {self.base}; set {_TOKEN} to one of {self.base}/account/settings/applications/ with the "
                "scope deposit:write"
            )

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON at a path below the address, or at a link that the server gave. None where nothing is there."""
        return self._json("GET", path, params=query, missing=True)

    def post_once(self, path: str, content: Mapping[str, Any] | None = None) -> Any:
        """The answer to JSON that was posted. Raises TransientError: posted again, it would be done twice."""
        return self._attempt("POST", self._checked(path), False, {"json": content or {}})

    def retrying(self, action: Callable[[], Result], where: str) -> Result:
        """What `action` returns; it is called again after a TransientError."""
        return call_with_retries(action, where, self._limiter, self._retries)

    def put(self, path: str, content: Mapping[str, Any]) -> Any:
        """The answer to JSON that was put."""
        return self._json("PUT", path, json=content)

    def delete(self, path: str) -> None:
        """Delete what is at a path; it may be gone already."""
        self._json("DELETE", path, missing=True)

    def upload(self, path: str, handle: IO[bytes]) -> Any:
        """The answer to the bytes of a file; a retry sends them from the start."""
        return self._json("PUT", path, data=handle, headers={"Content-Type": "application/octet-stream"})

    def _json(self, method: str, path: str, *, missing: bool = False, **arguments: Any) -> Any:
        url = self._checked(path)
        return self.retrying(lambda: self._attempt(method, url, missing, arguments), f"{method} {url}")

    def _checked(self, path: str) -> str:
        """The address of a path or link. Raises HgldError for another server, which must not get the token."""
        url = urljoin(f"{self.base}/", path)
        if urlsplit(url)[:2] != urlsplit(self.base)[:2]:
            raise HgldError(f"{self.base} answers with a link to another server: {url[:200]}; nothing was sent to it")
        return url

    def _attempt(self, method: str, url: str, missing: bool, arguments: dict[str, Any]) -> Any:
        response = self._answer(method, url, arguments)
        status = response.status_code
        if missing and status == _NOT_FOUND:
            return None
        if status == _BUSY or status >= 500:
            wait = retry_after(url, response.headers.get("Retry-After"))
            raise BusyError(f"HTTP {status}{self._said(response)}", wait)
        if not response.ok or response.is_redirect:
            raise HgldError(f"{method} {url}: HTTP {status}{self._said(response)}: {self._remedy(status)}")
        if not response.content:
            return {}
        try:
            return response.json()
        except ValueError:
            raise HgldError(
                f"{method} {url}: the answer is no JSON; a proxy or a login page may be answering; check the address"
            ) from None

    def _answer(self, method: str, url: str, arguments: dict[str, Any]) -> requests.Response:
        """The response, of the last redirect for a GET: redirects are followed on this server only."""
        if "data" in arguments:
            arguments["data"].seek(0)
        try:
            for _ in range(_MAX_REDIRECTS):
                response = self._session.request(
                    method, url, auth=self._authorize, timeout=_TIMEOUT_S, allow_redirects=False, **arguments
                )
                if method != "GET" or not response.is_redirect:
                    break
                url = self._checked(urljoin(url, response.headers["Location"]))
            return response
        except (requests.RequestException, OSError) as error:
            raise TransientError(f"no connection ({self._safe(_cause(error))})") from None

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """As `auth`, so that no entry of a .netrc takes the place of the token."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _remedy(self, status: int) -> str:
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            return (
                f"{_TOKEN} is not valid here or lacks the scope deposit:write; make one at "
                f"{self.base}/account/settings/applications/"
            )
        if status == _NOT_FOUND:
            return "not found; was the draft deleted? run the command again"
        if status == _TOO_LARGE:
            return "the archive is larger than Zenodo accepts; ask its support for a larger quota"
        return "Zenodo refuses it"

    def _said(self, response: requests.Response) -> str:
        """What the server says about an error, after a space and in brackets."""
        try:
            content = response.json()
        except ValueError:
            return ""
        if not isinstance(content, dict):
            return ""
        parts = [str(content.get("message") or "").rstrip(".")]
        for error in content.get("errors") or ():
            if isinstance(error, dict):
                messages = error.get("messages") or [error.get("message", "")]
                parts.append(f"{error.get('field', '')}: {' '.join(map(str, messages))}")
        text = self._safe(" ".join("; ".join(filter(None, parts)).split()))
        return f" ({text})" if text else ""

    def _safe(self, text: str) -> str:
        """A text without the token, should the server repeat it."""
        return (text.replace(self._token, "(token)") if self._token else text)[:300]


def _cause(error: BaseException) -> str:
    """The message of what requests and urllib3 have wrapped, without the address, which stands before it.

    >>> _cause(requests.Timeout("HTTPSConnection(host='zenodo.org', port=443): Read timed out."))
    'Read timed out.'
    """
    inner = getattr(error.args[0], "reason", None) if error.args else None
    return re.sub(r"^HTTPS?Connection(Pool)?\([^)]*\):\s*", "", reason(inner or error))
