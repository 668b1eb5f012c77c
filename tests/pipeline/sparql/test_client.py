"""One query to an endpoint that fails on purpose: rows, or one clear error."""

import gzip
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.retry import RateLimiter
from hgld.pipeline.sparql.client import Endpoint, select
from hgld.pipeline.sparql.results import QueryTimeoutError
from tests.hostile_server import Answer, HostileServer
from tests.pipeline.acquisition.fake_clock import FakeClock
from tests.pipeline.sparql_answers import PATH, TRACE, queries, result

COLUMNS = ("item", "label")
ROWS = [("a", "é"), ("b", "")]


GOOD = result({"item": {"value": "b"}}, {"item": {"value": "a"}, "label": {"value": "é"}}, columns=COLUMNS)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def endpoint(hostile: HostileServer, clock: FakeClock) -> Iterator[Endpoint]:
    limiter = RateLimiter(clock, clock.wait)
    yield Endpoint(hostile.base + PATH, "hgld-test (me@museum.be)", timeout_s=2, retries=2, limiter=limiter)


def always(server: HostileServer, status: int, body: bytes = b"", **settings: Any) -> None:
    server.always = lambda request, _: Answer(status, body, **settings)


def test_rows_are_sorted_and_the_user_agent_is_sent(hostile: HostileServer, endpoint: Endpoint) -> None:
    always(hostile, 200, GOOD)
    assert select(endpoint, "SELECT ?item ?label WHERE { }", COLUMNS) == ROWS
    assert queries(hostile) == ["SELECT ?item ?label WHERE { }"]
    assert hostile.requests[0].headers["User-Agent"] == "hgld-test (me@museum.be)"
    assert "json" in hostile.requests[0].headers["Accept"]
    assert hostile.requests[0].headers["Accept-Encoding"] == "gzip"


def test_compressed_response_is_decompressed(hostile: HostileServer, endpoint: Endpoint) -> None:
    always(hostile, 200, gzip.compress(GOOD), headers={"Content-Encoding": "gzip"})
    assert select(endpoint, "SELECT", COLUMNS) == ROWS
    always(hostile, 200, gzip.compress(GOOD)[:-9], headers={"Content-Encoding": "gzip"})
    with pytest.raises(HgldError, match="the response is truncated"):
        select(endpoint, "SELECT 2", COLUMNS)


def test_retry_after_is_obeyed_and_without_it_the_backoff_grows(
    hostile: HostileServer, endpoint: Endpoint, clock: FakeClock
) -> None:
    hostile.script(PATH, Answer(429, headers={"Retry-After": "7"}), Answer(503))
    always(hostile, 200, GOOD)
    assert select(endpoint, "SELECT", COLUMNS) == ROWS
    assert clock.waits[0] == 7.0
    assert 0.0 <= clock.waits[1] <= 2.0


def test_very_long_retry_after_is_an_error(hostile: HostileServer, endpoint: Endpoint) -> None:
    always(hostile, 429, headers={"Retry-After": "86400"})
    with pytest.raises(
        HgldError, match=r"wait 86,400 s; run the command again after that time: what was completed is kept"
    ):
        select(endpoint, "SELECT", COLUMNS)
    assert len(hostile.requests) == 1


BROKEN = [
    (Answer(429), r"answered 429 .*\(tried 3 times\)"),
    (Answer(500, b"oops"), r"the endpoint failed: .*\(tried 3 times\)"),
    (Answer(502), "answered 502"),
    (Answer(200, GOOD, stop_after=20, reset=True), "cannot reach|the response is truncated"),
    (Answer(200, b"<html>policy</html>"), "a web page instead of a JSON result: <html>"),
    (Answer(200), "an empty body instead of a JSON result"),
    (Answer(200, GOOD[:40]), "broken JSON instead of a JSON result"),
    (Answer(200, GOOD, length=9999), "the response is truncated"),
    (Answer(200, GOOD, length=len(GOOD) - 5), "broken JSON"),
    (Answer(200, b'{"head": "\xff"}'), "not UTF-8"),
    (Answer(200, b"[" * 200_000), "broken JSON"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN)
def test_transient_fault_is_retried(hostile: HostileServer, endpoint: Endpoint, broken: Answer, message: str) -> None:
    hostile.script(PATH, broken, broken)
    always(hostile, 200, GOOD)
    assert select(endpoint, "SELECT 1", COLUMNS) == ROWS
    hostile.always = lambda request, _: broken
    with pytest.raises(HgldError, match=message):
        select(endpoint, "SELECT 2", COLUMNS)
    assert queries(hostile).count("SELECT 2") == 3


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (403, b"no", r"refused \(403\) for the user agent 'hgld-test"),
        (404, b"no", "no SPARQL endpoint there"),
        (400, b"bad", "does not accept the query"),
        (400, b"SPARQL-QUERY: x Time Out Market MalformedQueryException", "does not accept the query"),
        (410, b"", "answered 410"),
        (200, result(columns=("x",)), "expected the columns item, label; the response has x"),
        (200, b"[1]", "JSON that is not a SPARQL result"),
        (200, result({"item": {"value": None}}, columns=COLUMNS), "JSON that is not a SPARQL result"),
        (
            200,
            result({"item": {"value": 1}}, {"item": {"value": "a"}}, columns=COLUMNS),
            "JSON that is not a SPARQL result",
        ),
        (200, result(7, columns=COLUMNS), "JSON that is not a SPARQL result"),
        (
            200,
            b'{"head": {"vars": [1, "a"]}, "results": {"bindings": []}}',
            "JSON that is not a SPARQL result",
        ),
        (200, result({"item": {"value": "\ud800"}}, columns=COLUMNS), "JSON that is not a SPARQL result"),
    ],
)
def test_permanent_fault_is_not_retried(
    hostile: HostileServer, endpoint: Endpoint, status: int, body: bytes, message: str
) -> None:
    always(hostile, status, body)
    with pytest.raises(HgldError, match=message) as caught:
        select(endpoint, "SELECT", COLUMNS)
    assert len(hostile.requests) == 1
    str(caught.value).encode("utf-8")


def test_label_that_looks_like_a_stack_trace_is_a_label(hostile: HostileServer, endpoint: Endpoint) -> None:
    always(
        hostile,
        200,
        result({"item": {"value": "a"}, "label": {"value": "TimeoutException"}}, columns=COLUMNS),
    )
    assert select(endpoint, "SELECT", COLUMNS) == [("a", "TimeoutException")]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, TRACE.encode()),
        Answer(500, TRACE.encode()),
        Answer(504),
        Answer(413),
        Answer(414),
        Answer(429, b'{"exception": "Operation timed out."}'),
        Answer(200, GOOD, piece=4, pause_s=0.1),
        Answer(200, GOOD, wait_s=5),
    ],
)
def test_timeout_is_never_rows(hostile: HostileServer, endpoint: Endpoint, answer: Answer) -> None:
    hostile.always = lambda request, _: answer
    started = time.monotonic()
    with pytest.raises(QueryTimeoutError):
        select(replace(endpoint, timeout_s=1), "SELECT", COLUMNS)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("moved_status", [200, 400, 404, 500, 503])
def test_moved_endpoint_is_an_error_with_the_new_url(
    hostile: HostileServer, endpoint: Endpoint, status: int, moved_status: int
) -> None:
    """A redirected POST arrives as a GET without the query, so its response is worthless."""
    hostile.script(PATH, Answer(status, headers={"Location": "/new"}))
    always(hostile, moved_status, GOOD)
    with pytest.raises(HgldError, match=rf"{PATH}: the endpoint has moved to {hostile.base}/new; use that URL"):
        select(endpoint, "SELECT", COLUMNS)
    assert len(hostile.requests) <= 2


def test_chunked_response_is_complete_or_an_error(hostile: HostileServer, endpoint: Endpoint) -> None:
    """The public endpoint sends its responses in chunks, without a length."""
    always(hostile, 200, gzip.compress(GOOD), headers={"Content-Encoding": "gzip"}, chunked=True, piece=7)
    assert select(endpoint, "SELECT", COLUMNS) == ROWS
    always(hostile, 200, GOOD, chunked=True, piece=20, stop_after=40)
    with pytest.raises(HgldError, match="the response is truncated"):
        select(endpoint, "SELECT 2", COLUMNS)


def test_unreachable_endpoint_is_named(endpoint: Endpoint) -> None:
    with pytest.raises(HgldError, match=r"http://127\.0\.0\.1:9/q: cannot reach the SPARQL endpoint: .*refused"):
        select(replace(endpoint, url="http://127.0.0.1:9/q"), "SELECT", COLUMNS)
