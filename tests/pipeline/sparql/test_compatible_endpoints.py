"""One query text for every endpoint: the same facts as the public endpoint, QLever and oxigraph serve them.

What they differ in: where a dump states what the public endpoint states of the item, how unknown values and points
look, how an answer is sent, what a timeout looks like, and what is refused.
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

from hgld.pipeline.sparql.batching import COLUMNS, Question
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
class Like:
    """How an endpoint has the facts (changes of the Turtle), sends answers, and says that a query took too long."""

    facts: tuple[tuple[str, str], ...]
    sent: Callable[[bytes], Answer]
    timeout: Answer


def as_it_is(body: bytes) -> Answer:
    return Answer(200, body, {"Content-Type": "application/sparql-results+json"})


def packed_in_chunks(body: bytes) -> Answer:
    kind = {"Content-Type": "application/sparql-results+json;charset=utf-8", "Content-Encoding": "gzip"}
    return Answer(200, gzip.compress(body), kind, chunked=True, piece=100)


def with_a_report(body: bytes) -> Answer:
    answer: Any = json.loads(body)
    return as_it_is(json.dumps({**answer, "meta": {"query-time-ms": 1, "result-size-total": 2}}).encode())


LIKES = {
    "oxigraph": Like((), as_it_is, Answer(504)),
    "WDQS": Like(
        (("_:unknown", "<http://www.wikidata.org/.well-known/genid/0a>"),),
        packed_in_chunks,
        Answer(200, TRACE.encode(), {"Content-Type": "application/sparql-results+json;charset=utf-8"}),
    ),
    "QLever": Like(
        (
            (" ; wikibase:sitelinks 12 ;", " ;"),
            ("<http://www.wikidata.org> schema:dateModified", "wikibase:Dump schema:dateModified"),
            ("Point(10.63 45.5)", "POINT(10.630000 45.500000)"),
            (
                "# a name for all languages",
                "<https://www.wikidata.org/wiki/Special:EntityData/Q36> wikibase:sitelinks 12 .\n#",
            ),
        ),
        with_a_report,
        Answer(429, b'{"exception": "Operation timed out. In: Join", "status": "ERROR"}'),
    ),
}


@pytest.fixture(scope="module", params=LIKES)
def like(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Like, str]]:
    """A like, and the URL of an endpoint that has the facts as it would."""
    chosen = LIKES[request.param]
    text = FACTS.read_text(encoding="utf-8")
    for old, new in chosen.facts:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("like") / "facts.ttl"
    path.write_text(text, encoding="utf-8")
    with serving([path]) as url:
        yield chosen, url


def served(server: HostileServer, like: Like, real_url: str, busy: bool) -> None:
    """Answer as the like does; a busy one has no time for more than one key."""
    good = passing_on(real_url)

    def handler(request: Request, _: HostileServer) -> Answer:
        if request.headers["User-Agent"] != AGENT or len(request.body) > 200_000:
            return Answer(403)
        text = query(request)
        if any(word in text for word in ("SERVICE", "bd:", "hint:")):
            return Answer(400, b"not known here")
        if busy and _keys(text) > 1:
            return like.timeout
        return like.sent(good(request, server).body)

    server.always = handler


def _keys(text: str) -> int:
    found = re.search(r"VALUES \?key \{ (.*?) \}", text)
    return len(re.findall(r'wd:Q\d+|"(?:[^"\\]|\\.)*"', found[1])) if found else 0


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables from the facts as they are."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("right")
        patch.chdir(folder)
        params = prepared(folder, EVERY)
        local = params.wikidata.model_copy(update={"facts": str(folder / "facts")})
        wikidata.run(params.model_copy(update={"wikidata": local}))
        return tables(params.data / "wikidata")


@pytest.mark.parametrize("busy", [False, True])
def test_every_like_gives_the_same_tables(
    hostile: HostileServer, like: tuple[Like, str], right: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, busy: bool,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    served(hostile, *like, busy)
    params = prepared(tmp_path, EVERY, hostile.base + PATH)
    asked = params.wikidata.model_copy(update={"user_agent": AGENT, "batch": 20, "retries": 0})
    wikidata.run(params.model_copy(update={"wikidata": asked}))
    assert tables(params.data / "wikidata") == right
    snapshot = json.loads((params.data / "wikidata/snapshot.json").read_text(encoding="utf-8"))
    assert snapshot["date"] == "2026-01-02T03:04:05Z"
    assert (len(queries(hostile)) > 20) == busy


@pytest.mark.parametrize(
    ("question", "keys"),
    [
        (CATEGORIES, EVERY),
        (ITEMS, ["Q6414", "Q900", "Q901", "Q27", "Q30", "Q36"]),
        (CLASSES, ["Q23397", "Q33", "Q501", "Q7"]),
    ],
    ids=lambda one: one.path.stem if isinstance(one, Question) else "",
)
def test_another_engine_answers_the_same(question: Question, keys: list[str]) -> None:
    """rdflib shares no code with the servers: what it finds is what the text says."""
    text = question.text(keys)
    graph = Graph().parse(FACTS, format="turtle")
    found = {tuple("" if value is None else str(value) for value in row) for row in graph.query(text)}
    with serving([FACTS]) as url:
        rows = select(Endpoint(url, "test"), text, COLUMNS)
    assert _without_blanks(found) == _without_blanks(set(rows))
    assert len(found) > len(keys) + 3


def _without_blanks(rows: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Blank nodes have no names that two engines share."""
    return {row for row in rows if row[1] != "P31" or row[2].startswith("http")}
