"""Many keys, few queries: asked in batches, several at a time, halved where they time out, complete or an error.

Every query of this kind gives rows (key, property, value), for each key that it was asked one row whose property is
`asked`, and one row without a key, `zz`, that it sorts last. So an answer proves that it is whole and that it is the
answer to this question: an empty one, one cut short between rows, or that of somebody else's query lacks some of these
rows, or has others.
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
from hgld.pipeline.sparql.client import (
    BrokenAnswerError,
    Endpoint,
    QueryTimeoutError,
    patiently,
)
from hgld.pipeline.sparql.endpoint_policy import check_endpoint
from hgld.pipeline.sparql.rate_limit import StoppedError
from hgld.pipeline.sparql.response_cache import Row, answer_path, keep, kept

COLUMNS = ("key", "property", "value")
ASKED = "asked"
# The property of the row that the queries sort last: an answer that is cut off at any row lacks it.
LAST = "zz"

# Of a query, in bytes before it is percent-encoded (three times as long at most): Jetty, in front of the public
# endpoint's engine, refuses forms of more than 200,000 bytes.
_LARGEST_QUERY = 64_000


@dataclass(frozen=True)
class Question:
    """The query text `name`.rq; its holes, each with the RDF term that a key is there; the key as answers name it.

    properties: a pattern of what answers say of a key.
    """

    path: Path
    holes: Mapping[str, Callable[[str], str]]
    answered_as: Callable[[str], str]
    properties: str

    def text(self, keys: Sequence[str]) -> str:
        """The query for these keys."""
        text = self.template()
        for hole, term in self.holes.items():
            text = text.replace(f"%{hole}%", " ".join(map(term, keys)))
        return text

    def template(self) -> str:
        """The query with its holes, without the comments: to reword one shall not ask everything again."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return "\n".join(line for line in lines if not line.startswith("#"))


@dataclass
class _Run:
    """One question to one endpoint, and the size of batch that it answers in time.

    resumed: answers of an earlier run are there.
    fits: larger batches are halved before they are asked. It is halved by a timeout, and doubled again after `trust`
    answers in a row, for an endpoint may have been busy for a while; where that proves too much, twice as many answers
    are waited for the next time, so that one that can do no more is not vexed for long.
    """

    endpoint: Endpoint
    question: Question
    fits: int
    resumed: bool
    trust: int = 8
    well: int = 0
    grew: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def timed_out(self, count: int) -> None:
        """A batch of so many keys was too much."""
        with self.lock:
            self.trust *= 2 if self.grew else 1
            self.fits, self.well, self.grew = min(self.fits, (count + 1) // 2), 0, False

    def answered(self, count: int) -> None:
        """A batch of so many keys was answered."""
        with self.lock:
            self.well += 2 * count > self.fits
            if self.well >= self.trust and self.fits < self.endpoint.batch:
                self.fits, self.well, self.grew = min(2 * self.fits, self.endpoint.batch), 0, True


def ask_all(endpoint: Endpoint, question: Question, keys: Sequence[str]) -> list[Row]:
    """All rows (key, property, value) about `keys`, without the `asked` ones.

    The order depends on the set of keys alone. Sorted first, so that the same set makes the same queries.

    Raises HgldError when the endpoint gives no complete answer; what it answered until then is kept.
    """
    check_endpoint(endpoint.url, endpoint.user_agent)
    batches = list(_batches(question, sorted(set(keys)), endpoint.batch))
    run = _Run(endpoint, question, fits=endpoint.batch, resumed=_resumed(endpoint))
    endpoint.pace.start()
    with ThreadPoolExecutor(endpoint.in_flight) as pool:
        futures = [pool.submit(_answer_or_stop, run, batch) for batch in batches]
        try:
            return list(chain.from_iterable(_progress(question.path.stem, futures)))
        except BaseException as error:
            endpoint.pace.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, StoppedError):
                raise _first_cause(futures) from None
            raise


def _resumed(endpoint: Endpoint) -> bool:
    """Whether more answers are kept than this run can have been given."""
    if not (endpoint.cache and endpoint.cache.is_dir()):
        return False
    return sum(1 for _ in endpoint.cache.iterdir()) > endpoint.pace.requests


def _answer_or_stop(run: _Run, keys: list[str]) -> list[Row]:
    try:
        return _answer(run, keys)
    except BaseException:
        # at once, not when its turn to be read has come: the other threads shall not go on asking
        run.endpoint.pace.stop()
        raise


def _progress(name: str, futures: "list[Future[list[Row]]]") -> Iterator[list[Row]]:
    # disable=None: a bar on a terminal, nothing in a log
    for future in tqdm(futures, desc=name, unit="query", disable=None):
        yield future.result()


def _first_cause(futures: "list[Future[list[Row]]]") -> BaseException:
    """Why the run was stopped: the thread that was waited for may have heard of it from another one."""
    errors = [one.exception() for one in futures if one.done() and not one.cancelled()]
    return next(error for error in errors if error and not isinstance(error, StoppedError))


def _batches(question: Question, keys: list[str], most: int) -> Iterator[list[str]]:
    """The keys in groups of at most `most`, whose queries are not too long."""
    template = question.template()
    terms = [(term, template.count(f"%{hole}%")) for hole, term in question.holes.items()]
    batch: list[str] = []
    size = len(template)
    for key in keys:
        own = sum(count * (len(term(key).encode()) + 1) for term, count in terms)
        if batch and (len(batch) == most or size + own > _LARGEST_QUERY):
            yield batch
            batch, size = [], len(template)
        batch.append(key)
        size += own
    if batch:
        yield batch


def _answer(run: _Run, keys: list[str]) -> list[Row]:
    """The rows about `keys`: from the cache, at once, or in halves."""
    query = run.question.text(keys)
    check = partial(_check, run, frozenset(map(run.question.answered_as, keys)))
    rows = _kept(run, query, check)
    if rows is None:
        if len(keys) > 1 and (len(keys) > run.fits or _was_halved(run, keys)):
            return _halves(run, keys)
        try:
            rows = patiently(run.endpoint, query, COLUMNS, check, smallest=len(keys) == 1)
        except QueryTimeoutError as error:
            if len(keys) == 1:
                text = f"{run.endpoint.url}: no answer in time, even for '{keys[0]}' alone ({error})"
                raise HgldError(text) from None
            run.timed_out(len(keys))
            return _halves(run, keys)
        run.answered(len(keys))
        if run.endpoint.cache:
            keep(run.endpoint.cache, run.endpoint.url, query, COLUMNS, rows)
    return [row for row in rows if row[0] and row[1] != ASKED]


def _check(run: _Run, asked: frozenset[str], rows: Sequence[Row]) -> None:
    """Raise BrokenAnswerError unless `rows` can be the whole answer about the keys `asked`, and no other one.

    All keys stand in the first column, and only these, with properties that the question is about; and the row without
    a key is there that says that it is the LAST.
    """
    place = run.endpoint.url
    answered = {row[0] for row in rows}
    if strange := sorted(answered - asked - {""}):
        raise BrokenAnswerError(
            f"{place}: the answer is about {strange[0]}, which was not asked: not the answer to this query"
        )
    if missing := sorted(asked - answered):
        raise BrokenAnswerError(
            f"{place}: {len(missing)} of {len(asked)} keys are missing from the answer, such as {missing[0]}: an empty "
            "or cut answer"
        )
    said = {row[1] for row in rows if row[0]} - {ASKED}
    if strange := sorted(prop for prop in said if not re.fullmatch(run.question.properties, prop)):
        raise BrokenAnswerError(
            f"{place}: the answer says '{strange[0]}' of its keys, which was not asked: not the answer to this query"
        )
    if LAST not in {row[1] for row in rows if not row[0]}:
        raise BrokenAnswerError(f"{place}: the last row is missing from the answer: it was cut")


def _halves(run: _Run, keys: list[str]) -> list[Row]:
    half = (len(keys) + 1) // 2
    return _answer(run, keys[:half]) + _answer(run, keys[half:])


def _was_halved(run: _Run, keys: list[str]) -> bool:
    """Whether an earlier run, killed since, had to halve this batch: then its first half, or a half of it, is kept."""
    while run.resumed and run.endpoint.cache and len(keys) > 1:
        keys = keys[: (len(keys) + 1) // 2]
        if answer_path(run.endpoint.cache, run.endpoint.url, run.question.text(keys)).is_file():
            return True
    return False


def _kept(run: _Run, query: str, check: Callable[[Sequence[Row]], None]) -> list[Row] | None:
    endpoint = run.endpoint
    if endpoint.cache is None:
        return None
    rows = kept(endpoint.cache, endpoint.url, query, COLUMNS)
    if rows is None:
        return None
    try:
        check(rows)
    except BrokenAnswerError:
        return None
    endpoint.pace.count_kept()
    return rows
