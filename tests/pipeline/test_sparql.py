"""The SPARQL client against a real HTTP server that misbehaves on purpose: rows, or one clear error."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from hgld.hierarchy.errors import HgldError
from hgld.pipeline import sparql
from hgld.pipeline.sparql import Endpoint, QueryTimeoutError, entity, literal, qid, select, select_all

GOOD = json.dumps({
    "head": {"vars": ["item", "label"]},
    "results": {"bindings": [{"item": {"value": "b"}}, {"item": {"value": "a"}, "label": {"value": "é"}}]},
})  # fmt: skip
ROWS = [{"item": "a", "label": "é"}, {"item": "b", "label": ""}]
COLUMNS = ("item", "label")
TRACE = '{"head": {"vars": ["item"]}, "results": {"bindings": [\nSPARQL-QUERY: x\njava.util.concurrent.TimeoutException'

Answer = tuple[int, dict[str, str], str]
Script = Callable[[int, str], Answer]


class Server(ThreadingHTTPServer):
    """Answers the n-th query with script(n, query); keeps what it was asked."""

    daemon_threads = True

    def __init__(self, script: Script) -> None:
        self.script = script
        self.queries: list[str] = []
        self.headers: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.queries.append(form["query"][0])
        self.server.headers.append(dict(self.headers))
        status, headers, body = self.server.script(len(self.server.queries) - 1, form["query"][0])
        if status == 0:
            self.connection.close()
            return
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", headers.pop("Content-Type", "application/sparql-results+json"))
        self.send_header("Content-Length", headers.pop("Content-Length", str(len(data))))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve(script: Script) -> Iterator[tuple[Server, Endpoint]]:
    server = Server(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        host, port = server.server_address[:2]
        yield (
            server,
            Endpoint(
                f"http://{host!s}:{port}/q", "hgld-test (me@example.org)", timeout_s=2, retries=2, batch=4
            ),
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(*bindings: object) -> str:
    """The JSON of an answer with these bindings, whatever they are."""
    return json.dumps({"head": {"vars": ["item", "label"]}, "results": {"bindings": bindings}})


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have waited, in seconds."""
    slept: list[float] = []
    monkeypatch.setattr(sparql, "sleep", slept.append)
    return slept


def always(status: int, body: str, **headers: str) -> Script:
    return lambda number, query: (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        body,
    )


def then(*answers: Answer) -> Script:
    return lambda number, query: answers[min(number, len(answers) - 1)]


def test_rows_are_sorted_and_the_agent_is_named() -> None:
    with serve(always(200, GOOD)) as (server, endpoint):
        assert select(endpoint, "SELECT ?item ?label WHERE { }", COLUMNS) == ROWS
    assert server.headers[0]["User-Agent"] == "hgld-test (me@example.org)"
    assert "json" in server.headers[0]["Accept"]


def test_retry_after_is_obeyed(waits: list[float]) -> None:
    with serve(then((429, {"Retry-After": "7"}, ""), (503, {}, ""), (200, {}, GOOD))) as (_, endpoint):
        assert select(endpoint, "SELECT", COLUMNS) == ROWS
    assert [one for one in waits if one] == [7.0, 1.0]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ((429, {}, ""), r"answered 429 .*\(3 tries\)"),
        ((500, {}, "oops"), r"the endpoint failed: .*\(3 tries\)"),
        ((502, {}, ""), "answered 502"),
        ((0, {}, ""), "cannot reach the SPARQL endpoint"),
        (
            (200, {"Content-Type": "text/html"}, "<html>policy</html>"),
            "a web page instead of a JSON result: <html>",
        ),
        ((200, {}, ""), "nothing instead of a JSON result"),
        ((200, {}, GOOD[:40]), "broken JSON instead of a JSON result"),
        ((200, {"Content-Length": "9999"}, GOOD), "cannot reach|failed"),
    ],
)
def test_what_another_try_may_repair(waits: list[float], broken: Answer, message: str) -> None:
    with serve(lambda n, q: (broken[0], dict(broken[1]), broken[2]) if n < 2 else (200, {}, GOOD)) as (
        _,
        endpoint,
    ):
        assert select(endpoint, "SELECT", COLUMNS) == ROWS
    script: Script = lambda n, q: (broken[0], dict(broken[1]), broken[2])  # noqa: E731
    with serve(script) as (server, endpoint), pytest.raises(HgldError, match=message):
        select(endpoint, "SELECT", COLUMNS)
    assert len(server.queries) == 3


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (always(403, "no"), r"refused \(403\) for the user agent 'hgld-test"),
        (always(404, "no"), "no SPARQL endpoint there"),
        (always(400, "bad"), "does not accept the query"),
        (
            always(200, '{"head": {"vars": ["x"]}, "results": {"bindings": []}}'),
            "asked for item, label; the answer has x",
        ),
        (always(200, "[1]"), "JSON that is no SPARQL result"),
        (always(410, ""), "answered 410"),
        (always(200, answer({"item": {"value": None}})), "JSON that is no SPARQL result"),
        (
            always(200, answer({"item": {"value": 1}}, {"item": {"value": "a"}})),
            "JSON that is no SPARQL result",
        ),
        (always(200, answer(7)), "JSON that is no SPARQL result"),
        (
            always(200, '{"head": {"vars": [1, "a"]}, "results": {"bindings": []}}'),
            "JSON that is no SPARQL result",
        ),
    ],
)
def test_what_no_try_repairs(waits: list[float], script: Script, message: str) -> None:
    with serve(script) as (server, endpoint), pytest.raises(HgldError, match=message):
        select(endpoint, "SELECT", COLUMNS)
    assert len(server.queries) == 1


@pytest.mark.parametrize("header", ["nan", "inf", "soon", "Mon, 01 Jan 99999 00:00:00 GMT"])
def test_a_senseless_retry_after_is_as_none(waits: list[float], header: str) -> None:
    with serve(then((429, {"Retry-After": header}, ""), (200, {}, GOOD))) as (_, endpoint):
        assert select(endpoint, "SELECT", COLUMNS) == ROWS
    assert [one for one in waits if one] == [0.5]


def test_a_label_that_reads_like_a_trace_is_a_label() -> None:
    body = answer({"item": {"value": "a"}, "label": {"value": "TimeoutException"}})
    with serve(always(200, body)) as (_, endpoint):
        assert select(endpoint, "SELECT", COLUMNS) == [{"item": "a", "label": "TimeoutException"}]


def test_deep_nesting_is_broken_json(waits: list[float]) -> None:
    with serve(always(200, "[" * 200_000)) as (_, endpoint), pytest.raises(HgldError, match="broken JSON"):
        select(endpoint, "SELECT", COLUMNS)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://example.org/q", "http://", "http://[", "nowhere"]
)
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(HgldError, match="not the URL of a SPARQL endpoint"):
        select(Endpoint(url, "test", retries=0), "SELECT", COLUMNS)


@pytest.mark.parametrize("script", [always(200, TRACE), always(500, TRACE)])
def test_a_java_trace_is_a_timeout_never_rows(script: Script) -> None:
    with serve(script) as (_, endpoint), pytest.raises(QueryTimeoutError):
        select(endpoint, "SELECT", COLUMNS)


def test_a_slow_answer_is_a_timeout() -> None:
    over = threading.Event()

    def slow(number: int, query: str) -> Answer:
        over.wait(5)
        return 200, {}, GOOD

    with serve(slow) as (_, endpoint), pytest.raises(QueryTimeoutError):
        try:
            select(Endpoint(endpoint.url, "test", timeout_s=1, retries=0), "SELECT", COLUMNS)
        finally:
            over.set()


def test_nobody_there_and_no_url(waits: list[float]) -> None:
    with pytest.raises(HgldError, match=r"cannot reach the SPARQL endpoint http://127\.0\.0\.1:9/q"):
        select(Endpoint("http://127.0.0.1:9/q", "test", retries=1), "SELECT", COLUMNS)
    with pytest.raises(HgldError, match=r"not the URL of a SPARQL endpoint|cannot reach"):
        select(Endpoint("nowhere", "test", retries=0), "SELECT", COLUMNS)


def echo(limit: int) -> Script:
    """Answers labels.rq for up to `limit` items, and times out above that."""

    def script(number: int, query: str) -> Answer:
        asked = [term for term in query.split("{")[2].split("}")[0].split() if term.startswith("wd:")]
        if len(asked) > limit:
            return 200, {}, TRACE
        bindings = [{"item": {"value": one}, "label": {"value": one[3:]}} for one in asked]
        return 200, {}, json.dumps({"head": {"vars": ["item", "label"]}, "results": {"bindings": bindings}})

    return script


def test_batches_are_halved_until_they_fit() -> None:
    items = [entity(f"Q{n}") for n in range(1, 11)]
    with serve(echo(2)) as (server, endpoint):
        rows = select_all(endpoint, "labels", [*items, items[0]], COLUMNS)
    assert sorted(row["item"] for row in rows) == sorted(items)
    assert len(server.queries) == 2 * 3 + 1
    with (
        serve(echo(0)) as (_, endpoint),
        pytest.raises(HgldError, match="no answer in time, even for wd:Q1 alone"),
    ):
        select_all(endpoint, "labels", items[:1], COLUMNS)


def test_answers_are_kept_and_not_asked_again(tmp_path: Path) -> None:
    items = [entity(f"Q{n}") for n in range(1, 11)]
    with serve(echo(9)) as (server, plain):
        endpoint = Endpoint(plain.url, "test", batch=4, cache=tmp_path / "answers")
        first = select_all(endpoint, "labels", items, COLUMNS)
        assert select_all(endpoint, "labels", items[::-1], COLUMNS) == first
        assert len(server.queries) == 3
        assert len(list((tmp_path / "answers").iterdir())) == 3
    with serve(always(200, "<html>")) as (_, plain), pytest.raises(HgldError):
        select(Endpoint(plain.url, "test", retries=0, cache=tmp_path / "bad"), "SELECT", COLUMNS)
    assert not (tmp_path / "bad").exists()


def test_terms() -> None:
    assert literal("a\\b\n", "") == '"a\\\\b\\n"'
    assert qid("http://www.wikidata.org/entity/Q42") == "Q42"
    assert (
        qid("http://www.wikidata.org/entity/L42") == qid("http://www.wikidata.org/.well-known/genid/x") == ""
    )
