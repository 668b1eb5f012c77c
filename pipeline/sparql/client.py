"""One query to a SPARQL endpoint that may throttle, time out or answer wrongly: rows, or one clear error.

The same query text goes to the public endpoint and to a local one.
"""

import http.client
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin

from SPARQLWrapper import JSON, POST, SELECT, SPARQLExceptions, SPARQLWrapper

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.retry import (
    BusyError,
    RateLimiter,
    TransientError,
    call_with_retries,
    retry_after,
)
from hgld.pipeline.sparql.endpoint_policy import check_endpoint
from hgld.pipeline.sparql.rdf_terms import Row
from hgld.pipeline.sparql.response_cache import load, store
from hgld.pipeline.sparql.results import (
    QueryTimeoutError,
    excerpt,
    is_stack_trace,
    parse_rows,
    reports_timeout,
)

_BUSY_STATUSES = {429, 500, 502, 503}
_TOO_LARGE_STATUSES = {408, 413, 414, 504}  # a smaller query may succeed
_TIMEOUT_RETRIES = 2  # few, as each may take the whole of `timeout_s`
_MAX_RESPONSE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Endpoint:
    """A SPARQL endpoint and how to query it.

    batch: most keys in a query. in_flight: most concurrent requests. pause_s: minimum time between the starts of two
    requests. cache: the folder of stored responses; None stores none.
    """

    url: str
    user_agent: str
    timeout_s: float = 60.0
    retries: int = 3
    pause_s: float = 0.0
    batch: int = 200
    in_flight: int = 1
    cache: Path | None = None
    limiter: RateLimiter = field(default_factory=RateLimiter, compare=False, repr=False)


def select(endpoint: Endpoint, query: str, columns: Sequence[str], *, retry_timeouts: bool = False) -> list[Row]:
    """The rows of a SELECT query in the order of `columns`, sorted and unique; an unbound variable is "".

    From the cache where it holds them. retry_timeouts: see `query_with_retries`.

    Raises QueryTimeoutError when the endpoint runs out of time, HgldError for every other response that is not rows
    of `columns`.
    """
    check_endpoint(endpoint.url, endpoint.user_agent)
    endpoint.limiter.restart()
    if endpoint.cache and (rows := load(endpoint.cache, endpoint.url, query, columns)) is not None:
        endpoint.limiter.count_cache_hit()
        return rows
    rows = query_with_retries(endpoint, query, columns, retry_timeouts=retry_timeouts)
    if endpoint.cache:
        store(endpoint.cache, endpoint.url, query, columns, rows)
    return rows


def query_with_retries(
    endpoint: Endpoint,
    query: str,
    columns: Sequence[str],
    check: Callable[[Sequence[Row]], None] = lambda rows: None,
    *,
    retry_timeouts: bool = False,
) -> list[Row]:
    """The rows of the first valid response.

    check: raises TransientError for rows that cannot be the response to `query`.
    retry_timeouts: set for a query that cannot be split, where nothing but a retry is left after a timeout.
    """
    numbers = count()

    def attempt() -> list[Row]:
        number = next(numbers)
        try:
            rows = parse_rows(_request(endpoint, query), columns, endpoint.url)
        except QueryTimeoutError as error:
            if not retry_timeouts or number >= min(endpoint.retries, _TIMEOUT_RETRIES):
                raise
            raise BusyError(str(error)) from None
        check(rows)
        return rows

    return call_with_retries(attempt, endpoint.url, endpoint.limiter, endpoint.retries, pause_s=endpoint.pause_s)


def _request(endpoint: Endpoint, query: str) -> str:
    """Send one request; the body as text."""
    client = SPARQLWrapper(endpoint.url, agent=endpoint.user_agent)
    client.setMethod(POST)
    client.setReturnFormat(JSON)
    client.setOnlyConneg(True)
    client.setTimeout(max(1, round(endpoint.timeout_s)))
    client.addCustomHttpHeader("Accept-Encoding", "gzip")
    # not setQuery: the patterns with which it finds the kind of query take longer than the rest (tests/scale)
    client.queryString, client.queryType = query, SELECT
    deadline = time.monotonic() + endpoint.timeout_s
    try:
        with client.query().response as response:
            _check_not_moved(endpoint, response.geturl())
            return _body(response, deadline, endpoint).decode("utf-8")
    except SPARQLExceptions.SPARQLWrapperException as error:
        # the URL whose response SPARQLWrapper turned into this exception
        _check_not_moved(endpoint, str(getattr(error.__context__, "url", None) or ""))
        raise _endpoint_error(endpoint, error) from None
    except HTTPError as error:
        with error:
            raise _http_error(endpoint, error) from None
    except TimeoutError:
        raise QueryTimeoutError(f"no response within {endpoint.timeout_s:g} s") from None
    except UnicodeDecodeError:
        raise TransientError("the response is not UTF-8") from None
    except zlib.error:
        raise TransientError("the response's compression is damaged") from None
    except http.client.IncompleteRead:
        raise TransientError("the response is truncated") from None
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise TransientError(f"cannot reach the SPARQL endpoint: {reason}") from None
    except ValueError as error:
        raise HgldError(f"'{endpoint.url}' is not the URL of a SPARQL endpoint: {error}") from None


def _body(response: http.client.HTTPResponse, deadline: float, endpoint: Endpoint) -> bytes:
    """The whole body, decompressed.

    Raises TransientError for one that ends early, QueryTimeoutError for one that is not complete by `deadline`.
    """
    compressed = response.headers.get("Content-Encoding", "") == "gzip"
    decompressor = zlib.decompressobj(wbits=31) if compressed else None
    chunks, size = [], 0
    while chunk := response.read1(1 << 20):
        if time.monotonic() > deadline:
            raise QueryTimeoutError(f"no complete response within {endpoint.timeout_s:g} s")
        plain = decompressor.decompress(chunk, _MAX_RESPONSE_BYTES) if decompressor else chunk
        chunks.append(plain)
        size += len(plain)
        if size > _MAX_RESPONSE_BYTES or (decompressor and decompressor.unconsumed_tail):
            raise QueryTimeoutError(f"a response of more than {_MAX_RESPONSE_BYTES >> 20} MiB")
    # when it is read in parts, http.client mistakes a connection that ends early for the end of the body
    if response.length or (decompressor and not decompressor.eof):
        raise TransientError(f"the response is truncated, after {size:,} bytes")
    return b"".join(chunks)


def _check_not_moved(endpoint: Endpoint, url: str) -> None:
    """Raise HgldError after a redirect: a redirected POST arrives as a GET without the query."""
    if url and url != endpoint.url:
        raise HgldError(
            f"{endpoint.url}: the endpoint has moved to {url}; use that URL if you trust it (wikidata.endpoint in "
            "params.yaml, or --endpoint)"
        )


def _endpoint_error(endpoint: Endpoint, error: SPARQLExceptions.SPARQLWrapperException) -> Exception:
    """The error for a status that SPARQLWrapper handles itself: 400, 401, 404, 414, 500."""
    message = str(error)
    if isinstance(error, SPARQLExceptions.EndPointNotFound):
        return HgldError(f"{endpoint.url}: no SPARQL endpoint there (404); check the URL")
    if isinstance(error, SPARQLExceptions.URITooLong):
        return QueryTimeoutError("414: the query is too long")
    # the message of a malformed query repeats the query, as a stack trace does
    malformed = isinstance(error, SPARQLExceptions.QueryBadFormed)
    if reports_timeout(message) or (not malformed and is_stack_trace(message)):
        return QueryTimeoutError("a timeout reported in the response")
    if malformed:
        return HgldError(f"{endpoint.url}: the endpoint does not accept the query: {excerpt(message)}")
    return BusyError(f"the endpoint failed: {excerpt(message)}")


def _http_error(endpoint: Endpoint, error: HTTPError) -> Exception:
    """The error for every other status."""
    location = error.headers.get("Location") if 300 <= error.code < 400 else None
    _check_not_moved(endpoint, urljoin(endpoint.url, location) if location else error.geturl())
    status = f"{error.code} {error.reason}"
    if error.code == 403:
        return HgldError(
            f"{endpoint.url}: refused (403) for the user agent '{endpoint.user_agent}'; public endpoints require a "
            "contact address in it"
        )
    if error.code in _TOO_LARGE_STATUSES:
        return QueryTimeoutError(status)
    if error.code not in _BUSY_STATUSES:
        return HgldError(f"{endpoint.url}: the endpoint answered {status}")
    seconds = retry_after(endpoint.url, error.headers.get("Retry-After"))
    if seconds is None and reports_timeout(_beginning(error)):  # QLever reports a timeout with status 429
        return QueryTimeoutError(status)
    return BusyError(f"the endpoint answered {status}", seconds)


def _beginning(error: HTTPError) -> str:
    try:
        return error.read(2000).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
