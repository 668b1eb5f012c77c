"""Many keys in few queries: halved after timeouts, in parallel, complete or an error, and queried once."""

import csv
import gzip
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.pipeline.sparql.batching import COLUMNS, LAST, _batches, query_all
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.rdf_terms import ENTITY
from hgld.pipeline.sparql.response_cache import response_path
from hgld.pipeline.wikidata.queries import CATEGORIES, CLASSES, ITEMS
from tests.hostile_server import Answer, HostileServer, Request
from tests.paths import PUBLISHED_LABELS
from tests.pipeline.sparql_answers import PATH, TRACE, queries, query, result

KEYS = [f"Q{number}" for number in range(1, 11)]


def queried_keys(text: str) -> list[str]:
    return text.split("VALUES ?key {")[1].split("}")[0].replace("wd:", "").split()


def echoing(limit: int = 1000) -> Any:
    """Responds to CLASSES with a label for each key; a timeout above `limit` keys."""

    def handler(request: Request, server: HostileServer) -> Answer:
        keys = queried_keys(query(request))
        if len(keys) > limit:
            return Answer(200, TRACE.encode())
        rows = [{"key": {"value": ENTITY + key}, "property": {"value": prop}, "value": {"value": value}}
                for key in keys for prop, value in (("label en", key), ("asked", ""))]  # fmt: skip
        return Answer(200, result(*rows, {"property": {"value": LAST}}, columns=COLUMNS))

    return handler


def endpoint_of(server: HostileServer, handler: Any, **settings: Any) -> Endpoint:
    server.always = handler
    return Endpoint(server.base + PATH, "test", **{"batch": 4, "retries": 0, "in_flight": 3, **settings})


def test_batches_are_halved_after_timeouts_and_the_size_is_remembered(hostile: HostileServer) -> None:
    endpoint = endpoint_of(hostile, echoing(2), batch=8, in_flight=1)
    rows = query_all(endpoint, CLASSES, [*KEYS, KEYS[0]])
    assert sorted(rows) == sorted((ENTITY + key, "label en", key) for key in KEYS)
    # 8 and 4 time out once; after that the batches have 2 keys
    assert [len(queried_keys(text)) for text in queries(hostile)] == [8, 4, 2, 2, 2, 2, 2]


def test_batches_grow_again_after_a_busy_period(hostile: HostileServer) -> None:
    keys = [f"Q{number}" for number in range(1000, 1400)]
    slow = iter([2] * 6)

    def busy_at_first(request: Request, server: HostileServer) -> Answer:
        return echoing(next(slow, 1000))(request, server)

    endpoint = endpoint_of(hostile, busy_at_first, batch=16, in_flight=1)
    assert len(query_all(endpoint, CLASSES, keys)) == 400
    sizes = [len(queried_keys(text)) for text in queries(hostile)]
    assert sizes[:4] == [16, 8, 4, 2] and sizes[-5:] == [16] * 5


def test_weak_endpoint_is_probed_ever_less_often(hostile: HostileServer) -> None:
    endpoint = endpoint_of(hostile, echoing(2), batch=16, in_flight=1)
    query_all(endpoint, CLASSES, [f"Q{number}" for number in range(1000, 2600)])
    sizes = [len(queried_keys(text)) for text in queries(hostile)]
    assert sizes.count(2) == 800
    assert len(sizes) - sizes.count(2) < 10


def test_query_with_a_single_key_is_retried_after_a_timeout(hostile: HostileServer) -> None:
    endpoint = endpoint_of(hostile, echoing(), retries=1)
    hostile.script(PATH, Answer(504))
    assert query_all(endpoint, CLASSES, ["Q1"]) == [(ENTITY + "Q1", "label en", "Q1")]
    assert len(hostile.requests) == 2


def test_response_to_another_query_about_the_same_keys_is_refused(hostile: HostileServer) -> None:
    with pytest.raises(HgldError, match="has the property 'label en', which is not in the query"):
        query_all(endpoint_of(hostile, echoing()), replace(CLASSES, properties="P279"), KEYS)


def test_key_that_always_times_out_is_named(hostile: HostileServer) -> None:
    with pytest.raises(HgldError, match="the query timed out, even for 'Q1' alone"):
        query_all(endpoint_of(hostile, echoing(0)), CLASSES, KEYS[:1])


def test_requests_in_flight_are_limited_and_the_order_of_rows_is_fixed(
    hostile: HostileServer,
) -> None:
    lock, active, peak = threading.Lock(), 0, 0
    good = echoing()

    def counting(request: Request, server: HostileServer) -> Answer:
        nonlocal active, peak
        with lock:
            active += 1
            peak = max(peak, active)
        server.pause(0.05 if "wd:Q1 " in query(request) else 0.02)
        with lock:
            active -= 1
        return good(request, server)  # type: ignore[no-any-return]

    keys = [f"Q{number}" for number in range(1, 61)]
    endpoint = endpoint_of(hostile, counting)
    assert query_all(endpoint, CLASSES, keys) == query_all(replace(endpoint, in_flight=1), CLASSES, keys[::-1])
    assert peak == 3


def test_queries_stay_below_the_size_limit_of_jetty() -> None:
    keys = ["東京" * 40 + str(number) for number in range(500)]
    batches = list(_batches(CATEGORIES, keys, 500))
    assert [key for batch in batches for key in batch] == keys
    assert max(len(CATEGORIES.text(batch).encode()) for batch in batches) < 66_000
    assert [len(batch) for batch in _batches(ITEMS, KEYS * 100, 500)] == [500, 500]


def test_key_that_looks_like_a_placeholder_stays_text() -> None:
    text = CATEGORIES.text(["%TITLES%", "A %NAMES% \\1 B"])
    assert text.count('VALUES ?key { "%TITLES%" "A %NAMES% \\\\1 B" }') == 2
    assert text.count('VALUES ?title { "Category:%TITLES%"@en "Category:A %NAMES% \\\\1 B"@en }') == 1


def test_real_category_names_fill_the_batches() -> None:
    """203,094 categories take 407 queries of this kind; tests/scale counts the queries of all kinds."""
    if not PUBLISHED_LABELS.is_file():
        pytest.skip(f"no {PUBLISHED_LABELS}: the published categories are not in this repository")
    with gzip.open(PUBLISHED_LABELS, "rt", encoding="utf-8", newline="") as lines:
        names = sorted(normalise(row["category"]) for row in csv.DictReader(lines))
    batches = list(_batches(CATEGORIES, names, 500))
    assert (len(names), len(batches)) == (9689, 20)
    # Jetty, in front of the public endpoint, refuses larger forms
    assert max(len(urlencode({"query": CATEGORIES.text(batch)})) for batch in batches) < 200_000


def test_first_fatal_error_ends_the_run_and_the_responses_stay_cached(hostile: HostileServer, tmp_path: Path) -> None:
    good = echoing()

    def third_is_refused(request: Request, server: HostileServer) -> Answer:
        return Answer(403) if "wd:Q5 " in query(request) else good(request, server)

    endpoint = endpoint_of(hostile, third_is_refused, in_flight=1, cache=tmp_path)
    with pytest.raises(HgldError, match="refused"):
        query_all(endpoint, CLASSES, KEYS + [f"Q{number}" for number in range(500, 600)])
    sent = len(hostile.requests)
    assert sent < 28
    endpoint = endpoint_of(hostile, good, cache=tmp_path)
    query_all(endpoint, CLASSES, KEYS + [f"Q{number}" for number in range(500, 600)])
    assert endpoint.limiter.cache_hits == sent - 1


def test_refusal_stops_all_threads_at_once(hostile: HostileServer) -> None:
    good = echoing()

    def second_is_refused(request: Request, server: HostileServer) -> Answer:
        server.pause(0.6 if "wd:Q1000 " in query(request) else 0.0)
        return Answer(403) if "wd:Q1004 " in query(request) else good(request, server)

    endpoint = endpoint_of(hostile, second_is_refused, in_flight=2)
    with pytest.raises(HgldError, match="refused"):
        query_all(endpoint, CLASSES, [f"Q{number}" for number in range(1000, 1400)])
    assert 1 <= len(hostile.requests) <= 2  # on a busy machine the other thread may not have sent its first one


def test_halved_batch_is_not_sent_whole_again_after_a_kill(hostile: HostileServer, tmp_path: Path) -> None:
    endpoint = endpoint_of(hostile, echoing(2), batch=8, in_flight=1, cache=tmp_path)
    first = query_all(endpoint, CLASSES, KEYS)
    last = response_path(tmp_path, endpoint.url, CLASSES.text(sorted(KEYS)[6:8]))
    last.unlink()
    hostile.requests.clear()
    assert query_all(endpoint_of(hostile, echoing(2), batch=8, in_flight=1, cache=tmp_path), CLASSES, KEYS) == first
    assert [len(queried_keys(text)) for text in queries(hostile)] == [2]


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b", b"junk", None])
def test_damaged_cache_entry_is_queried_again(hostile: HostileServer, tmp_path: Path, damage: bytes | None) -> None:
    endpoint = endpoint_of(hostile, echoing(), batch=100, cache=tmp_path)
    first = query_all(endpoint, CLASSES, KEYS)
    entry = response_path(tmp_path, endpoint.url, CLASSES.text(sorted(KEYS)))
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-6] if damage is None else damage)
    assert query_all(endpoint, CLASSES, KEYS) == first
    assert (len(hostile.requests), entry.read_bytes()) == (2, whole)
