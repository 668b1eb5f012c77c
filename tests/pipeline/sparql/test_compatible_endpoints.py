"""One query text for every endpoint: the same facts, served as the public endpoint, QLever and oxigraph serve them.

They differ in the subject of some statements (the item, or its data page), the form of unknown values and points, the
transfer of responses, the report of a timeout, and the queries that they refuse.
"""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rdflib import Graph

from hgld.pipeline.sparql.batching import COLUMNS, BatchedQuery
from hgld.pipeline.sparql.client import Endpoint, select
from hgld.pipeline.sparql.oxigraph import serving
from hgld.pipeline.stages import wikidata
from hgld.pipeline.wikidata.queries import CATEGORIES, CLASSES, ITEMS
from tests.hostile_server import Answer, HostileServer, Request
from tests.pipeline.sparql_answers import PATH, TRACE, passing_on, queries, query
from tests.pipeline.stages.test_wikidata import FACTS, NAMES, prepared, tables

AGENT = "hgld-test (me@museum.be)"
EVERY = [*NAMES, "Unknown", "Lakes of X", "Empty", "Moved", "Ring"]


@dataclass(frozen=True)
class Style:
    """How a kind of endpoint states the facts (changes of the Turtle), sends responses, and reports a timeout."""

    facts: tuple[tuple[str, str], ...]
    respond: Callable[[bytes], Answer]
    timeout: Answer
    more_facts: str = ""


def plain(body: bytes) -> Answer:
    return Answer(200, body, {"Content-Type": "application/sparql-results+json"})


def compressed_in_chunks(body: bytes) -> Answer:
    kind = {"Content-Type": "application/sparql-results+json;charset=utf-8", "Content-Encoding": "gzip"}
    return Answer(200, gzip.compress(body), kind, chunked=True, piece=100)


def with_metadata(body: bytes) -> Answer:
    result: Any = json.loads(body)
    return plain(json.dumps({**result, "meta": {"query-time-ms": 1, "result-size-total": 2}}).encode())


STYLES = {
    "oxigraph": Style((), plain, Answer(504)),
    "WDQS": Style(
        (("_:unknown", "<http://www.wikidata.org/.well-known/genid/0a>"),),
        compressed_in_chunks,
        Answer(200, TRACE.encode(), {"Content-Type": "application/sparql-results+json;charset=utf-8"}),
    ),
    "QLever": Style(
        (
            (" ; wikibase:sitelinks 12 ;", " ;"),
            ("<http://www.wikidata.org> schema:dateModified", "wikibase:Dump schema:dateModified"),
            ("Point(10.63 45.5)", "POINT(10.630000 45.500000)"),
        ),
        with_metadata,
        Answer(429, b'{"exception": "Operation timed out. In: Join", "status": "ERROR"}'),
        "<https://www.wikidata.org/wiki/Special:EntityData/Q36> wikibase:sitelinks 12 .\n",
    ),
}


@pytest.fixture(scope="module", params=STYLES)
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Style, str]]:
    """A style, and the URL of an endpoint with the facts in this style."""
    style = STYLES[request.param]
    text = FACTS.read_text(encoding="utf-8")
    for old, new in style.facts:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("facts") / "facts.ttl"
    path.write_text(text + style.more_facts, encoding="utf-8")
    with serving([path]) as url:
        yield style, url


def serve(server: HostileServer, style: Style, real_url: str, busy: bool) -> None:
    """Respond in a style; a busy endpoint times out for more than one key."""
    good = passing_on(real_url)

    def handler(request: Request, _: HostileServer) -> Answer:
        if request.headers["User-Agent"] != AGENT or len(request.body) > 200_000:
            return Answer(403)
        text = query(request)
        if any(word in text for word in ("SERVICE", "bd:", "hint:")):
            return Answer(400, b"unknown syntax")
        if busy and _keys(text) > 1:
            return style.timeout
        return style.respond(good(request, server).body)

    server.always = handler


def _keys(text: str) -> int:
    values = re.search(r"VALUES \?key \{ (.*?) \}", text)
    return len(re.findall(r'wd:Q\d+|"(?:[^"\\]|\\.)*"', values[1])) if values else 0


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables from the local facts."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("expected")
        patch.chdir(folder)
        params = prepared(folder, EVERY)
        local = params.wikidata.model_copy(update={"facts": str(folder / "facts")})
        wikidata.run(params.model_copy(update={"wikidata": local}))
        return tables(params.data / "wikidata")


@pytest.mark.parametrize("busy", [False, True])
def test_every_style_of_endpoint_gives_the_same_tables(
    hostile: HostileServer, endpoint: tuple[Style, str], expected: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, busy: bool,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    serve(hostile, *endpoint, busy)
    params = prepared(tmp_path, EVERY, hostile.base + PATH)
    settings = params.wikidata.model_copy(update={"user_agent": AGENT, "batch": 20, "retries": 0})
    wikidata.run(params.model_copy(update={"wikidata": settings}))
    assert tables(params.data / "wikidata") == expected
    snapshot = json.loads((params.data / "wikidata/snapshot.json").read_text(encoding="utf-8"))
    assert snapshot["date"] == "2026-01-02T03:04:05Z"
    assert (len(queries(hostile)) > 20) == busy


@pytest.mark.parametrize(
    ("batched", "keys"),
    [
        (CATEGORIES, EVERY),
        (ITEMS, ["Q6414", "Q900", "Q901", "Q27", "Q30", "Q36"]),
        (CLASSES, ["Q23397", "Q33", "Q501", "Q7"]),
    ],
    ids=lambda value: value.path.stem if isinstance(value, BatchedQuery) else "",
)
def test_rdflib_returns_the_same_rows(batched: BatchedQuery, keys: list[str]) -> None:
    """An independent reference: rdflib shares no code with the servers."""
    text = batched.text(keys)
    graph = Graph().parse(FACTS, format="turtle")
    reference = {tuple("" if value is None else str(value) for value in row) for row in graph.query(text)}
    with serving([FACTS]) as url:
        rows = select(Endpoint(url, "test"), text, COLUMNS)
    assert _without_blank_nodes(reference) == _without_blank_nodes(set(rows))
    assert len(reference) > len(keys) + 3


def _without_blank_nodes(rows: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The names of blank nodes differ between engines."""
    return {row for row in rows if row[1] != "P31" or row[2].startswith("http")}
