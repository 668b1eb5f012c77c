"""The stage `wikidata` against an endpoint that fails in every way: the right tables, or a clear error and no table."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.pipeline.acquisition.lock import alone
from hgld.pipeline.sparql import client
from hgld.pipeline.sparql.oxigraph import serving
from hgld.pipeline.stages import wikidata
from tests.fault_table import FaultTable
from tests.full_disk import full_disk
from tests.hostile_server import Answer, Handler, HostileServer, Request
from tests.pipeline.sparql_answers import PATH, TRACE, passing_on, queries, query, shaped, spoiling
from tests.pipeline.stages.test_wikidata import FACTS, NAMES, prepared, tables

RIGHT = "the right tables"


@dataclass(frozen=True)
class Fault:
    """What is done to answers, given the URL of the real endpoint; the outcomes when it is done once, and always."""

    name: str
    made: Callable[[str], Answer | Handler]
    once: str
    always: str


def fixed(status: int, body: str = "", **headers: str) -> Callable[[str], Answer]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda url: Answer(status, body.encode(), named)


def cut(url: str) -> Handler:
    return shaped(url, stop_after=300)


def spoiled(change: Callable[[Any], Any]) -> Callable[[str], Handler]:
    return lambda url: spoiling(url, change)


def empty(answer: Any) -> Any:
    return {**answer, "results": {"bindings": []}}


def others(answer: Any) -> Any:
    rows = [
        {**row, "key": {"type": "literal", "value": "Somewhere else"}}
        for row in answer["results"]["bindings"]
    ]
    return {**answer, "results": {"bindings": rows}}


def halved(answer: Any) -> Any:
    rows = answer["results"]["bindings"]
    return {**answer, "results": {"bindings": rows[: len(rows) // 2]}}


def docked(answer: Any) -> Any:
    return {**answer, "results": {"bindings": answer["results"]["bindings"][:-1]}}


def off_topic(answer: Any) -> Any:
    """As if another question about the same keys were answered."""
    for row in answer["results"]["bindings"]:
        if row["property"]["value"] not in ("asked", "zz"):
            row["property"]["value"] = "P999"
    return answer


def renamed(answer: Any) -> Any:
    return {**answer, "head": {"vars": ["a", "b"]}}


def surrogate(answer: Any) -> Any:
    answer["results"]["bindings"][0]["value"] = {"type": "literal", "value": "\ud800"}
    return answer


FAULTS = [
    Fault("429 with Retry-After", fixed(429, Retry_After="0.05"), RIGHT, "answered 429"),
    Fault("429 without Retry-After", fixed(429), RIGHT, "answered 429"),
    Fault("429 for a day", fixed(429, Retry_After="86400"), "asks to wait 86,400 s", "asks to wait 86,400 s"),
    Fault("403 for the agent", fixed(403), "refused .403. for the user agent", "refused .403. for the user agent"),
    Fault("500", fixed(500, "oops"), RIGHT, "the endpoint failed"),
    Fault("500 with a Java trace", fixed(500, TRACE), RIGHT, "no answer in time, even for"),
    Fault("503 with Retry-After", fixed(503, Retry_After="0.05"), RIGHT, "answered 503"),
    Fault("504", fixed(504), RIGHT, "no answer in time, even for"),
    Fault("reset in mid-body", lambda url: shaped(url, stop_after=300, reset=True), RIGHT, "reset by peer"),
    Fault("chunks that break off", lambda url: shaped(url, chunked=True, stop_after=300), RIGHT, "breaks off before"),
    Fault("in chunks", lambda url: shaped(url, chunked=True, piece=99), RIGHT, RIGHT),
    Fault("short body", cut, RIGHT, "before its end"),
    Fault("Content-Length too large", lambda url: shaped(url, length=1 << 20), RIGHT, "before its end"),
    Fault("Content-Length too small", lambda url: shaped(url, length=200), RIGHT, "broken JSON"),
    Fault("slow drip", lambda url: shaped(url, piece=20, pause_s=0.3), RIGHT, "no answer in time, even for"),
    Fault("200 with a Java trace", fixed(200, TRACE), RIGHT, "no answer in time, even for"),
    Fault("200 with HTML", fixed(200, "<html>policy</html>"), RIGHT, "a web page instead of a JSON result"),
    Fault("truncated JSON", fixed(200, '{"head": {"vars": ["key"'), RIGHT, "broken JSON"),
    Fault("empty body", fixed(200), RIGHT, "nothing instead of a JSON result"),
    Fault("empty result", spoiled(empty), RIGHT, "keys are missing from the answer"),
    Fault("half of the rows", spoiled(halved), RIGHT, "missing from the answer"),
    Fault("all but one row", spoiled(docked), RIGHT, "missing from the answer"),
    Fault("results for other keys", spoiled(others), RIGHT, "which was not asked"),
    Fault("results for another question", spoiled(off_topic), RIGHT, "P999.*not the answer to this query"),
    Fault("moved: 301", fixed(301, Location="/new"), "has moved to .*/new", "has moved to .*/new"),
    Fault("moved: 308", fixed(308, Location="/new"), "has moved to .*/new", "has moved to .*/new"),
    Fault("wrong columns", spoiled(renamed), "the answer has a, b", "the answer has a, b"),
    Fault("lone surrogate", spoiled(surrogate), "JSON that is no SPARQL result", "JSON that is no SPARQL result"),
]  # fmt: skip


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with serving([FACTS]) as url:
        yield url


@pytest.fixture(scope="module")
def right(real: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables of an undisturbed run."""
    with HostileServer() as server, pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("right")
        patch.chdir(folder)
        server.always = passing_on(real)
        params = against(server, folder)
        wikidata.run(params)
        return tables(params.data / "wikidata")


def against(server: HostileServer, folder: Path) -> Params:
    params = prepared(folder, NAMES, server.base + PATH)
    hurried = params.wikidata.model_copy(update={"timeout_s": 1.0, "retries": 1, "batch": 4, "in_flight": 2})
    return params.model_copy(update={"wikidata": hurried})


@pytest.fixture(autouse=True)
def no_time_to_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.random, "uniform", lambda low, high: 0.01)


@pytest.mark.parametrize("often", ["once", "always"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_gives_the_right_tables_or_a_clear_error(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fault: Fault, often: str, fault_table: FaultTable,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    good, bad = passing_on(real), fault.made(real)
    if often == "once":
        hostile.script(PATH, good, bad)  # the canary is answered well
        hostile.always = good
    else:
        hostile.script(PATH, good)
        hostile.always = (lambda request, server: bad) if isinstance(bad, Answer) else bad
    params, expected = against(hostile, tmp_path), getattr(fault, often)
    folder = params.data / "wikidata"
    if expected == RIGHT:
        wikidata.run(params)
        assert tables(folder) == right
        outcome = RIGHT
    else:
        with pytest.raises(HgldError, match=expected) as caught:
            wikidata.run(params)
        assert not folder.exists()
        outcome = f"error: {str(caught.value).replace(hostile.base, '')}"
        hostile.always = good
        wikidata.run(params)
        assert tables(folder) == right
    fault_table.add("wikidata", f"{fault.name}, {often}", outcome)


@pytest.mark.parametrize("often", ["once", "always"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_at_the_count_of_the_statements_is_as_harmless(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fault: Fault, often: str,
) -> None:  # fmt: skip
    """The first question that an endpoint is asked: before it no answer is trusted."""
    monkeypatch.chdir(tmp_path)
    good, bad = passing_on(real), fault.made(real)
    params = against(hostile, tmp_path)
    hostile.always = good
    if often == "once":
        hostile.script(PATH, bad)
    else:
        hostile.always = _when(lambda text: "COUNT(*)" in text, bad, good)
    try:
        wikidata.run(params)
    except HgldError as error:
        assert getattr(fault, often) != RIGHT or "cannot count its statements" in str(error)
        assert not (params.data / "wikidata").exists()
        hostile.always = good
        wikidata.run(params)
    assert tables(params.data / "wikidata") == right


def _when(holds: Callable[[str], bool], bad: Answer | Handler, good: Handler) -> Handler:
    def handler(request: Request, server: HostileServer) -> Answer:
        chosen = bad if holds(query(request)) else good
        return chosen if isinstance(chosen, Answer) else chosen(request, server)

    return handler


def test_counts_that_take_too_long_together_are_asked_one_by_one(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = against(hostile, tmp_path)
    many = _when(lambda text: text.count("COUNT(*)") > 1, Answer(200, TRACE.encode()), passing_on(real))
    hostile.always = many
    wikidata.run(params)
    assert sum("COUNT(*)" in text for text in queries(hostile)) == 5
    assert tables(params.data / "wikidata") == right
    snapshot = json.loads((params.data / "wikidata/snapshot.json").read_text())
    assert (snapshot["date"], snapshot["endpoint_counts"]["sitelink"]) == ("2026-01-02T03:04:05Z", 5)
    few = params.model_copy(
        update={"wikidata": params.wikidata.model_copy(update={"canary": {"P31": 10**9}})}
    )
    for _ in range(2):  # a count that is too low is not kept: an endpoint may get better
        asked = len(hostile.requests)
        with pytest.raises(HgldError, match="too few statements"):
            wikidata.run(few)
    assert len(hostile.requests) == asked + 6


def test_two_runs_at_once_are_refused_and_a_failed_one_leaves_the_old_tables(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile.always = passing_on(real)
    params = against(hostile, tmp_path)
    wikidata.run(params)
    asked = len(hostile.requests)
    left = params.data / ".wikidata.killed.part"
    left.mkdir()
    with (
        alone(params.data / "wikidata"),
        pytest.raises(HgldError, match="wikidata: another run writes there"),
    ):
        wikidata.run(params, refresh=True)
    assert len(hostile.requests) == asked
    left.mkdir(exist_ok=True)
    wikidata.run(params)
    assert not left.exists(), "what a killed run left is still there"
    monkeypatch.setattr(wikidata, "coverage", lambda items: {"unfit": object()})
    with pytest.raises((TypeError, KeyError)):
        wikidata.run(params)
    assert tables(params.data / "wikidata") == right


@pytest.mark.parametrize("room", [100, 1000])
def test_a_disk_that_gets_full_is_one_message_and_the_tables_are_the_old_ones(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fault_table: FaultTable, room: int,
) -> None:  # fmt: skip
    """With little room no answer can be kept; with some more the answers can, and the tables cannot be written."""
    monkeypatch.chdir(tmp_path)
    hostile.always = passing_on(real)
    params = against(hostile, tmp_path)
    with full_disk(room), pytest.raises(HgldError, match=r"cannot write .*File too large") as caught:
        wikidata.run(params)
    assert not (params.data / "wikidata").exists()
    asked = len(hostile.requests)
    wikidata.run(params)
    assert tables(params.data / "wikidata") == right
    assert (len(hostile.requests) > asked) == (room == 100)
    said = str(caught.value).replace(str(tmp_path), "")
    fault_table.add("wikidata", f"disk full ({'answers' if room == 100 else 'tables'})", f"error: {said}")


def test_a_good_answer_is_asked_once_and_a_refresh_asks_again(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile.always = passing_on(real)
    params = against(hostile, tmp_path)
    wikidata.run(params)
    first = len(hostile.requests)
    assert len(set(queries(hostile))) == first
    wikidata.run(params)
    assert len(hostile.requests) == first
    wikidata.run(params, refresh=True)
    # the canary twice: before the old answers go, and as the first of the new ones
    assert len(hostile.requests) == 2 * first + 1
    hostile.always = lambda request, server: Answer(403)
    with pytest.raises(HgldError, match="refused"):
        wikidata.run(params, refresh=True)
    wikidata.run(params)
    assert tables(params.data / "wikidata") == right
