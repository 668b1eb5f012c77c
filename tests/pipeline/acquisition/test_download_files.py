"""Files from a real server that misbehaves, and from a folder: the right bytes, or an error that says what is wrong."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.download_files import Wanted, fetch_all
from hgld.pipeline.acquisition.http_resume import Part, Version
from hgld.pipeline.acquisition.lock import alone
from hgld.pipeline.acquisition.manifest import Entry
from hgld.pipeline.acquisition.source import Source, published_md5
from tests.fault_table import FaultTable
from tests.full_disk import full_disk
from tests.hostile_server import (
    Answer,
    Handler,
    HostileServer,
    dripping,
    ignoring_range,
    reset_after,
    short_after,
)

BODY = b"".join(b"%016x\n" % number for number in range(20_000))
MD5 = hashlib.md5(BODY).hexdigest()
NAME, URL, LISTING = "metadata/test.csv", "/metadata/test.csv", "/md5sum/metadata/md5.test.csv.txt"


def _changing(request: object, server: HostileServer) -> Answer:
    """Half of an older version; from then on the server has the new one."""
    return Answer(200, b"x" * len(BODY), {"ETag": '"old"'}, stop_after=len(BODY) // 2)


def _wrong_span(request: object, server: HostileServer) -> Answer:
    return Answer(206, BODY[7:], {"Content-Range": f"bytes 7-{len(BODY) - 1}/{len(BODY)}"})


def _shifted(request: object, server: HostileServer) -> Answer:
    """As many bytes as are asked for from the half on, from a place before it."""
    span = f"bytes {HALF - 100}-{len(BODY) - 101}/{len(BODY)}"
    return Answer(206, BODY[HALF - 100 : -100], {"Content-Range": span, "ETag": server.etag(URL)})


def _other_tag(request: object, server: HostileServer) -> Answer:
    """A 206 of a version that has another ETag than the one asked for."""
    span = f"bytes 100000-{len(BODY) - 1}/{len(BODY)}"
    return Answer(206, b"y" * (len(BODY) - 100_000), {"Content-Range": span, "ETag": '"new"'})


def _dated_half(request: object, server: HostileServer) -> Answer:
    """Half of a version that has a date and no ETag."""
    return Answer(200, BODY, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, stop_after=HALF)


def _of_a_longer_file(request: object, server: HostileServer) -> Answer:
    """As many bytes as are missing, of a file that is longer than the one that was begun."""
    span = f"bytes {HALF}-{len(BODY) - 1}/{len(BODY) + 5}"
    return Answer(206, b"z" * (len(BODY) - HALF), {"Content-Range": span})


def _without_length(request: object, server: HostileServer) -> Answer:
    return Answer(200, BODY, length=-1)


Script = list[Answer | Handler]
HALF = len(BODY) // 2
# fault → what the server does first, and the error that must come of it (None: the right bytes)
FAULTS: dict[str, tuple[Script, str | None]] = {
    "none": ([], None),
    "429 with Retry-After": ([Answer(429, b"", {"Retry-After": "1"})], None),
    "429 with a Retry-After of a day": ([Answer(429, b"", {"Retry-After": "86400"})], "asks to wait 86400 s"),
    "429 without Retry-After": ([Answer(429)] * 2, None),
    "429 without end": ([Answer(429)] * 9, r"HTTP 429 .*tried 3 times"),
    "403": ([Answer(403, b"go away")], "HTTP 403"),
    "404": ([Answer(404)], "HTTP 404"),
    "500 twice": ([Answer(500)] * 2, None),
    "500 without end": ([Answer(500)] * 9, r"HTTP 500 .*tried 3 times"),
    "reset before the body": ([reset_after(0)], None),
    "reset in mid-body": ([reset_after(HALF), reset_after(HALF // 2)], None),
    "short bodies": ([short_after(HALF), short_after(1000)], None),
    "short bodies without end": ([short_after(1)] * 9, r"the transfer broke off.*tried 3 times"),
    "Content-Length too long": ([Answer(200, BODY, length=len(BODY) + 99)], None),
    "Content-Length too short": ([Answer(200, BODY, length=HALF)] * 2, f"MD5 is .*published is {MD5}"),
    "no Content-Length": ([_without_length], None),
    "a senseless Content-Length": ([Answer(200, BODY, {"Content-Length": "9" * 5000}, length=-1)], None),
    "in chunks": ([Answer(200, BODY, chunked=True, piece=9999)], None),
    "chunks that break off": ([Answer(200, BODY, chunked=True, piece=9999, stop_after=HALF)], None),
    "empty body": ([Answer(200)], None),
    "truncated with its length": (
        [Answer(200, BODY[:HALF])] * 2,
        "170,000 bytes came and 340,000 were announced",
    ),
    "wrong bytes of the right length": (
        [Answer(200, BODY[::-1])],
        f"MD5 is .*published is {MD5}; the file at",
    ),
    "server ignores Range": ([short_after(HALF), ignoring_range], None),
    "206 from another place": ([short_after(HALF), _wrong_span], None),
    "206 from a little before": ([short_after(HALF), _shifted], None),
    "206 of a longer file": ([_dated_half, _of_a_longer_file], None),
    "206 nobody asked for": ([_wrong_span], "HTTP 206"),
    "changed ETag between parts": ([_changing], None),
    "changed between parts, no ETag": ([Answer(200, b"x" * len(BODY), stop_after=HALF)], None),
    "206 of another version": ([short_after(100_000), _other_tag], None),
    "416 in mid-file": ([short_after(HALF), Answer(416)], None),
    "slow drip, then well": ([dripping(100, 0.3)], None),
    "slow drip without end": ([dripping(100, 0.3)] * 9, "stalled"),
    "silence": ([Answer(200, BODY, piece=HALF, pause_s=1.5)] * 9, r"(?i)timed out"),
    "200 with HTML": ([Answer(200, b"<html>please log in</html>")], None),
    "200 with HTML without end": (
        [Answer(200, b"<html>please log in</html>")] * 2,
        "26 bytes came and 340,000 were announced, twice",
    ),
    "compressed unasked": ([Answer(200, BODY, {"Content-Encoding": "gzip"})], "sent compressed"),
    "redirect to plain http elsewhere": (
        [Answer(302, b"", {"Location": "http://plain.invalid/x"})] * 9,
        "plain http is not accepted",
    ),
}


@pytest.fixture
def server(hostile: HostileServer) -> HostileServer:
    hostile.files[URL] = BODY
    hostile.files[LISTING] = f"{MD5}  test.csv\n".encode()
    return hostile


def _source(server: HostileServer, retries: int = 2, timeout_s: float = 1.0) -> Source:
    return Source(server.base, timeout_s, retries, parallel=2)


def _fetch(source: Source, folder: Path, **settings: object) -> Entry:
    wanted = [Wanted(NAME, folder / "test.csv")]
    return fetch_all(source, wanted, folder, **({"require_md5": True} | settings))[NAME]  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_ends_in_the_right_bytes_or_a_clear_error(
    server: HostileServer, tmp_path: Path, fault_table: FaultTable, fault: str
) -> None:
    script, error = FAULTS[fault]
    server.script(URL, *script)
    if error is None:
        entry = _fetch(_source(server), tmp_path)
        assert (tmp_path / "test.csv").read_bytes() == BODY
        assert entry.verified and not list(tmp_path.glob("*.part*"))
        asked = len(server.asked(URL))
        fault_table.add("download", fault, f"the right bytes, after {asked} request(s)")
    else:
        with pytest.raises(HgldError, match=error) as caught:
            _fetch(_source(server), tmp_path)
        assert not (tmp_path / "test.csv").exists()
        said = str(caught.value).replace(server.base, "http://server")
        fault_table.add("download", fault, f"error: {said}")
        # and when the server is well again, the next run has the file, whatever was kept of the failed one
        server._scripts.clear()
        _fetch(_source(server), tmp_path)
        assert (tmp_path / "test.csv").read_bytes() == BODY


def test_retry_after_is_waited_for_by_all(server: HostileServer, tmp_path: Path) -> None:
    names = [f"a/{number}" for number in range(12)]
    server.files |= {f"/{name}": BODY for name in names}
    server.script("/a/3", Answer(429, b"", {"Retry-After": "2"}))
    fetch_all(_source(server), [Wanted(name, tmp_path / name) for name in names], tmp_path, require_md5=False)
    told = server.asked("/a/3")[0].at
    after = [one.at - told for one in server.requests if one.at - told > 0.3]  # others may be on their way
    assert len(after) > 5 and min(after) >= 1.9


def test_a_resumed_transfer_asks_for_the_rest_only(server: HostileServer, tmp_path: Path) -> None:
    server.script(URL, short_after(HALF))
    with pytest.raises(HgldError, match="broke off"):
        _fetch(_source(server, retries=0), tmp_path)
    assert (tmp_path / "test.csv.part").stat().st_size == HALF
    _fetch(_source(server, retries=0), tmp_path)
    last = server.asked(URL)[-1]
    assert last.headers["Range"] == f"bytes={HALF}-" and last.headers["If-Range"] == server.etag(URL)
    assert (tmp_path / "test.csv").read_bytes() == BODY


def test_a_part_that_is_whole_already_is_not_fetched_again(server: HostileServer, tmp_path: Path) -> None:
    """A run was killed after the last byte, and the server had not said how many there would be."""
    part = Part(tmp_path / "test.csv")
    part.begin(Version(None, server.etag(URL)))
    part.path.write_bytes(BODY)
    assert _fetch(_source(server), tmp_path).verified
    assert [one.headers.get("Range") for one in server.asked(URL)] == [f"bytes={len(BODY)}-"]


def test_chunks_that_break_off_are_no_file_where_no_md5_tells(server: HostileServer, tmp_path: Path) -> None:
    del server.files[LISTING]
    server.etags[URL] = ""
    server.script(URL, Answer(200, BODY, chunked=True, stop_after=HALF))
    with pytest.raises(HgldError, match="broke off"):
        _fetch(_source(server, retries=0), tmp_path, require_md5=False)
    assert not (tmp_path / "test.csv").exists()
    _fetch(_source(server), tmp_path, require_md5=False)
    assert (tmp_path / "test.csv").read_bytes() == BODY


@pytest.mark.parametrize(
    "fault",
    [
        "reset in mid-body", "Content-Length too long", "server ignores Range", "206 from another place",
        "206 from a little before", "changed ETag between parts", "changed between parts, no ETag",
        "206 of another version", "206 of a longer file", "416 in mid-file",
        "chunks that break off", "200 with HTML", "empty body",
    ],
)  # fmt: skip
def test_pieces_fit_together_where_no_md5_tells(
    server: HostileServer, tmp_path: Path, fault_table: FaultTable, fault: str
) -> None:
    """As for GLDv2's CSVs: the ETag, the sizes and what a 206 says of itself must do."""
    del server.files[LISTING]
    server.script(URL, *FAULTS[fault][0])
    _fetch(_source(server), tmp_path, require_md5=False)
    assert (tmp_path / "test.csv").read_bytes() == BODY
    fault_table.add(
        "download", f"{fault}, no MD5", f"the right bytes, after {len(server.asked(URL))} request(s)"
    )


@pytest.mark.parametrize("fault", ["no Content-Length", "a senseless Content-Length"])
def test_a_file_of_unknown_length_is_not_taken_where_no_md5_tells(
    server: HostileServer, tmp_path: Path, fault: str
) -> None:
    del server.files[LISTING]
    server.script(URL, *FAULTS[fault][0])
    with pytest.raises(HgldError, match="sent without a length, and no MD5 is published"):
        _fetch(_source(server), tmp_path, require_md5=False)
    assert not (tmp_path / "test.csv").exists()


def test_where_no_md5_tells_the_size_that_was_announced_does(server: HostileServer, tmp_path: Path) -> None:
    del server.files[LISTING]
    page = Answer(200, b"<html>please log in</html>")
    server.script(URL, page)
    _fetch(_source(server), tmp_path / "once", require_md5=False)
    assert (tmp_path / "once/test.csv").read_bytes() == BODY
    server.script(URL, page, page)
    with pytest.raises(HgldError, match=r"test\.csv: 26 bytes came, 340,000 were announced"):
        _fetch(_source(server), tmp_path / "twice", require_md5=False)
    assert not (tmp_path / "twice/test.csv").exists()


def test_a_retry_after_that_is_a_date_is_waited_for(server: HostileServer, tmp_path: Path) -> None:
    def until(request: object, server: HostileServer) -> Answer:
        return Answer(503, b"", {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=3))})

    server.script(URL, until)
    _fetch(_source(server), tmp_path)
    first, second = (one.at for one in server.asked(URL))
    assert 1.5 <= second - first < 5.0  # such a date has no fractions of a second


@pytest.mark.parametrize("where", ["http", "folder"])
def test_a_disk_that_gets_full_is_one_message_and_what_came_is_kept(
    server: HostileServer, tmp_path: Path, fault_table: FaultTable, where: str
) -> None:
    out = tmp_path / "out"
    source = _source(server) if where == "http" else Source(_folder(tmp_path / "from", MD5))
    with full_disk(HALF), pytest.raises(HgldError, match=r"test\.csv\.part: File too large") as caught:
        _fetch(source, out)
    assert len(server.asked(URL)) == (where == "http")  # to ask again would not help
    said = str(caught.value).replace(str(tmp_path), "").replace(server.base, "http://server")
    fault_table.add("download", f"disk full ({where})", f"error: {said}")
    _fetch(_source(server) if where == "http" else source, out)
    assert (out / "test.csv").read_bytes() == BODY
    if where == "http":
        assert server.asked(URL)[-1].headers["Range"] == f"bytes={HALF}-"


def test_room_is_needed_for_a_new_version_beside_the_old_one(server: HostileServer, tmp_path: Path) -> None:
    _fetch(_source(server), tmp_path)
    free = shutil.disk_usage(tmp_path).free
    (tmp_path / "test.csv").write_bytes(b"old")
    os.truncate(tmp_path / "test.csv", free)  # a hole: it takes no room
    server.heads = lambda request, _: Answer(200, length=free + (1 << 30))
    with pytest.raises(HgldError, match="GB are still to come"):
        _fetch(_source(server), tmp_path)


def test_without_a_validator_and_an_md5_nothing_is_continued(server: HostileServer, tmp_path: Path) -> None:
    server.etags[URL] = ""
    del server.files[LISTING]
    server.script(URL, short_after(HALF))
    _fetch(_source(server), tmp_path, require_md5=False)
    assert ["Range" in one.headers for one in server.asked(URL)] == [False, False]
    assert (tmp_path / "test.csv").read_bytes() == BODY


def test_a_damaged_part_is_thrown_away_once(server: HostileServer, tmp_path: Path) -> None:
    server.script(URL, short_after(HALF))
    with pytest.raises(HgldError):
        _fetch(_source(server, retries=0), tmp_path)
    (tmp_path / "test.csv.part").write_bytes(b"z" * HALF)
    _fetch(_source(server), tmp_path)
    assert ["Range" in one.headers for one in server.asked(URL)] == [False, True, False]
    assert (tmp_path / "test.csv").read_bytes() == BODY


def test_a_bad_line_that_gets_on_is_not_given_up(hostile: HostileServer, tmp_path: Path) -> None:
    body = bytes(12 << 20)
    hostile.files |= {URL: body, LISTING: hashlib.md5(body).hexdigest().encode()}
    hostile.script(URL, *[short_after((2 << 20) + 1)] * 6)
    _fetch(_source(hostile, retries=1), tmp_path)
    assert (tmp_path / "test.csv").read_bytes() == body


def test_a_file_with_the_published_md5_is_not_fetched_again(server: HostileServer, tmp_path: Path) -> None:
    assert _fetch(_source(server), tmp_path) == _fetch(_source(server), tmp_path)
    assert len(server.asked(URL)) == 1


def test_without_an_md5_the_etag_tells_whether_the_file_is_still_good(
    server: HostileServer, tmp_path: Path
) -> None:
    del server.files[LISTING]
    for _ in range(2):
        assert not _fetch(_source(server), tmp_path, require_md5=False).verified
    assert len(server.asked(URL)) == 1
    server.files[URL] = BODY[:170]
    _fetch(_source(server), tmp_path, require_md5=False)
    assert (tmp_path / "test.csv").read_bytes() == BODY[:170]


@pytest.mark.parametrize("where", ["http", "folder"])
def test_a_wrong_md5_shows_both_values_and_the_way_on(
    server: HostileServer, tmp_path: Path, where: str
) -> None:
    server.files[LISTING] = ("0" * 32).encode()
    source = _source(server) if where == "http" else Source(_folder(tmp_path / "from", "0" * 32))
    out = tmp_path / "out"
    with pytest.raises(HgldError, match=f"MD5 is {MD5}, published is {'0' * 32}.*--accept-md5 {NAME}={MD5}"):
        _fetch(source, out)
    assert not (out / "test.csv").exists()
    with pytest.raises(HgldError, match=f"accepted {'1' * 32}"):
        _fetch(source, out, accept={NAME: "1" * 32})
    entry = _fetch(source, out, accept={NAME: MD5})
    assert (entry.md5_published, entry.md5_accepted, entry.verified) == ("0" * 32, MD5, False)
    assert json.loads((out / "manifest.json").read_text())[0]["md5_accepted"] == MD5
    # it is noted, so a later run (dvc repro has no flags) goes on with it
    assert _fetch(source, out) == entry


def test_an_md5_can_be_accepted_only_for_a_file_that_is_fetched(
    server: HostileServer, tmp_path: Path
) -> None:
    with pytest.raises(HgldError, match=rf"no file 'metadata/tset.csv'.*did you mean '{NAME}'"):
        _fetch(_source(server), tmp_path, accept={"metadata/tset.csv": MD5})


def test_the_manifest_says_what_was_fetched(server: HostileServer, tmp_path: Path) -> None:
    _fetch(_source(server), tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text()) == [{
        "file": NAME, "url": server.base + URL, "bytes": len(BODY), "etag": server.etag(URL), "md5_published": MD5,
        "md5_accepted": None, "md5": MD5, "sha256": hashlib.sha256(BODY).hexdigest(),
    }]  # fmt: skip


def test_a_manifest_that_is_none_is_named(server: HostileServer, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[{")
    with pytest.raises(HgldError, match=r"manifest\.json: not a manifest"):
        _fetch(_source(server), tmp_path)


def test_the_disk_is_measured_before_the_first_byte(server: HostileServer, tmp_path: Path) -> None:
    server.heads = lambda request, _: Answer(200, length=10**16)
    with pytest.raises(HgldError, match=r"10,000,000\.0 GB are still to come and the disk has .* GB free"):
        _fetch(_source(server), tmp_path)
    assert server.asked(URL) == []


def test_a_server_that_does_not_know_head_is_asked_for_the_file(
    server: HostileServer, tmp_path: Path
) -> None:
    server.heads = lambda request, _: Answer(405)
    assert _fetch(_source(server), tmp_path).etag == server.etag(URL)


def test_one_bad_file_does_not_keep_the_others(server: HostileServer, tmp_path: Path) -> None:
    wanted = [Wanted(f"a/{number}", tmp_path / str(number)) for number in range(6)]
    server.files |= {f"/a/{number}": BODY for number in range(6)}
    server.script("/a/2", Answer(403))
    with pytest.raises(HgldError, match=r"a/2: HTTP 403"):
        fetch_all(_source(server), wanted, tmp_path, require_md5=False)
    assert sorted(one.name for one in tmp_path.glob("?")) == ["0", "1", "3", "4", "5"]
    fetch_all(_source(server), wanted, tmp_path, require_md5=False)
    assert len(server.asked("/a/0")) == 1


def test_a_server_that_is_gone_is_not_asked_for_every_file(server: HostileServer, tmp_path: Path) -> None:
    wanted = [Wanted(f"a/{number}", tmp_path / str(number)) for number in range(100)]
    with pytest.raises(
        HgldError, match=r"of 100 files could not be had(?s:.*)the others were not waited for"
    ):
        fetch_all(_source(server), wanted, tmp_path, require_md5=False)
    assert len(server.requests) < 20


def test_no_more_requests_at_once_than_allowed(server: HostileServer, tmp_path: Path) -> None:
    now, most = 0, 0

    def count(request: object, _: HostileServer) -> Answer:
        nonlocal now, most
        now += 1
        most = max(most, now)
        time.sleep(0.05)
        now -= 1
        return Answer(200, BODY)

    server.always = count
    wanted = [Wanted(f"b/{number}", tmp_path / str(number)) for number in range(8)]
    server.files |= {f"/b/{number}": BODY for number in range(8)}
    server.files |= {f"/md5sum/b/md5.{number}.txt": MD5.encode() for number in range(8)}
    with pytest.raises(HgldError):  # the listings are answered with the body, too
        fetch_all(_source(server), wanted, tmp_path, require_md5=False)
    assert most == 2


def test_two_runs_at_once_are_refused_and_leftovers_are_cleared(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / ".manifest.json.x1.part").mkdir(parents=True)
    (tmp_path / ".out.x2.part").mkdir()
    with alone(out):
        with pytest.raises(HgldError, match="another run writes there"), alone(out):
            pass
        assert list(out.iterdir()) == [] and not (tmp_path / ".out.x2.part").exists()
    with alone(out), (tmp_path / ".out.lock").open() as handle, pytest.raises(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _folder(root: Path, digest: str) -> str:
    (root / "metadata").mkdir(parents=True)
    (root / "metadata/test.csv").write_bytes(BODY)
    (root / "md5sum/metadata").mkdir(parents=True)
    (root / "md5sum/metadata/md5.test.csv.txt").write_text(digest)
    return str(root)


def test_a_folder_serves_as_well_as_a_server(tmp_path: Path) -> None:
    source = Source(_folder(tmp_path / "from", MD5))
    entry = _fetch(source, tmp_path / "out")
    assert entry.verified and (tmp_path / "out" / "test.csv").read_bytes() == BODY
    (tmp_path / "from/metadata/test.csv").unlink()
    with pytest.raises(HgldError, match=r"no file .*is .* a complete copy"):
        _fetch(source, tmp_path / "other")


def test_a_missing_file_names_its_url_unless_it_is_optional(server: HostileServer, tmp_path: Path) -> None:
    wanted = [Wanted("metadata/nope.csv", tmp_path / "n.csv")]
    with pytest.raises(HgldError, match=r"metadata/nope\.csv: HTTP 404"):
        fetch_all(_source(server), wanted, tmp_path, require_md5=False)
    wanted = [Wanted("metadata/nope.csv", tmp_path / "n.csv", optional=True)]
    assert fetch_all(_source(server), wanted, tmp_path, require_md5=False) == {}
    del server.files[LISTING]
    with pytest.raises(HgldError, match="no MD5 is published for it; give one with --accept-md5"):
        _fetch(_source(server), tmp_path)


def test_an_unreachable_server_is_one_clear_message() -> None:
    with pytest.raises(HgldError, match=r"test\.csv\.txt: the connection failed \(.*refused\); run"):
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
def test_a_source_that_cannot_be_is_refused(base: str, message: str) -> None:
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
def test_a_listing_of_something_else_is_refused(server: HostileServer, listing: bytes, message: str) -> None:
    server.files[LISTING] = listing
    with pytest.raises(HgldError, match=message):
        published_md5(_source(server), NAME)


def test_a_listing_that_breaks_off_is_asked_for_again(server: HostileServer) -> None:
    server.script(LISTING, short_after(4), reset_after(4))
    assert published_md5(_source(server), NAME) == MD5
