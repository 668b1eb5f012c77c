"""One file from a server that fails in every way: the right bytes, or an error that says what is wrong."""

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.http_resume import PartialFile, Version
from tests.fault_table import FaultTable
from tests.hostile_server import (
    Answer,
    Handler,
    HostileServer,
    dripping,
    ignoring_range,
    reset_after,
    short_after,
)
from tests.pipeline.acquisition.served_file import BODY, HALF, LISTING, MD5, URL, fetch, source_of


def _half_of_old_version(request: object, server: HostileServer) -> Answer:
    """Half of an older version; after that the server has the new one."""
    return Answer(200, b"x" * len(BODY), {"ETag": '"old"'}, stop_after=len(BODY) // 2)


def _range_from_7(request: object, server: HostileServer) -> Answer:
    return Answer(206, BODY[7:], {"Content-Range": f"bytes 7-{len(BODY) - 1}/{len(BODY)}"})


def _range_shifted_by_100(request: object, server: HostileServer) -> Answer:
    """As many bytes as were requested, from an offset before the requested one."""
    span = f"bytes {HALF - 100}-{len(BODY) - 101}/{len(BODY)}"
    return Answer(206, BODY[HALF - 100 : -100], {"Content-Range": span, "ETag": server.etag(URL)})


def _range_of_other_version(request: object, server: HostileServer) -> Answer:
    """A 206 of a version with another ETag than the requested one."""
    span = f"bytes 100000-{len(BODY) - 1}/{len(BODY)}"
    return Answer(206, b"y" * (len(BODY) - 100_000), {"Content-Range": span, "ETag": '"new"'})


def _half_with_date(request: object, server: HostileServer) -> Answer:
    """Half of a version with a date and without an ETag."""
    return Answer(200, BODY, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, stop_after=HALF)


def _range_of_longer_file(request: object, server: HostileServer) -> Answer:
    """As many bytes as are missing, of a file that is longer than the one begun."""
    span = f"bytes {HALF}-{len(BODY) - 1}/{len(BODY) + 5}"
    return Answer(206, b"z" * (len(BODY) - HALF), {"Content-Range": span})


def _without_length(request: object, server: HostileServer) -> Answer:
    return Answer(200, BODY, length=-1)


Script = list[Answer | Handler]
# fault → what the server does first, and the error that results (None: the right bytes)
FAULTS: dict[str, tuple[Script, str | None]] = {
    "none": ([], None),
    "429 with Retry-After": ([Answer(429, b"", {"Retry-After": "1"})], None),
    "429 with a Retry-After of a day": (
        [Answer(429, b"", {"Retry-After": "86400"})],
        "asks to wait 86,400 s",
    ),
    "429 without Retry-After": ([Answer(429)] * 2, None),
    "429 always": ([Answer(429)] * 9, r"HTTP 429 .*tried 3 times"),
    "403": ([Answer(403, b"go away")], "HTTP 403"),
    "404": ([Answer(404)], "HTTP 404"),
    "500 twice": ([Answer(500)] * 2, None),
    "500 always": ([Answer(500)] * 9, r"HTTP 500 .*tried 3 times"),
    "reset before the body": ([reset_after(0)], None),
    "reset in mid-body": ([reset_after(HALF), reset_after(HALF // 2)], None),
    "short bodies": ([short_after(HALF), short_after(1000)], None),
    "short bodies always": ([short_after(1)] * 9, r"the transfer was interrupted.*tried 3 times"),
    "Content-Length too long": ([Answer(200, BODY, length=len(BODY) + 99)], None),
    "Content-Length too short": (
        [Answer(200, BODY, length=HALF)] * 2,
        f"expected the published MD5 {MD5}, found ",
    ),
    "no Content-Length": ([_without_length], None),
    "an invalid Content-Length": ([Answer(200, BODY, {"Content-Length": "9" * 5000}, length=-1)], None),
    "in chunks": ([Answer(200, BODY, chunked=True, piece=9999)], None),
    "truncated chunks": ([Answer(200, BODY, chunked=True, piece=9999, stop_after=HALF)], None),
    "empty body": ([Answer(200)], None),
    "truncated with its length": (
        [Answer(200, BODY[:HALF])] * 2,
        "received 170,000 bytes and 340,000 were announced",
    ),
    "wrong bytes of the right length": (
        [Answer(200, BODY[::-1])],
        f"expected the published MD5 {MD5}, found .*; the file is damaged at the source",
    ),
    "server ignores Range": ([short_after(HALF), ignoring_range], None),
    "206 from another offset": ([short_after(HALF), _range_from_7], None),
    "206 from 100 bytes before": ([short_after(HALF), _range_shifted_by_100], None),
    "206 of a longer file": ([_half_with_date, _range_of_longer_file], None),
    "206 without a Range request": ([_range_from_7], "HTTP 206"),
    "changed ETag between parts": ([_half_of_old_version], None),
    "changed between parts, no ETag": ([Answer(200, b"x" * len(BODY), stop_after=HALF)], None),
    "206 of another version": ([short_after(100_000), _range_of_other_version], None),
    "416 in mid-file": ([short_after(HALF), Answer(416)], None),
    "slow, then good": ([dripping(100, 0.3)], None),
    "slow always": ([dripping(100, 0.3)] * 9, "stalled"),
    "silence": ([Answer(200, BODY, piece=HALF, pause_s=1.5)] * 9, r"(?i)timed out"),
    "200 with HTML": ([Answer(200, b"<html>please log in</html>")], None),
    "200 with HTML always": (
        [Answer(200, b"<html>please log in</html>")] * 2,
        "received 26 bytes and 340,000 were announced, twice",
    ),
    "compressed without request": ([Answer(200, BODY, {"Content-Encoding": "gzip"})], "sent compressed"),
    "redirect to plain http elsewhere": (
        [Answer(302, b"", {"Location": "http://plain.invalid/x"})] * 9,
        "plain http is not accepted",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_gives_the_right_bytes_or_a_clear_error(
    server: HostileServer, tmp_path: Path, fault_table: FaultTable, fault: str
) -> None:
    script, error = FAULTS[fault]
    server.script(URL, *script)
    if error is None:
        entry = fetch(source_of(server), tmp_path)
        assert (tmp_path / "test.csv").read_bytes() == BODY
        assert entry.verified and not list(tmp_path.glob("*.part*"))
        requests = len(server.asked(URL))
        fault_table.add("download", fault, f"the right bytes, after {requests} request(s)")
    else:
        with pytest.raises(HgldError, match=error) as caught:
            fetch(source_of(server), tmp_path)
        assert not (tmp_path / "test.csv").exists()
        message = str(caught.value).replace(server.base, "http://server")
        fault_table.add("download", fault, f"error: {message}")
        # once the server has recovered, the next run succeeds, whatever the failed one left
        server._scripts.clear()
        fetch(source_of(server), tmp_path)
        assert (tmp_path / "test.csv").read_bytes() == BODY


def test_resumed_transfer_requests_only_the_rest(server: HostileServer, tmp_path: Path) -> None:
    server.script(URL, short_after(HALF))
    with pytest.raises(HgldError, match="interrupted"):
        fetch(source_of(server, retries=0), tmp_path)
    assert (tmp_path / "test.csv.part").stat().st_size == HALF
    fetch(source_of(server, retries=0), tmp_path)
    last = server.asked(URL)[-1]
    assert last.headers["Range"] == f"bytes={HALF}-" and last.headers["If-Range"] == server.etag(URL)
    assert (tmp_path / "test.csv").read_bytes() == BODY


def test_complete_partial_file_is_not_downloaded_again(server: HostileServer, tmp_path: Path) -> None:
    """The run was killed after the last byte, and the server had not announced the size."""
    partial = PartialFile(tmp_path / "test.csv")
    partial.begin(Version(None, server.etag(URL)))
    partial.path.write_bytes(BODY)
    assert fetch(source_of(server), tmp_path).verified
    assert [request.headers.get("Range") for request in server.asked(URL)] == [f"bytes={len(BODY)}-"]


def test_truncated_chunks_are_an_error_without_an_md5(server: HostileServer, tmp_path: Path) -> None:
    del server.files[LISTING]
    server.etags[URL] = ""
    server.script(URL, Answer(200, BODY, chunked=True, stop_after=HALF))
    with pytest.raises(HgldError, match="interrupted"):
        fetch(source_of(server, retries=0), tmp_path, require_md5=False)
    assert not (tmp_path / "test.csv").exists()
    fetch(source_of(server), tmp_path, require_md5=False)
    assert (tmp_path / "test.csv").read_bytes() == BODY


@pytest.mark.parametrize(
    "fault",
    [
        "reset in mid-body", "Content-Length too long", "server ignores Range", "206 from another offset",
        "206 from 100 bytes before", "changed ETag between parts", "changed between parts, no ETag",
        "206 of another version", "206 of a longer file", "416 in mid-file",
        "truncated chunks", "200 with HTML", "empty body",
    ],
)  # fmt: skip
def test_pieces_of_one_version_are_joined_without_an_md5(
    server: HostileServer, tmp_path: Path, fault_table: FaultTable, fault: str
) -> None:
    """For GLDv2's CSVs no MD5 is published: ETag, sizes and Content-Range must suffice."""
    del server.files[LISTING]
    server.script(URL, *FAULTS[fault][0])
    fetch(source_of(server), tmp_path, require_md5=False)
    assert (tmp_path / "test.csv").read_bytes() == BODY
    fault_table.add("download", f"{fault}, no MD5", f"the right bytes, after {len(server.asked(URL))} request(s)")


@pytest.mark.parametrize("fault", ["no Content-Length", "an invalid Content-Length"])
def test_file_of_unknown_length_is_refused_without_an_md5(server: HostileServer, tmp_path: Path, fault: str) -> None:
    del server.files[LISTING]
    server.script(URL, *FAULTS[fault][0])
    with pytest.raises(HgldError, match="sent without a length, and no MD5 is published"):
        fetch(source_of(server), tmp_path, require_md5=False)
    assert not (tmp_path / "test.csv").exists()


def test_nothing_is_resumed_without_a_validator_and_an_md5(server: HostileServer, tmp_path: Path) -> None:
    server.etags[URL] = ""
    del server.files[LISTING]
    server.script(URL, short_after(HALF))
    fetch(source_of(server), tmp_path, require_md5=False)
    assert ["Range" in request.headers for request in server.asked(URL)] == [False, False]
    assert (tmp_path / "test.csv").read_bytes() == BODY


def test_damaged_partial_file_is_downloaded_from_the_start(server: HostileServer, tmp_path: Path) -> None:
    server.script(URL, short_after(HALF))
    with pytest.raises(HgldError):
        fetch(source_of(server, retries=0), tmp_path)
    (tmp_path / "test.csv.part").write_bytes(b"z" * HALF)
    fetch(source_of(server), tmp_path)
    assert ["Range" in request.headers for request in server.asked(URL)] == [False, True, False]
    assert (tmp_path / "test.csv").read_bytes() == BODY


def test_transfer_that_advances_is_not_given_up(server: HostileServer, tmp_path: Path) -> None:
    body = bytes(12 << 20)
    server.files |= {URL: body, LISTING: hashlib.md5(body).hexdigest().encode()}
    server.script(URL, *[short_after((2 << 20) + 1)] * 6)
    fetch(source_of(server, retries=1), tmp_path)
    assert (tmp_path / "test.csv").read_bytes() == body


def test_retry_after_with_a_date_is_waited_for(server: HostileServer, tmp_path: Path) -> None:
    def until(request: object, server: HostileServer) -> Answer:
        return Answer(503, b"", {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=3))})

    server.script(URL, until)
    fetch(source_of(server), tmp_path)
    first, second = (request.at for request in server.asked(URL))
    assert 1.5 <= second - first < 5.0  # such a date has whole seconds
