"""The hostile server follows its scripts, seen by an independent client; and the table of faults."""

import http.client

import pytest
import requests

from tests.fault_table import FaultTable
from tests.hostile_server import (
    Answer,
    HostileServer,
    dripping,
    good,
    ignoring_range,
    reset_after,
    short_after,
)

BODY = bytes(range(256)) * 40


@pytest.fixture
def url(hostile: HostileServer) -> str:
    hostile.files["/a"] = BODY
    return f"{hostile.base}/a"


def test_without_a_script_ranges_and_validators_are_served(hostile: HostileServer, url: str) -> None:
    whole = requests.get(url, timeout=5)
    tag = whole.headers["ETag"]
    part = requests.get(url, headers={"Range": "bytes=100-", "If-Range": tag}, timeout=5)
    assert (whole.content, part.status_code, part.content) == (BODY, 206, BODY[100:])
    assert part.headers["Content-Range"] == f"bytes 100-{len(BODY) - 1}/{len(BODY)}"
    assert requests.get(url, headers={"Range": "bytes=1-", "If-Range": '"x"'}, timeout=5).status_code == 200
    assert requests.get(url, headers={"If-None-Match": tag}, timeout=5).status_code == 304
    assert requests.get(url, headers={"Range": "bytes=999999-"}, timeout=5).status_code == 416
    assert requests.head(url, timeout=5).headers["Content-Length"] == str(len(BODY))
    assert requests.get(f"{hostile.base}/b", timeout=5).status_code == 404
    assert [request.method for request in hostile.requests] == ["GET"] * 5 + ["HEAD", "GET"]


def test_script_is_consumed_and_then_the_file_is_served(hostile: HostileServer, url: str) -> None:
    hostile.script("/a", Answer(429, b"slow down", {"Retry-After": "3"}), good)
    first = requests.post(url, data=b"query=x", timeout=5)
    assert (first.status_code, first.headers["Retry-After"]) == (429, "3")
    assert [requests.get(url, timeout=5).content for _ in range(2)] == [BODY, BODY]
    assert hostile.requests[0].body == b"query=x"


@pytest.mark.parametrize("fault", [short_after(1000), reset_after(1000)])
def test_truncated_body_is_an_error_for_the_client(hostile: HostileServer, url: str, fault: object) -> None:
    hostile.script("/a", fault)  # type: ignore[arg-type]
    connection = http.client.HTTPConnection(hostile.base.removeprefix("http://"), timeout=5)
    connection.request("GET", "/a")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        connection.getresponse().read()
    connection.close()


def test_chunks_are_sent_and_truncated(hostile: HostileServer, url: str) -> None:
    hostile.script("/a", Answer(200, BODY, chunked=True, piece=999), Answer(200, BODY, chunked=True, stop_after=999))
    whole = requests.get(url, timeout=5)
    assert (whole.headers["Transfer-Encoding"], whole.content) == ("chunked", BODY)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url, timeout=5)


def test_slow_answer_and_ignored_range(hostile: HostileServer, url: str) -> None:
    hostile.script("/a", dripping(5000, 0.01), ignoring_range)
    assert requests.get(url, timeout=5).content == BODY
    second = requests.get(url, headers={"Range": "bytes=10-"}, timeout=5)
    assert (second.status_code, second.content) == (200, BODY)


def test_fault_table_is_sorted_by_part_and_truncated() -> None:
    table = FaultTable()
    table.add("wikidata", "500", "an\nerror")
    table.add("download", "a reset", "the right bytes")
    assert table.lines() == ["download", "  a reset  the right bytes", "wikidata", "  500      an error"]
    assert len(table.lines(20)[1]) == 20
    assert FaultTable().lines() == []
