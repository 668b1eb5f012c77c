"""Many files from a server or a folder: verified, in parallel, with one message for everything that failed."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.download_files import Download, fetch_all
from hgld.pipeline.acquisition.source import Source
from tests.fault_table import FaultTable
from tests.full_disk import full_disk
from tests.hostile_server import Answer, HostileServer
from tests.pipeline.acquisition.served_file import (
    BODY,
    HALF,
    LISTING,
    MD5,
    NAME,
    URL,
    fetch,
    local_copy,
    source_of,
)


def test_retry_after_holds_back_all_files(server: HostileServer, tmp_path: Path) -> None:
    names = [f"a/{number}" for number in range(12)]
    server.files |= {f"/{name}": BODY for name in names}
    server.script("/a/3", Answer(429, b"", {"Retry-After": "2"}))
    fetch_all(source_of(server), [Download(name, tmp_path / name) for name in names], tmp_path, require_md5=False)
    held = server.asked("/a/3")[0].at
    delays = [request.at - held for request in server.requests]
    after = [delay for delay in delays if delay > 0.3]  # the others were sent before the hold
    assert len(after) > 5 and min(after) >= 1.9


def test_announced_size_is_compared_without_an_md5(server: HostileServer, tmp_path: Path) -> None:
    del server.files[LISTING]
    page = Answer(200, b"<html>please log in</html>")
    server.script(URL, page)
    fetch(source_of(server), tmp_path / "once", require_md5=False)
    assert (tmp_path / "once/test.csv").read_bytes() == BODY
    server.script(URL, page, page)
    with pytest.raises(HgldError, match=r"test\.csv: received 26 bytes, 340,000 were announced"):
        fetch(source_of(server), tmp_path / "twice", require_md5=False)
    assert not (tmp_path / "twice/test.csv").exists()


@pytest.mark.parametrize("where", ["http", "folder"])
def test_full_disk_is_one_message_and_the_partial_file_is_kept(
    server: HostileServer, tmp_path: Path, fault_table: FaultTable, where: str
) -> None:
    out = tmp_path / "out"
    source = source_of(server) if where == "http" else Source(local_copy(tmp_path / "from", MD5))
    with full_disk(HALF), pytest.raises(HgldError, match=r"test\.csv\.part: File too large") as caught:
        fetch(source, out)
    assert len(server.asked(URL)) == (where == "http")  # a retry would not help
    message = str(caught.value).replace(str(tmp_path), "").replace(server.base, "http://server")
    fault_table.add("download", f"disk full ({where})", f"error: {message}")
    fetch(source_of(server) if where == "http" else source, out)
    assert (out / "test.csv").read_bytes() == BODY
    if where == "http":
        assert server.asked(URL)[-1].headers["Range"] == f"bytes={HALF}-"


def test_new_version_needs_space_beside_the_old_one(server: HostileServer, tmp_path: Path) -> None:
    fetch(source_of(server), tmp_path)
    free = shutil.disk_usage(tmp_path).free
    (tmp_path / "test.csv").write_bytes(b"old")
    os.truncate(tmp_path / "test.csv", free)  # a sparse file: it takes no space
    server.heads = lambda request, _: Answer(200, length=free + (1 << 30))
    with pytest.raises(HgldError, match=r"the download needs [\d,.]+ GB"):
        fetch(source_of(server), tmp_path)


def test_free_disk_space_is_checked_first(server: HostileServer, tmp_path: Path) -> None:
    server.heads = lambda request, _: Answer(200, length=10**16)
    with pytest.raises(HgldError, match=r"needs 10,000,000\.0 GB and the disk has .* GB free"):
        fetch(source_of(server), tmp_path)
    assert server.asked(URL) == []


def test_small_amounts_of_disk_space_are_not_zero(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4_096))
    server.heads = lambda request, _: Answer(200, length=2_500_000)
    with pytest.raises(HgldError, match=r"needs 2\.5 MB and the disk has 4\.1 kB free"):
        fetch(source_of(server), tmp_path)


def test_file_with_the_published_md5_is_not_downloaded_again(server: HostileServer, tmp_path: Path) -> None:
    first = fetch(source_of(server), tmp_path)
    assert fetch(source_of(server), tmp_path) == first
    assert len(server.asked(URL)) == 1


def test_without_an_md5_a_changed_etag_causes_a_new_download(server: HostileServer, tmp_path: Path) -> None:
    del server.files[LISTING]
    for _ in range(2):
        assert not fetch(source_of(server), tmp_path, require_md5=False).verified
    assert len(server.asked(URL)) == 1
    server.files[URL] = BODY[:170]
    fetch(source_of(server), tmp_path, require_md5=False)
    assert (tmp_path / "test.csv").read_bytes() == BODY[:170]


@pytest.mark.parametrize("where", ["http", "folder"])
def test_md5_mismatch_shows_both_values_and_how_to_accept_the_file(
    server: HostileServer, tmp_path: Path, where: str
) -> None:
    server.files[LISTING] = ("0" * 32).encode()
    source = source_of(server) if where == "http" else Source(local_copy(tmp_path / "from", "0" * 32))
    out = tmp_path / "out"
    with pytest.raises(HgldError, match=f"published MD5 {'0' * 32}, found {MD5}.*--accept-md5 {NAME}={MD5}"):
        fetch(source, out)
    assert not (out / "test.csv").exists()
    with pytest.raises(HgldError, match=f"or the accepted {'1' * 32}, found"):
        fetch(source, out, accept={NAME: "1" * 32})
    entry = fetch(source, out, accept={NAME: MD5})
    assert (entry.md5_published, entry.md5_accepted, entry.verified) == ("0" * 32, MD5, False)
    assert json.loads((out / "manifest.json").read_text())[0]["md5_accepted"] == MD5
    # the manifest records it for a later run (dvc repro has no flags)
    assert fetch(source, out) == entry


def test_accepted_md5_of_an_unknown_file_is_refused(server: HostileServer, tmp_path: Path) -> None:
    with pytest.raises(HgldError, match=rf"no file 'metadata/tset.csv'.*did you mean '{NAME}'"):
        fetch(source_of(server), tmp_path, accept={"metadata/tset.csv": MD5})


def test_server_without_head_is_supported(server: HostileServer, tmp_path: Path) -> None:
    server.heads = lambda request, _: Answer(405)
    assert fetch(source_of(server), tmp_path).etag == server.etag(URL)


def test_one_failed_file_does_not_stop_the_others(server: HostileServer, tmp_path: Path) -> None:
    downloads = [Download(f"a/{number}", tmp_path / str(number)) for number in range(6)]
    server.files |= {f"/a/{number}": BODY for number in range(6)}
    server.script("/a/2", Answer(403))
    with pytest.raises(HgldError, match=r"a/2: expected a file, got HTTP 403"):
        fetch_all(source_of(server), downloads, tmp_path, require_md5=False)
    assert sorted(path.name for path in tmp_path.glob("?")) == ["0", "1", "3", "4", "5"]
    fetch_all(source_of(server), downloads, tmp_path, require_md5=False)
    assert len(server.asked("/a/0")) == 1


def test_missing_server_is_not_tried_for_every_file(server: HostileServer, tmp_path: Path) -> None:
    downloads = [Download(f"a/{number}", tmp_path / str(number)) for number in range(100)]
    with pytest.raises(HgldError, match=r"of 100 downloads failed:(?s:.*)the others were cancelled"):
        fetch_all(source_of(server), downloads, tmp_path, require_md5=False)
    assert len(server.requests) < 20


def test_concurrent_requests_are_limited(server: HostileServer, tmp_path: Path) -> None:
    lock, active, peak = threading.Lock(), 0, 0

    def count(request: object, _: HostileServer) -> Answer:
        nonlocal active, peak
        with lock:
            active += 1
            peak = max(peak, active)
        server.pause(0.05)
        with lock:
            active -= 1
        return Answer(200, BODY)

    server.always = count
    downloads = [Download(f"b/{number}", tmp_path / str(number)) for number in range(8)]
    server.files |= {f"/b/{number}": BODY for number in range(8)}
    server.files |= {f"/md5sum/b/md5.{number}.txt": MD5.encode() for number in range(8)}
    with pytest.raises(HgldError):  # the md5sum listings get the body, too
        fetch_all(source_of(server), downloads, tmp_path, require_md5=False)
    assert peak == 2


def test_local_folder_is_a_source(tmp_path: Path) -> None:
    source = Source(local_copy(tmp_path / "from", MD5))
    entry = fetch(source, tmp_path / "out")
    assert entry.verified and (tmp_path / "out" / "test.csv").read_bytes() == BODY
    (tmp_path / "from/metadata/test.csv").unlink()
    with pytest.raises(HgldError, match=r"no file .*is .* a complete copy"):
        fetch(source, tmp_path / "other")


def test_missing_file_is_an_error_unless_it_is_optional(server: HostileServer, tmp_path: Path) -> None:
    downloads = [Download("metadata/nope.csv", tmp_path / "n.csv")]
    with pytest.raises(HgldError, match=r"metadata/nope\.csv: expected a file, got HTTP 404"):
        fetch_all(source_of(server), downloads, tmp_path, require_md5=False)
    downloads = [Download("metadata/nope.csv", tmp_path / "n.csv", optional=True)]
    assert fetch_all(source_of(server), downloads, tmp_path, require_md5=False) == {}
    del server.files[LISTING]
    with pytest.raises(HgldError, match="no MD5 is published for it; give one with --accept-md5"):
        fetch(source_of(server), tmp_path)
