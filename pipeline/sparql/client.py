"""One question to a SPARQL endpoint that throttles, times out and lies: rows of the asked columns, or one clear error.

The same query text (the *.rq files here) goes to the public endpoint and to a local one. An answer is taken for rows
only when it is whole, and JSON with exactly the asked columns: the public endpoint reports a timeout in mid-stream as
status 200 with a Java trace in the body, and a refused agent as status 200 with a page.
"""

import http.client
import json
import random
import re
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin

from SPARQLWrapper import JSON, POST, SELECT, SPARQLExceptions, SPARQLWrapper

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.endpoint_policy import check_endpoint, retry_after
from hgld.pipeline.sparql.rate_limit import Pace
from hgld.pipeline.sparql.response_cache import Row, keep, kept

ENTITY = "http://www.wikidata.org/entity/"

_RETRIED = {429, 500, 502, 503}
_TOO_MUCH = {408, 413, 414, 504}  # a smaller question may be answered
_TIMEOUTS = 2  # so often is a question asked again that cannot be made smaller: each may take the whole of `timeout_s`
_LONGEST_WAIT_S = 600.0
_LARGEST_ANSWER = 256 * 2**20
_ITEM = re.compile(re.escape(ENTITY) + "(Q[1-9][0-9]*)")
# What endpoints call a timeout. Messages repeat the query: the words must not be those of a place (Time Out Market).
_TIMEOUT = re.compile(r"TimeoutException|[Oo]peration timed out|[Qq]uery timed out|due to timeout")


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, as whom, how much at once and how patiently; `cache` is the folder that keeps every good answer.

    batch: most keys in a query. in_flight: most requests at the same time. pause_s: least time between the starts of
    two requests.
    """

    url: str
    user_agent: str
    timeout_s: float = 60.0
    retries: int = 3
    pause_s: float = 0.0
    batch: int = 200
    in_flight: int = 1
    cache: Path | None = None
    pace: Pace = field(default_factory=Pace, compare=False, repr=False)


class QueryTimeoutError(Exception):
    """The endpoint gave up on a query: ask for less."""


class BrokenAnswerError(Exception):
    """An answer that another try may repair."""

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


def select(endpoint: Endpoint, query: str, columns: Sequence[str], *, smallest: bool = False) -> list[Row]:
    """The rows of a SELECT query in the order of `columns`, sorted, each once; a variable without a value is "".

    From the cache where it holds them. smallest: see `patiently`. Raises QueryTimeoutError when the endpoint runs out
    of time, HgldError for all else that is not rows of `columns`.
    """
    check_endpoint(endpoint.url, endpoint.user_agent)
    endpoint.pace.start()
    if endpoint.cache and (rows := kept(endpoint.cache, endpoint.url, query, columns)) is not None:
        endpoint.pace.count_kept()
        return rows
    rows = patiently(endpoint, query, columns, smallest=smallest)
    if endpoint.cache:
        keep(endpoint.cache, endpoint.url, query, columns, rows)
    return rows


def patiently(
    endpoint: Endpoint,
    query: str,
    columns: Sequence[str],
    check: Callable[[Sequence[Row]], None] = lambda rows: None,
    *,
    smallest: bool = False,
) -> list[Row]:
    """The rows of a good answer; waits and asks again as often as `retries` says.

    check: raises BrokenAnswerError for rows that cannot be the answer. smallest: nothing less can be asked, so that a
    timeout, too, is a reason to ask again.
    """
    for attempt in range(endpoint.retries + 1):
        endpoint.pace.turn(endpoint.pause_s)
        try:
            rows = _rows(_parsed(_ask(endpoint, query), endpoint), columns, endpoint)
            check(rows)
            return rows
        except BrokenAnswerError as error:
            if attempt == endpoint.retries:
                tries = f" ({attempt + 1} tries)" if attempt else ""
                raise HgldError(f"{error}{tries}") from None
            wait_s = error.wait_s
        except QueryTimeoutError:
            if not smallest or attempt == min(endpoint.retries, _TIMEOUTS):
                raise
            wait_s = None
        # half of the wait is chance: clients that failed together shall not come back together
        backoff = 0.5 * 2**attempt * random.uniform(0.5, 1.0)
        endpoint.pace.hold(backoff if wait_s is None else wait_s)
    raise AssertionError("unreachable")


def entity(qid: str) -> str:
    """The RDF term of an item, as the queries write it."""
    return f"wd:{qid}"


def literal(text: str, language: str = "") -> str:
    r"""The RDF term of a string.

    >>> literal('Rue "A"', "en")
    '"Rue \\"A\\""@en'
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return f"{quoted}@{language}" if language else quoted


def qid(uri: str) -> str:
    """The QID of an entity's URI; "" for anything else (an unknown value, a lexeme, a property)."""
    found = _ITEM.fullmatch(uri)
    return found[1] if found else ""


def _ask(endpoint: Endpoint, query: str) -> str:
    """One request; the body as text."""
    client = SPARQLWrapper(endpoint.url, agent=endpoint.user_agent)
    client.setMethod(POST)
    client.setReturnFormat(JSON)
    client.setOnlyConneg(True)
    client.setTimeout(max(1, round(endpoint.timeout_s)))
    client.addCustomHttpHeader("Accept-Encoding", "gzip")
    # not setQuery: it looks for the kind of query with patterns that take longer than all else here (tests/scale)
    client.queryString, client.queryType = query, SELECT
    deadline = time.monotonic() + endpoint.timeout_s
    try:
        with client.query().response as answer:
            _check_place(endpoint, answer.geturl())
            return _body(answer, deadline, endpoint).decode("utf-8")
    except SPARQLExceptions.EndPointNotFound as error:
        _check_place(endpoint, _asked_url(error))
        raise HgldError(f"{endpoint.url}: no SPARQL endpoint there (404); check the address") from None
    except SPARQLExceptions.QueryBadFormed as error:
        _check_place(endpoint, _asked_url(error))
        _raise_if_timeout(str(error))
        raise HgldError(f"{endpoint.url}: the endpoint does not accept the query: {_short(error)}") from None
    except SPARQLExceptions.URITooLong:
        raise QueryTimeoutError("414: the query is too long") from None
    except SPARQLExceptions.SPARQLWrapperException as error:
        _check_place(endpoint, _asked_url(error))
        _raise_if_trace(str(error))
        _raise_if_timeout(str(error))
        raise BrokenAnswerError(f"{endpoint.url}: the endpoint failed: {_short(error)}") from None
    except HTTPError as error:
        with error:
            raise _http_problem(endpoint, error) from None
    except TimeoutError:
        raise QueryTimeoutError(f"nothing within {endpoint.timeout_s:g} s") from None
    except UnicodeDecodeError:
        raise BrokenAnswerError(f"{endpoint.url}: the answer is not UTF-8") from None
    except zlib.error:
        raise BrokenAnswerError(f"{endpoint.url}: the answer's compression is damaged") from None
    except http.client.IncompleteRead:
        raise BrokenAnswerError(f"{endpoint.url}: the answer breaks off before its end") from None
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise BrokenAnswerError(f"cannot reach the SPARQL endpoint {endpoint.url}: {reason}") from None
    except ValueError as error:
        raise HgldError(f"'{endpoint.url}' is not the URL of a SPARQL endpoint: {error}") from None


def _body(answer: http.client.HTTPResponse, deadline: float, endpoint: Endpoint) -> bytes:
    """All of the body, unpacked; a body that ends early is broken, one that drips past `deadline` is a timeout."""
    packed = answer.headers.get("Content-Encoding", "") == "gzip"
    unpack = zlib.decompressobj(wbits=31) if packed else None
    parts, size = [], 0
    while part := answer.read1(1 << 20):
        if time.monotonic() > deadline:
            raise QueryTimeoutError(f"not whole within {endpoint.timeout_s:g} s")
        plain = unpack.decompress(part, _LARGEST_ANSWER) if unpack else part
        parts.append(plain)
        size += len(plain)
        if size > _LARGEST_ANSWER or (unpack and unpack.unconsumed_tail):
            raise QueryTimeoutError(f"an answer of more than {_LARGEST_ANSWER >> 20} MiB")
    # http.client takes a connection that ends early for the end of the body, when it is read in parts
    if answer.length or (unpack and not unpack.eof):
        raise BrokenAnswerError(f"{endpoint.url}: the answer ends after {size:,} bytes, before its end")
    return b"".join(parts)


def _check_place(endpoint: Endpoint, url: str) -> None:
    """Raise HgldError unless the answer comes from the endpoint: a redirected POST arrives as a GET without a query."""
    if url and url != endpoint.url:
        raise HgldError(
            f"{endpoint.url}: the endpoint has moved to {url}; give that address, if you trust it "
            "(wikidata.endpoint in params.yaml, or --endpoint)"
        )


def _asked_url(error: Exception) -> str:
    """The URL whose answer SPARQLWrapper made this exception of; "" where there was none."""
    return str(getattr(error.__context__, "url", None) or "")


def _http_problem(endpoint: Endpoint, error: HTTPError) -> Exception:
    moved = error.headers.get("Location") if 300 <= error.code < 400 else None
    _check_place(endpoint, urljoin(endpoint.url, moved) if moved else error.geturl())
    if error.code == 403:
        return HgldError(
            f"{endpoint.url}: refused (403) for the user agent '{endpoint.user_agent}'; public endpoints want a "
            "contact address in it"
        )
    text = f"{endpoint.url}: the endpoint answered {error.code} {error.reason}"
    if error.code in _TOO_MUCH:
        return QueryTimeoutError(f"{error.code} {error.reason}")
    if error.code not in _RETRIED:
        return HgldError(text)
    wait_s = retry_after(error.headers.get("Retry-After"))
    if wait_s is None and _TIMEOUT.search(_beginning(error)):  # QLever says so with status 429
        return QueryTimeoutError(f"{error.code} {error.reason}")
    if wait_s is not None and wait_s > _LONGEST_WAIT_S:
        return HgldError(
            f"{text}, and asks to wait {wait_s:,.0f} s; run the command again after that: what was answered is kept"
        )
    return BrokenAnswerError(text, wait_s)


def _beginning(error: HTTPError) -> str:
    try:
        return error.read(2000).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        return ""


def _raise_if_timeout(body: str) -> None:
    if _TIMEOUT.search(body):
        raise QueryTimeoutError("a timeout reported in the answer")


def _raise_if_trace(body: str) -> None:
    if "TimeoutException" in body or "SPARQL-QUERY:" in body:
        raise QueryTimeoutError("a timeout reported in the answer") from None


def _parsed(body: str, endpoint: Endpoint) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        _raise_if_trace(body)
        what = "a web page" if body.lstrip()[:1] == "<" else "nothing" if not body.strip() else "broken JSON"
        raise BrokenAnswerError(f"{endpoint.url}: {what} instead of a JSON result: {_short(body)}") from None


def _rows(result: Any, columns: Sequence[str], endpoint: Endpoint) -> list[Row]:
    try:
        found = list(result["head"]["vars"])
        bindings = result["results"]["bindings"]
        # column by column: a call for each row took as long as its JSON (tests/scale)
        values = [[row[name]["value"] if name in row else "" for row in bindings] for name in columns]
        _check_text([*found, *chain.from_iterable(values)])
        rows = set(zip(*values, strict=True))
    except (KeyError, TypeError, UnicodeEncodeError):
        raise HgldError(f"{endpoint.url}: JSON that is no SPARQL result: {_short(result)}") from None
    if sorted(found) != sorted(columns):
        has = ", ".join(found) or "nothing"
        raise HgldError(f"{endpoint.url}: asked for {', '.join(columns)}; the answer has {has}")
    return sorted(rows)


def _check_text(values: list[Any]) -> None:
    """Raise TypeError for what is no text, UnicodeEncodeError for text that no file can hold (a lone surrogate)."""
    # at once: a function call for each of some million values took longer than their JSON (tests/scale)
    "".join(values).encode("utf-8")


def _short(what: object) -> str:
    try:
        return " ".join(str(what).split())[:160].encode("utf-8", "backslashreplace").decode()
    except RecursionError:
        return "(too deeply nested to show)"
