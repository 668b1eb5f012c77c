"""Files from GLDv2's server or from a folder laid out like it, verified against the MD5 published beside them."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.files import md5, replacing

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Source:
    """A server (https base URL) or a local folder; names are paths below it, such as `metadata/train.csv`."""

    base: str
    timeout_s: float = 30.0
    retries: int = 3

    def __post_init__(self) -> None:
        if not self.base.strip():
            raise HgldError("the source is empty; give an https URL or a folder laid out like GLDv2's server")
        parts = urlsplit(self.base)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise HgldError(f"{self.base}: plain http is not accepted; use https, or a local folder")
        if parts.scheme not in ("http", "https") and not Path(self.base).is_dir():
            raise HgldError(
                f"no folder {self.base}; give an https URL or a folder laid out like GLDv2's server"
            )

    @property
    def remote(self) -> bool:
        """Whether the files come over HTTP."""
        return urlsplit(self.base).scheme in ("http", "https")

    def place(self, name: str) -> str:
        """The full URL or path of a file, for messages."""
        return f"{self.base.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file, or None when the source says that there is none."""
        if not self.remote:
            path = Path(self.base) / name
            return path.read_bytes() if path.is_file() else None
        try:
            with self._get(name) as response:
                return None if response.status_code in (403, 404) else self._checked(response).content
        except requests.RequestException as error:
            raise self._broke_off(name, error) from None

    def fetch(self, name: str, target: Path) -> None:
        """Copy one file to `target`; a broken transfer leaves `target` as it was.

        Raises HgldError when the file is missing, the server unreachable, or the body shorter than announced.
        """
        if not self.remote:
            path = Path(self.base) / name
            if not path.is_file():
                raise HgldError(f"no file {path}; is {self.base} a complete copy?")
            shutil.copyfile(path, target)
            return
        try:
            with self._get(name) as response, target.open("wb") as handle:
                for chunk in self._checked(response).iter_content(_CHUNK):
                    handle.write(chunk)
        except requests.RequestException as error:
            raise self._broke_off(name, error) from None

    def _broke_off(self, name: str, error: requests.RequestException) -> HgldError:
        return HgldError(f"{self.place(name)}: the transfer broke off ({error}); run the stage again")

    def _get(self, name: str) -> requests.Response:
        policy = Retry(total=self.retries, backoff_factor=0.5, backoff_jitter=0.5, raise_on_status=False,
                       status_forcelist=(429, 500, 502, 503, 504), respect_retry_after_header=True)  # fmt: skip
        session = requests.Session()
        session.mount("https://", HTTPAdapter(max_retries=policy))
        session.mount("http://", HTTPAdapter(max_retries=policy))
        try:
            return session.get(self.place(name), stream=True, timeout=self.timeout_s)
        except requests.RequestException as error:
            raise HgldError(
                f"{self.place(name)}: cannot be reached after {self.retries + 1} tries: {error}"
            ) from None

    def _checked(self, response: requests.Response) -> requests.Response:
        if response.status_code != 200:
            raise HgldError(
                f"{response.url}: HTTP {response.status_code} {response.reason}; a file was expected"
            )
        return response


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
    found = re.match(rb"([0-9a-fA-F]{32})\b", text.strip())
    if not found:
        raise HgldError(f"{source.place(listing)}: expected an MD5, found {text[:60]!r}")
    return found.group(1).decode().lower()


class Fetched(NamedTuple):
    """A file that was brought: its MD5, and whether that is the published one (False: none is published)."""

    md5: str
    verified: bool


def fetch_verified(source: Source, name: str, target: Path, *, require_md5: bool) -> Fetched:
    """Bring `name` to `target`, whole and with the published MD5 where there is one.

    A `target` that already has the published MD5 is left as it is, so a killed run goes on where it stopped.

    Raises HgldError that shows both values when they disagree, or when none is published and one is required.
    """
    expected = published_md5(source, name)
    if expected is None and require_md5:
        raise HgldError(
            f"{source.place(name)}: no MD5 is published for it; set require_md5: false to go on without"
        )
    if expected is not None and target.is_file() and md5(target) == expected:
        return Fetched(expected, verified=True)
    with replacing(target) as part:
        source.fetch(name, part)
        found = md5(part)
        if expected is not None and found != expected:
            raise HgldError(
                f"{source.place(name)}: MD5 is {found}, published is {expected}; "
                "the file is damaged or was replaced: fetch it again, or correct the published value"
            )
    return Fetched(found, verified=expected is not None)
