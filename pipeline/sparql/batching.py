"""Many keys in few queries: in batches, several at a time, halved after a timeout, complete or an error.

A batched query returns rows (key, property, value): for every queried key one row with the property `asked`, and one
row without a key, with the property `zz`, that it sorts last. So the completeness of a response can be verified: one
that is empty, truncated between rows, or of another query lacks some of these rows, or has others.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.retry import StoppedError, TransientError
from hgld.pipeline.sparql.client import Endpoint, query_with_retries
from hgld.pipeline.sparql.endpoint_policy import check_endpoint
from hgld.pipeline.sparql.rdf_terms import Row
from hgld.pipeline.sparql.response_cache import load, response_path, store
from hgld.pipeline.sparql.results import QueryTimeoutError

COLUMNS = ("key", "property", "value")
ASKED = "asked"
# The property of the row that the queries sort last: a truncated response lacks it.
LAST = "zz"

# Bytes of a query before percent-encoding, which makes it at most three times as long: Jetty, in front of the public
# endpoint's engine, refuses forms of more than 200,000 bytes.
_MAX_QUERY_BYTES = 64_000


@dataclass(frozen=True)
class BatchedQuery:
    """A query template and what to fill in.

    path: the template, a `.rq` file; `%NAME%` in it is replaced by terms separated by spaces.
    placeholders: NAME → the RDF term of a key there.
    key_in_response: a key as the responses write it.
    properties: a regular expression for the properties of a key in the responses.
    """

    path: Path
    placeholders: Mapping[str, Callable[[str], str]]
    key_in_response: Callable[[str], str]
    properties: str

    def text(self, keys: Sequence[str]) -> str:
        """The query for these keys."""
        values = {name: " ".join(map(term, keys)) for name, term in self.placeholders.items()}
        # all in one pass: a key may look like a placeholder itself
        return re.sub(f"%({'|'.join(values)})%", lambda match: values[match[1]], self.template())

    def template(self) -> str:
        """The template without its comment lines, so that editing a comment does not invalidate the cache."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return "\n".join(line for line in lines if not line.startswith("#"))


@dataclass
class _Run:
    """One batched query to one endpoint, and the batch size that the endpoint manages.

    resumed: there are responses of an earlier run.
    limit: larger batches are split before they are sent. As in congestion control, it adapts: a timeout halves it,
    `required_streak` successes in a row near the limit double it, as an endpoint may have been busy only for a while.
    A timeout after such an increase doubles the required streak, so that a weak endpoint is probed less often.
    """

    endpoint: Endpoint
    query: BatchedQuery
    limit: int
    resumed: bool
    required_streak: int = 8
    streak: int = 0
    increased: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record_timeout(self, keys: int) -> None:
        """Decrease the limit after a batch of this many keys timed out."""
        with self.lock:
            self.required_streak *= 2 if self.increased else 1
            self.limit, self.streak, self.increased = min(self.limit, (keys + 1) // 2), 0, False

    def record_success(self, keys: int) -> None:
        """Extend the streak after a batch of this many keys succeeded; increase the limit when it is long enough."""
        with self.lock:
            self.streak += 2 * keys > self.limit
            if self.streak >= self.required_streak and self.limit < self.endpoint.batch:
                self.limit, self.streak, self.increased = min(2 * self.limit, self.endpoint.batch), 0, True


def query_all(endpoint: Endpoint, query: BatchedQuery, keys: Sequence[str]) -> list[Row]:
    """All rows (key, property, value) about `keys`, without the `asked` ones.

    The rows, their order and the queries depend only on the set of keys.

    Raises HgldError when the endpoint gives no complete response; the responses received until then stay in the cache.
    """
    check_endpoint(endpoint.url, endpoint.user_agent)
    batches = list(_batches(query, sorted(set(keys)), endpoint.batch))
    run = _Run(endpoint, query, limit=endpoint.batch, resumed=_is_resumed(endpoint))
    endpoint.limiter.restart()
    with ThreadPoolExecutor(endpoint.in_flight) as pool:
        futures = [pool.submit(_query_or_stop, run, batch) for batch in batches]
        try:
            # disable=None: a bar on a terminal, nothing in a log
            results = tqdm(futures, desc=query.path.stem, unit="query", disable=None)
            return list(chain.from_iterable(future.result() for future in results))
        except BaseException as error:
            endpoint.limiter.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, StoppedError):
                raise _first_error(futures) from None
            raise


def _is_resumed(endpoint: Endpoint) -> bool:
    """Whether the cache holds more responses than this run can have received."""
    if not (endpoint.cache and endpoint.cache.is_dir()):
        return False
    return sum(1 for _ in endpoint.cache.iterdir()) > endpoint.limiter.requests


def _query_or_stop(run: _Run, keys: list[str]) -> list[Row]:
    try:
        return _query(run, keys)
    except BaseException:
        # at once, before the main thread reads this result: the other threads must not send more queries
        run.endpoint.limiter.stop()
        raise


def _first_error(futures: "list[Future[list[Row]]]") -> BaseException:
    """The error that stopped the run; the thread whose result was read may have failed only because of it."""
    errors = [future.exception() for future in futures if future.done() and not future.cancelled()]
    return next(error for error in errors if error and not isinstance(error, StoppedError))


def _batches(query: BatchedQuery, keys: list[str], max_keys: int) -> Iterator[list[str]]:
    """The keys in groups of at most `max_keys` whose queries are not too long."""
    template = query.template()
    terms = [(term, template.count(f"%{name}%")) for name, term in query.placeholders.items()]
    batch: list[str] = []
    size = len(template)
    for key in keys:
        key_size = sum(count * (len(term(key).encode()) + 1) for term, count in terms)
        if batch and (len(batch) == max_keys or size + key_size > _MAX_QUERY_BYTES):
            yield batch
            batch, size = [], len(template)
        batch.append(key)
        size += key_size
    if batch:
        yield batch


def _query(run: _Run, keys: list[str]) -> list[Row]:
    """The rows about `keys`: from the cache, from one query, or from two halves."""
    endpoint, text = run.endpoint, run.query.text(keys)
    check = partial(_check_complete, run.query, frozenset(map(run.query.key_in_response, keys)))
    rows = _load_cached(endpoint, text, check)
    if rows is None:
        single = len(keys) == 1
        if not single and (len(keys) > run.limit or _was_halved(run, keys)):
            return _query_halves(run, keys)
        try:
            rows = query_with_retries(endpoint, text, COLUMNS, check, retry_timeouts=single)
        except QueryTimeoutError as error:
            if single:
                raise HgldError(
                    f"{endpoint.url}: the query timed out, even for '{keys[0]}' alone ({error}); raise the timeout "
                    "(wikidata.timeout_s in params.yaml), or use another endpoint"
                ) from None
            run.record_timeout(len(keys))
            return _query_halves(run, keys)
        run.record_success(len(keys))
        if endpoint.cache:
            store(endpoint.cache, endpoint.url, text, COLUMNS, rows)
    return [row for row in rows if row[0] and row[1] != ASKED]


def _check_complete(query: BatchedQuery, keys: frozenset[str], rows: Sequence[Row]) -> None:
    """Raise TransientError unless `rows` is the complete response about `keys`.

    Every key must occur, no other key and no property of another query may, and the LAST row must be there.
    """
    found = {row[0] for row in rows}
    if unexpected := sorted(found - keys - {""}):
        raise TransientError(
            f"the response is about {unexpected[0]}, which is not in the query: a response to another query"
        )
    if missing := sorted(keys - found):
        raise TransientError(
            f"{len(missing)} of {len(keys)} keys are missing from the response, such as {missing[0]}: it is empty or "
            "truncated"
        )
    properties = {row[1] for row in rows if row[0]} - {ASKED}
    if unexpected := sorted(name for name in properties if not re.fullmatch(query.properties, name)):
        raise TransientError(
            f"the response has the property '{unexpected[0]}', which is not in the query: a response to another query"
        )
    if LAST not in {row[1] for row in rows if not row[0]}:
        raise TransientError("the last row is missing from the response: it is truncated")


def _query_halves(run: _Run, keys: list[str]) -> list[Row]:
    half = (len(keys) + 1) // 2
    return _query(run, keys[:half]) + _query(run, keys[half:])


def _was_halved(run: _Run, keys: list[str]) -> bool:
    """Whether an interrupted run had to halve this batch: then the cache holds its first half, or a half of that."""
    while run.resumed and run.endpoint.cache and len(keys) > 1:
        keys = keys[: (len(keys) + 1) // 2]
        if response_path(run.endpoint.cache, run.endpoint.url, run.query.text(keys)).is_file():
            return True
    return False


def _load_cached(endpoint: Endpoint, text: str, check: Callable[[Sequence[Row]], None]) -> list[Row] | None:
    """The stored response to the query `text` if it passes `check`."""
    rows = load(endpoint.cache, endpoint.url, text, COLUMNS) if endpoint.cache else None
    if rows is None:
        return None
    try:
        check(rows)
    except TransientError:
        return None
    endpoint.limiter.count_cache_hit()
    return rows
