"""One file on the hostile server, its published MD5, and how the tests download it."""

import hashlib
from pathlib import Path

from hgld.pipeline.acquisition.download_files import Download, fetch_all
from hgld.pipeline.acquisition.manifest import Entry
from hgld.pipeline.acquisition.source import Source
from tests.hostile_server import HostileServer

BODY = b"".join(b"%016x\n" % number for number in range(20_000))
HALF = len(BODY) // 2
MD5 = hashlib.md5(BODY).hexdigest()
NAME, URL, LISTING = "metadata/test.csv", "/metadata/test.csv", "/md5sum/metadata/md5.test.csv.txt"


def source_of(server: HostileServer, retries: int = 2, timeout_s: float = 1.0) -> Source:
    return Source(server.base, timeout_s, retries, parallel=2)


def fetch(source: Source, folder: Path, **settings: object) -> Entry:
    downloads = [Download(NAME, folder / "test.csv")]
    return fetch_all(source, downloads, folder, **({"require_md5": True} | settings))[NAME]  # type: ignore[arg-type]


def local_copy(root: Path, digest: str) -> str:
    """A local folder with the layout of the server."""
    (root / "metadata").mkdir(parents=True)
    (root / "metadata/test.csv").write_bytes(BODY)
    (root / "md5sum/metadata").mkdir(parents=True)
    (root / "md5sum/metadata/md5.test.csv.txt").write_text(digest)
    return str(root)
