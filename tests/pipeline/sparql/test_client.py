"""One question to an endpoint that misbehaves on purpose: rows, or one clear error."""

import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.client import Endpoint, QueryTimeoutError, literal, qid, select
from hgld.pipeline.sparql.endpoint_policy import has_contact, retry_after
from hgld.pipeline.sparql.rate_limit import Pace
from tests.hostile_server import Answer, HostileServer
from tests.pipeline.sparql_answers import PATH, TRACE, queries

COLUMNS = ("item", "label")
ROWS = [("a", "é"), ("b", "")]


def result(*bindings: object, columns: tuple[str, ...] = COLUMNS) -> bytes:
    """The JSON of an answer with these bindings, whatever they are."""
    return json.dumps({"head": {"vars": columns}, "results": {"bindings": bindings}}).encode()


GOOD = result({"item": {"value": "b"}}, {"item": {"value": "a"}, "label": {"value": "é"}})


class Clock:
    """A time that passes when somebody waits for it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint(hostile: HostileServer, clock: Clock) -> Iterator[Endpoint]:
    pace = Pace(clock, clock.wait)
    yield Endpoint(hostile.base + PATH, "hgld-test (me@museum.be)", timeout_s=2, retries=2, pace=pace)


def always(server: HostileServer, status: int, body: bytes | str = b"", **how: Any) -> None:
    data = body.encode() if isinstance(body, str) else body
    server.always = lambda request, _: Answer(status, data, **how)


def test_rows_are_sorted_and_the_agent_is_named(hostile: HostileServer, endpoint: Endpoint) -> None:
    always(hostile, 200, GOOD)
    assert select(endpoint, "SELECT ?item ?label WHERE { }", COLUMNS) == ROWS
    assert queries(hostile) == ["SELECT ?item ?label WHERE { }"]
    assert hostile.requests[0].headers["User-Agent"] == "hgld-test (me@museum.be)"
    assert "json" in hostile.requests[0].headers["Accept"]
    assert hostile.requests[0].headers["Accept-Encoding"] == "gzip"


def test_a_compressed_answer_is_unpacked(hostile: HostileServer, endpoint: Endpoint) -> None:
    always(hostile, 200, gzip.compress(GOOD), headers={"Content-Encoding": "gzip"})
    assert select(endpoint, "SELECT", COLUMNS) == ROWS
    always(hostile, 200, gzip.compress(GOOD)[:-9], headers={"Content-Encoding": "gzip"})
    with pytest.raises(HgldError, match="before its end"):
        select(endpoint, "SELECT 2", COLUMNS)


def test_retry_after_is_obeyed_and_without_it_the_wait_grows(
    hostile: HostileServer, endpoint: Endpoint, clock: Clock
) -> None:
    hostile.script(PATH, Answer(429, headers={"Retry-After": "7"}), Answer(503))
    always(hostile, 200, GOOD)
    assert select(endpoint, "SELECT", COLUMNS) == ROWS
    assert clock.waits[0] == 7.0
    assert 0.5 <= clock.waits[1] <= 1.0


def test_a_wait_too_long_to_sit_out_is_an_error_that_says_it(
    hostile: HostileServer, endpoint: Endpoint
) -> None:
    always(hostile, 429, headers={"Retry-After": "86400"})
    with pytest.raises(
        HgldError, match=r"wait 86,400 s; run the command again after that: what was answered is kept"
    ):
        select(endpoint, "SELECT", COLUMNS)
    assert len(hostile.requests) == 1


def test_requests_are_apart_and_a_hold_is_everybodys(clock: Clock) -> None:
    pace = Pace(clock, clock.wait)
    for _ in range(3):
        pace.turn(2.0)
    assert clock.waits == [2.0, 2.0]
    pace.hold(30.0)
    pace.turn(2.0)
    assert clock.now == 34.0
    assert pace.requests == 4


BROKEN = [
    (Answer(429), r"answered 429 .*\(3 tries\)"),
    (Answer(500, b"oops"), r"the endpoint failed: .*\(3 tries\)"),
    (Answer(502), "answered 502"),
    (Answer(200, GOOD, stop_after=20, reset=True), "cannot reach|before its end"),
    (Answer(200, b"<html>policy</html>"), "a web page instead of a JSON result: <html>"),
    (Answer(200), "nothing instead of a JSON result"),
    (Answer(200, GOOD[:40]), "broken JSON instead of a JSON result"),
    (Answer(200, GOOD, length=9999), "before its end"),
    (Answer(200, GOOD, length=len(GOOD) - 5), "broken JSON"),
    (Answer(200, b'{"head": "\xff"}'), "not UTF-8"),
    (Answer(200, b"[" * 200_000), "broken JSON"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN)
def test_what_another_try_may_repair(
    hostile: HostileServer, endpoint: Endpoint, broken: Answer, message: str
) -> None:
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
        (200, result(columns=("x",)), "asked for item, label; the answer has x"),
        (200, b"[1]", "JSON that is no SPARQL result"),
        (200, result({"item": {"value": None}}), "JSON that is no SPARQL result"),
        (200, result({"item": {"value": 1}}, {"item": {"value": "a"}}), "JSON that is no SPARQL result"),
        (200, result(7), "JSON that is no SPARQL result"),
        (200, b'{"head": {"vars": [1, "a"]}, "results": {"bindings": []}}', "JSON that is no SPARQL result"),
        (200, result({"item": {"value": "\ud800"}}), "JSON that is no SPARQL result"),
    ],
)
def test_what_no_try_repairs(
    hostile: HostileServer, endpoint: Endpoint, status: int, body: bytes, message: str
) -> None:
    always(hostile, status, body)
    with pytest.raises(HgldError, match=message) as caught:
        select(endpoint, "SELECT", COLUMNS)
    assert len(hostile.requests) == 1
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize("header", ["nan", "inf", "soon", "Mon, 01 Jan 99999 00:00:00 GMT", "", None])
def test_a_senseless_retry_after_is_as_none(header: str | None) -> None:
    assert retry_after(header) is None
    assert retry_after("-3") == retry_after("Mon, 01 Jan 1990 00:00:00 GMT") == 0.0


def test_a_label_that_reads_like_a_trace_is_a_label(hostile: HostileServer, endpoint: Endpoint) -> None:
    always(hostile, 200, result({"item": {"value": "a"}, "label": {"value": "TimeoutException"}}))
    assert select(endpoint, "SELECT", COLUMNS) == [("a", "TimeoutException")]


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://example.org/q", "http://", "http://[", "nowhere"]
)
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(HgldError, match="not the URL of a SPARQL endpoint"):
        select(Endpoint(url, "test", retries=0), "SELECT", COLUMNS)


@pytest.mark.parametrize(
    ("agent", "good"),
    [
        ("hgld/0.1 (set your own contact here)", False),
        ("hgld", False),
        ("", False),
        ("hgld (you@example.org)", False),
        ("hgld (https://example.com/bot)", False),
        ("hgld (your.name@host.org)", False),
        ("hgld/0.1 (ana@museum.be)", True),
        ("hgld/0.1 (https://github.com/ana/landmarks)", True),
    ],
)
def test_a_public_endpoint_is_not_asked_without_a_contact(agent: str, good: bool) -> None:
    assert has_contact(agent) == good
    if not good:
        with pytest.raises(HgldError, match="wants to know whom to write to"):
            select(Endpoint("https://query.wikidata.invalid/sparql", agent), "SELECT", COLUMNS)


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
def test_a_timeout_is_never_rows(hostile: HostileServer, endpoint: Endpoint, answer: Answer) -> None:
    hostile.always = lambda request, _: answer
    started = time.monotonic()
    with pytest.raises(QueryTimeoutError):
        select(replace(endpoint, timeout_s=1), "SELECT", COLUMNS)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("there", [200, 400, 404, 500, 503])
def test_an_endpoint_that_has_moved_says_where(
    hostile: HostileServer, endpoint: Endpoint, status: int, there: int
) -> None:
    """A redirected POST arrives as a GET without the query: whatever comes of that is no answer."""
    hostile.script(PATH, Answer(status, headers={"Location": "/new"}))
    always(hostile, there, GOOD)
    with pytest.raises(HgldError, match=rf"{PATH}: the endpoint has moved to {hostile.base}/new; give that"):
        select(endpoint, "SELECT", COLUMNS)
    assert len(hostile.requests) <= 2


def test_an_answer_in_chunks_is_whole_or_broken(hostile: HostileServer, endpoint: Endpoint) -> None:
    """So does the public endpoint send them: without a length."""
    always(hostile, 200, gzip.compress(GOOD), headers={"Content-Encoding": "gzip"}, chunked=True, piece=7)
    assert select(endpoint, "SELECT", COLUMNS) == ROWS
    always(hostile, 200, GOOD, chunked=True, piece=20, stop_after=40)
    with pytest.raises(HgldError, match="breaks off before its end"):
        select(endpoint, "SELECT 2", COLUMNS)


def test_nobody_there(endpoint: Endpoint) -> None:
    with pytest.raises(HgldError, match=r"cannot reach the SPARQL endpoint http://127\.0\.0\.1:9/q"):
        select(replace(endpoint, url="http://127.0.0.1:9/q"), "SELECT", COLUMNS)


def test_terms() -> None:
    assert literal("a\\b\n", "") == '"a\\\\b\\n"'
    assert qid("http://www.wikidata.org/entity/Q42") == "Q42"
    for other in ("L42", "Q", "Q0", "Q4٢", "Q²", "P31"):
        assert qid(f"http://www.wikidata.org/entity/{other}") == ""
    assert qid("http://www.wikidata.org/.well-known/genid/x") == ""
