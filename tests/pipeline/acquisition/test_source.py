"""Where files come from: sources that are refused, and published checksums."""

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.source import Source, published_md5
from tests.hostile_server import HostileServer, reset_after, short_after
from tests.pipeline.acquisition.served_file import LISTING, MD5, NAME, source_of


def test_unreachable_server_is_one_clear_message() -> None:
    with pytest.raises(HgldError, match=r"test\.csv\.txt: the connection failed \(.*refused\); try again later"):
        published_md5(Source("http://127.0.0.1:9", retries=0), "metadata/test.csv")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("", "the source is empty"),
        (" ", "the source is empty"),
        ("http://example.org/landmarks", "plain http"),
        ("nowhere/at/all", "no folder"),
    ],
)
def test_invalid_source_is_refused(base: str, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        Source(base)


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (b"<html>not a checksum</html>", "expected an MD5"),
        (MD5.encode() + b"  index.csv\n", r"expected the MD5 of test\.csv"),
        (b"", "expected an MD5"),
    ],
)
def test_listing_without_the_md5_is_refused(server: HostileServer, listing: bytes, message: str) -> None:
    server.files[LISTING] = listing
    with pytest.raises(HgldError, match=message):
        published_md5(source_of(server), NAME)


def test_truncated_listing_is_requested_again(server: HostileServer) -> None:
    server.script(LISTING, short_after(4), reset_after(4))
    assert published_md5(source_of(server), NAME) == MD5
