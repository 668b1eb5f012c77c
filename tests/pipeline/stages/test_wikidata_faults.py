"""The stage `wikidata` with an endpoint that fails in every way: the right tables, or a clear error and no table."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.lock import exclusive
from hgld.foundation.settings import Params
from hgld.pipeline.acquisition import retry
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
    """A fault: its responses, given the URL of the real endpoint, and the outcomes of one such response and of many."""

    name: str
    responses: Callable[[str], Answer | Handler]
    once: str
    always: str


def fixed(status: int, body: str = "", **headers: str) -> Callable[[str], Answer]:
    renamed = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda url: Answer(status, body.encode(), renamed)


def truncated(url: str) -> Handler:
    return shaped(url, stop_after=300)


def spoiled(change: Callable[[Any], Any]) -> Callable[[str], Handler]:
    return lambda url: spoiling(url, change)


def empty(answer: Any) -> Any:
    return {**answer, "results": {"bindings": []}}


def other_keys(answer: Any) -> Any:
    rows = [{**row, "key": {"type": "literal", "value": "Somewhere else"}} for row in answer["results"]["bindings"]]
    return {**answer, "results": {"bindings": rows}}


def half_of_rows(answer: Any) -> Any:
    rows = answer["results"]["bindings"]
    return {**answer, "results": {"bindings": rows[: len(rows) // 2]}}


def without_last_row(answer: Any) -> Any:
    return {**answer, "results": {"bindings": answer["results"]["bindings"][:-1]}}


def other_properties(answer: Any) -> Any:
    """The response to another query about the same keys."""
    for row in answer["results"]["bindings"]:
        if row["property"]["value"] not in ("asked", "zz"):
            row["property"]["value"] = "P999"
    return answer


def other_columns(answer: Any) -> Any:
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
    Fault("500 with a Java trace", fixed(500, TRACE), RIGHT, "the query timed out, even for"),
    Fault("503 with Retry-After", fixed(503, Retry_After="0.05"), RIGHT, "answered 503"),
    Fault("504", fixed(504), RIGHT, "the query timed out, even for"),
    Fault("reset in mid-body", lambda url: shaped(url, stop_after=300, reset=True), RIGHT, "reset by peer"),
    Fault("truncated chunks", lambda url: shaped(url, chunked=True, stop_after=300), RIGHT, "is truncated"),
    Fault("in chunks", lambda url: shaped(url, chunked=True, piece=99), RIGHT, RIGHT),
    Fault("short body", truncated, RIGHT, "the response is truncated"),
    Fault("Content-Length too large", lambda url: shaped(url, length=1 << 20), RIGHT, "the response is truncated"),
    Fault("Content-Length too small", lambda url: shaped(url, length=200), RIGHT, "broken JSON"),
    Fault("slow drip", lambda url: shaped(url, piece=20, pause_s=0.3), RIGHT, "the query timed out, even for"),
    Fault("200 with a Java trace", fixed(200, TRACE), RIGHT, "the query timed out, even for"),
    Fault("200 with HTML", fixed(200, "<html>policy</html>"), RIGHT, "a web page instead of a JSON result"),
    Fault("truncated JSON", fixed(200, '{"head": {"vars": ["key"'), RIGHT, "broken JSON"),
    Fault("empty body", fixed(200), RIGHT, "an empty body instead of a JSON result"),
    Fault("empty result", spoiled(empty), RIGHT, "keys are missing from the response"),
    Fault("half of the rows", spoiled(half_of_rows), RIGHT, "missing from the response"),
    Fault("all but one row", spoiled(without_last_row), RIGHT, "missing from the response"),
    Fault("results for other keys", spoiled(other_keys), RIGHT, "which is not in the query"),
    Fault("results for another query", spoiled(other_properties), RIGHT, "P999.*a response to another query"),
    Fault("moved: 301", fixed(301, Location="/new"), "has moved to .*/new", "has moved to .*/new"),
    Fault("moved: 308", fixed(308, Location="/new"), "has moved to .*/new", "has moved to .*/new"),
    Fault("wrong columns", spoiled(other_columns), "the response has a, b", "the response has a, b"),
    Fault("lone surrogate", spoiled(surrogate), "JSON that is not a SPARQL result", "JSON that is not a SPARQL result"),
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
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "full_jitter", lambda failures: 0.01)


@pytest.mark.parametrize("often", ["once", "always"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_gives_the_right_tables_or_a_clear_error(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fault: Fault, often: str, fault_table: FaultTable,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    good, bad = passing_on(real), fault.responses(real)
    if often == "once":
        hostile.script(PATH, good, bad)  # the canary succeeds
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
def test_every_fault_of_the_canary_gives_the_right_tables_or_a_clear_error(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fault: Fault, often: str,
) -> None:  # fmt: skip
    """The canary is the first query: it checks the endpoint before any response is used."""
    monkeypatch.chdir(tmp_path)
    good, bad = passing_on(real), fault.responses(real)
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


def _when(condition: Callable[[str], bool], bad: Answer | Handler, good: Handler) -> Handler:
    def handler(request: Request, server: HostileServer) -> Answer:
        chosen = bad if condition(query(request)) else good
        return chosen if isinstance(chosen, Answer) else chosen(request, server)

    return handler


def test_counts_that_time_out_together_are_queried_separately(
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
    few = params.model_copy(update={"wikidata": params.wikidata.model_copy(update={"canary": {"P31": 10**9}})})
    for _ in range(2):  # a count that is too low is not cached: the endpoint may be completed
        sent = len(hostile.requests)
        with pytest.raises(HgldError, match="too few statements"):
            wikidata.run(few)
    assert len(hostile.requests) == sent + 6


def test_second_run_is_refused_and_a_failed_one_leaves_the_old_tables(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile.always = passing_on(real)
    params = against(hostile, tmp_path)
    wikidata.run(params)
    sent = len(hostile.requests)
    leftover = params.data / ".wikidata.killed.part"
    leftover.mkdir()
    with (
        exclusive(params.data / "wikidata"),
        pytest.raises(HgldError, match="wikidata: another run is writing there"),
    ):
        wikidata.run(params, refresh=True)
    assert len(hostile.requests) == sent
    leftover.mkdir(exist_ok=True)
    wikidata.run(params)
    assert not leftover.exists(), "a temporary folder of a killed run is still there"
    monkeypatch.setattr(wikidata, "coverage", lambda items: {"unfit": object()})
    with pytest.raises((TypeError, KeyError)):
        wikidata.run(params)
    assert tables(params.data / "wikidata") == right


@pytest.mark.parametrize("limit", [100, 1000])
def test_full_disk_is_one_message_and_leaves_no_table(
    hostile: HostileServer, real: str, right: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fault_table: FaultTable, limit: int,
) -> None:  # fmt: skip
    """With 100 bytes per file no response can be cached; with 1000 the responses can, but not the tables."""
    monkeypatch.chdir(tmp_path)
    hostile.always = passing_on(real)
    params = against(hostile, tmp_path)
    with full_disk(limit), pytest.raises(HgldError, match=r"cannot write .*File too large") as caught:
        wikidata.run(params)
    assert not (params.data / "wikidata").exists()
    sent = len(hostile.requests)
    wikidata.run(params)
    assert tables(params.data / "wikidata") == right
    assert (len(hostile.requests) > sent) == (limit == 100)
    message = str(caught.value).replace(str(tmp_path), "")
    fault_table.add("wikidata", f"disk full ({'cache' if limit == 100 else 'tables'})", f"error: {message}")


def test_responses_are_cached_until_a_refresh(
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
    # the canary twice: before the cache is deleted, and as the first of the new queries
    assert len(hostile.requests) == 2 * first + 1
    hostile.always = lambda request, server: Answer(403)
    with pytest.raises(HgldError, match="refused"):
        wikidata.run(params, refresh=True)
    wikidata.run(params)
    assert tables(params.data / "wikidata") == right
