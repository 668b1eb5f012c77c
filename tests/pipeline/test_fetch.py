"""Files from a real HTTP server on loopback and from a folder: verified, or an error that says what is wrong."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hgld.hierarchy.errors import HgldError
from hgld.pipeline.fetch import Source, fetch_verified, published_md5

BODY = b"id\n0000000000000000\n" * 1000


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves GLDv2's layout, and misbehaves below /broken, /short and /flaky."""

    failures = 0

    def do_GET(self) -> None:
        if self.path.startswith("/short") and self.path.endswith(".csv"):
            self._answer(200, BODY[: len(BODY) // 2], length=len(BODY))
        elif self.path.startswith("/cut"):
            self._answer(200, b"0123", length=44)
        elif self.path.startswith("/flaky") and _Handler.failures < 2:
            _Handler.failures += 1
            self._answer(503, b"busy")
        elif self.path.endswith("/metadata/test.csv"):
            self._answer(200, BODY)
        elif self.path.endswith("/md5sum/metadata/md5.test.csv.txt"):
            wrong = self.path.startswith("/wrong")
            self._answer(
                200, (("0" * 32) if wrong else hashlib.md5(BODY).hexdigest()).encode() + b"  test.csv\n"
            )
        else:
            self._answer(404, b"nothing here")

    def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


def _folder(root: Path, digest: str) -> str:
    (root / "metadata").mkdir()
    (root / "metadata/test.csv").write_bytes(BODY)
    (root / "md5sum/metadata").mkdir(parents=True)
    (root / "md5sum/metadata/md5.test.csv.txt").write_text(digest)
    return str(root)


def test_a_file_comes_over_http_with_its_published_md5(server: str, tmp_path: Path) -> None:
    found = fetch_verified(Source(server + "/ok"), "metadata/test.csv", tmp_path / "t.csv", require_md5=True)
    assert (tmp_path / "t.csv").read_bytes() == BODY
    assert found == (hashlib.md5(BODY).hexdigest(), True)


def test_a_busy_server_is_asked_again(server: str, tmp_path: Path) -> None:
    _Handler.failures = 0
    fetch_verified(Source(server + "/flaky"), "metadata/test.csv", tmp_path / "t.csv", require_md5=True)
    assert _Handler.failures == 2
    assert (tmp_path / "t.csv").read_bytes() == BODY


@pytest.mark.parametrize("where", ["http", "folder"])
def test_a_wrong_md5_shows_both_values_and_leaves_nothing(server: str, tmp_path: Path, where: str) -> None:
    base = server + "/wrong" if where == "http" else _folder(tmp_path, "0" * 32)
    target = tmp_path / "out" / "t.csv"
    with pytest.raises(HgldError, match=f"MD5 is {hashlib.md5(BODY).hexdigest()}, published is {'0' * 32}"):
        fetch_verified(Source(base), "metadata/test.csv", target, require_md5=True)
    assert list(target.parent.iterdir()) == []


def test_a_short_body_is_an_error_and_the_old_file_stays(server: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(HgldError, match="broke off"):
        fetch_verified(Source(server + "/short"), "metadata/test.csv", tmp_path / "t.csv", require_md5=True)
    assert (tmp_path / "t.csv").read_text() == "old"


def test_a_file_with_the_published_md5_is_not_fetched_again(tmp_path: Path) -> None:
    base = _folder(tmp_path, hashlib.md5(BODY).hexdigest())
    target = tmp_path / "out" / "t.csv"
    fetch_verified(Source(base), "metadata/test.csv", target, require_md5=True)
    before = target.stat().st_mtime_ns
    fetch_verified(Source(base), "metadata/test.csv", target, require_md5=True)
    assert target.stat().st_mtime_ns == before


def test_a_missing_file_names_its_url(server: str, tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="no MD5 is published"):
        fetch_verified(Source(server), "metadata/nope.csv", tmp_path / "t.csv", require_md5=True)
    with pytest.raises(HgldError, match=r"metadata/nope\.csv: HTTP 404"):
        fetch_verified(Source(server), "metadata/nope.csv", tmp_path / "t.csv", require_md5=False)


def test_an_unreachable_server_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(HgldError, match="cannot be reached after 1 tries"):
        published_md5(Source("http://127.0.0.1:9", retries=0), "metadata/test.csv")


def test_a_listing_that_breaks_off_is_one_clear_message(server: str) -> None:
    with pytest.raises(HgldError, match=r"md5\.test\.csv\.txt: the transfer broke off"):
        published_md5(Source(server + "/cut", retries=0), "metadata/test.csv")


@pytest.mark.parametrize("base", ["", " "])
def test_an_empty_source_is_refused(base: str) -> None:
    with pytest.raises(HgldError, match="the source is empty"):
        Source(base)


def test_a_file_without_a_published_md5_is_not_called_verified(tmp_path: Path) -> None:
    base = _folder(tmp_path, "")
    (tmp_path / "md5sum/metadata/md5.test.csv.txt").unlink()
    found = fetch_verified(Source(base), "metadata/test.csv", tmp_path / "t.csv", require_md5=False)
    assert not found.verified


def test_plain_http_and_missing_folders_are_refused() -> None:
    with pytest.raises(HgldError, match="plain http"):
        Source("http://example.org/landmarks")
    with pytest.raises(HgldError, match="no folder"):
        Source("nowhere/at/all")


def test_a_listing_without_an_md5_is_refused(tmp_path: Path) -> None:
    base = _folder(tmp_path, "<html>not a checksum</html>")
    with pytest.raises(HgldError, match="expected an MD5"):
        published_md5(Source(base), "metadata/test.csv")
