"""Many keys in few queries: halved where they time out, in parallel, complete or an error, and asked once."""

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
from hgld.pipeline.sparql.batching import COLUMNS, LAST, _batches, ask_all
from hgld.pipeline.sparql.client import ENTITY, Endpoint
from hgld.pipeline.sparql.response_cache import answer_path, keep, kept
from hgld.pipeline.wikidata.queries import CATEGORIES, CLASSES, ITEMS
from tests.hostile_server import Answer, HostileServer, Request
from tests.paths import SHARED
from tests.pipeline.sparql.test_client import result
from tests.pipeline.sparql_answers import PATH, TRACE, queries, query

PUBLISHED = SHARED / "gldv2/train_label_to_hierarchical.part.csv.gz"
KEYS = [f"Q{number}" for number in range(1, 11)]


def asked_keys(text: str) -> list[str]:
    return text.split("VALUES ?key {")[1].split("}")[0].replace("wd:", "").split()


def echoing(limit: int = 1000) -> Any:
    """Answers CLASSES with a label for each key; a timeout above `limit` keys."""

    def handler(request: Request, server: HostileServer) -> Answer:
        keys = asked_keys(query(request))
        if len(keys) > limit:
            return Answer(200, TRACE.encode())
        rows = [{"key": {"value": ENTITY + key}, "property": {"value": prop}, "value": {"value": value}}
                for key in keys for prop, value in (("label en", key), ("asked", ""))]  # fmt: skip
        return Answer(200, result(*rows, {"property": {"value": LAST}}, columns=COLUMNS))

    return handler


def there(server: HostileServer, handler: Any, **how: Any) -> Endpoint:
    server.always = handler
    return Endpoint(server.base + PATH, "test", **{"batch": 4, "retries": 0, "in_flight": 3, **how})


def test_batches_are_halved_until_they_fit_and_the_size_is_learned(hostile: HostileServer) -> None:
    endpoint = there(hostile, echoing(2), batch=8, in_flight=1)
    rows = ask_all(endpoint, CLASSES, [*KEYS, KEYS[0]])
    assert sorted(rows) == sorted((ENTITY + key, "label en", key) for key in KEYS)
    # 8 and 4 time out once; from then on two are asked at a time
    assert [len(asked_keys(text)) for text in queries(hostile)] == [8, 4, 2, 2, 2, 2, 2]


def test_a_busy_hour_does_not_make_the_batches_small_for_ever(hostile: HostileServer) -> None:
    keys = [f"Q{number}" for number in range(1000, 1400)]
    slow = iter([2] * 6)

    def busy_at_first(request: Request, server: HostileServer) -> Answer:
        return echoing(next(slow, 1000))(request, server)

    endpoint = there(hostile, busy_at_first, batch=16, in_flight=1)
    assert len(ask_all(endpoint, CLASSES, keys)) == 400
    sizes = [len(asked_keys(text)) for text in queries(hostile)]
    assert sizes[:4] == [16, 8, 4, 2] and sizes[-5:] == [16] * 5


def test_an_endpoint_that_can_do_no_more_is_seldom_asked_for_more(hostile: HostileServer) -> None:
    endpoint = there(hostile, echoing(2), batch=16, in_flight=1)
    ask_all(endpoint, CLASSES, [f"Q{number}" for number in range(1000, 2600)])
    sizes = [len(asked_keys(text)) for text in queries(hostile)]
    assert sizes.count(2) == 800
    assert len(sizes) - sizes.count(2) < 10


def test_one_key_is_asked_again_after_a_timeout_there_is_nothing_smaller(hostile: HostileServer) -> None:
    endpoint = there(hostile, echoing(), retries=1)
    hostile.script(PATH, Answer(504))
    assert ask_all(endpoint, CLASSES, ["Q1"]) == [(ENTITY + "Q1", "label en", "Q1")]
    assert len(hostile.requests) == 2


def test_an_answer_to_another_question_about_the_same_keys_is_none(hostile: HostileServer) -> None:
    with pytest.raises(HgldError, match="says 'label en' of its keys, which was not asked"):
        ask_all(there(hostile, echoing()), replace(CLASSES, properties="P279"), KEYS)


def test_one_key_that_never_comes_is_named(hostile: HostileServer) -> None:
    with pytest.raises(HgldError, match="no answer in time, even for 'Q1' alone"):
        ask_all(there(hostile, echoing(0)), CLASSES, KEYS[:1])


def test_no_more_than_so_many_are_in_flight_and_the_order_of_the_rows_is_fixed(
    hostile: HostileServer,
) -> None:
    lock, now, most = threading.Lock(), [0], [0]
    good = echoing()

    def counting(request: Request, server: HostileServer) -> Answer:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        server.pause(0.05 if "wd:Q1 " in query(request) else 0.02)
        with lock:
            now[0] -= 1
        return good(request, server)  # type: ignore[no-any-return]

    keys = [f"Q{number}" for number in range(1, 61)]
    endpoint = there(hostile, counting)
    assert ask_all(endpoint, CLASSES, keys) == ask_all(replace(endpoint, in_flight=1), CLASSES, keys[::-1])
    assert most[0] == 3


def test_queries_stay_small_enough_for_the_server_in_front() -> None:
    keys = ["東京" * 40 + str(number) for number in range(500)]
    batches = list(_batches(CATEGORIES, keys, 500))
    assert [key for batch in batches for key in batch] == keys
    assert max(len(CATEGORIES.text(batch).encode()) for batch in batches) < 66_000
    assert [len(batch) for batch in _batches(ITEMS, KEYS * 100, 500)] == [500, 500]


def test_real_names_are_short_enough_for_full_batches() -> None:
    """So 203,094 categories are 407 queries of this kind; tests/scale counts those of all kinds."""
    if not PUBLISHED.is_file():
        pytest.skip(f"the published categories ({PUBLISHED.name}) are not at hand")
    with gzip.open(PUBLISHED, "rt", encoding="utf-8", newline="") as lines:
        names = sorted(normalise(row["category"]) for row in csv.DictReader(lines))
    batches = list(_batches(CATEGORIES, names, 500))
    assert (len(names), len(batches)) == (9689, 20)
    # Jetty, in front of the public endpoint, refuses larger forms
    assert max(len(urlencode({"query": CATEGORIES.text(batch)})) for batch in batches) < 200_000


def test_the_first_fatal_error_ends_the_run_and_what_was_answered_is_kept(
    hostile: HostileServer, tmp_path: Path
) -> None:
    good = echoing()

    def third_is_refused(request: Request, server: HostileServer) -> Answer:
        return Answer(403) if "wd:Q5 " in query(request) else good(request, server)

    endpoint = there(hostile, third_is_refused, in_flight=1, cache=tmp_path)
    with pytest.raises(HgldError, match="refused"):
        ask_all(endpoint, CLASSES, KEYS * 1 + [f"Q{number}" for number in range(500, 600)])
    asked = len(hostile.requests)
    assert asked < 28
    endpoint = there(hostile, good, cache=tmp_path)
    ask_all(endpoint, CLASSES, KEYS + [f"Q{number}" for number in range(500, 600)])
    assert endpoint.pace.kept == asked - 1


def test_a_refusal_is_heard_by_all_at_once_and_not_in_its_turn(hostile: HostileServer) -> None:
    good = echoing()

    def second_is_refused(request: Request, server: HostileServer) -> Answer:
        server.pause(0.6 if "wd:Q1000 " in query(request) else 0.0)
        return Answer(403) if "wd:Q1004 " in query(request) else good(request, server)

    endpoint = there(hostile, second_is_refused, in_flight=2)
    with pytest.raises(HgldError, match="refused"):
        ask_all(endpoint, CLASSES, [f"Q{number}" for number in range(1000, 1400)])
    assert len(hostile.requests) == 2


def test_a_halved_batch_is_not_asked_whole_again_after_a_kill(hostile: HostileServer, tmp_path: Path) -> None:
    endpoint = there(hostile, echoing(2), batch=8, in_flight=1, cache=tmp_path)
    first = ask_all(endpoint, CLASSES, KEYS)
    last = answer_path(tmp_path, endpoint.url, CLASSES.text(sorted(KEYS)[6:8]))
    last.unlink()
    hostile.requests.clear()
    assert ask_all(there(hostile, echoing(2), batch=8, in_flight=1, cache=tmp_path), CLASSES, KEYS) == first
    assert [len(asked_keys(text)) for text in queries(hostile)] == [2]


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b", b"junk", None])
def test_a_damaged_entry_is_asked_again(hostile: HostileServer, tmp_path: Path, damage: bytes | None) -> None:
    endpoint = there(hostile, echoing(), batch=100, cache=tmp_path)
    first = ask_all(endpoint, CLASSES, KEYS)
    entry = answer_path(tmp_path, endpoint.url, CLASSES.text(sorted(KEYS)))
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-6] if damage is None else damage)
    assert ask_all(endpoint, CLASSES, KEYS) == first
    assert (len(hostile.requests), entry.read_bytes()) == (2, whole)


def test_an_entry_of_another_question_or_shape_is_none(tmp_path: Path) -> None:
    keep(tmp_path, "u", "one", ("a", "b"), [("x", "y")])
    assert kept(tmp_path, "u", "one", ("a", "b")) == [("x", "y")]
    assert kept(tmp_path, "u", "one", ("a", "c")) is None
    assert kept(tmp_path, "u", "two", ("a", "b")) is None
    answer_path(tmp_path, "u", "one").rename(answer_path(tmp_path, "u", "two"))
    assert kept(tmp_path, "u", "two", ("a", "b")) is None
    keep(tmp_path, "u", "one", ("a", "b"), [("x", "y", "z")])
    assert kept(tmp_path, "u", "one", ("a", "b")) is None
