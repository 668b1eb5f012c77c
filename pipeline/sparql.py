"""A SPARQL client for endpoints that throttle, time out and lie: rows of the asked columns, or one clear error.

The same query text (the *.rq files here) goes to the public endpoint and to a local one. An answer is taken for rows
only when it is JSON with exactly the asked columns: the public endpoint reports a timeout in mid-stream as status
200 with a Java trace in the body, and a refused agent as status 200 with a page.
"""

import gzip
import hashlib
import http.client
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import sleep
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from SPARQLWrapper import JSON, POST, SPARQLExceptions, SPARQLWrapper

from hgld.hierarchy.errors import HgldError
from hgld.hierarchy.files import replacing

ENTITY = "http://www.wikidata.org/entity/"

Row = dict[str, str]

_RETRIED = {429, 500, 502, 503, 504}
_LONGEST_WAIT_S = 600.0


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, as whom, and how patiently; `cache` keeps every good answer, so that a killed run resumes."""

    url: str
    user_agent: str
    timeout_s: float = 60.0
    retries: int = 3
    pause_s: float = 0.0
    batch: int = 200
    cache: Path | None = None


class QueryTimeoutError(Exception):
    """The endpoint gave up on a query: ask for less."""


class _BrokenError(Exception):
    """An answer that another try may repair."""

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


def select(endpoint: Endpoint, query: str, columns: Sequence[str]) -> list[Row]:
    """The rows of a SELECT query, sorted; a variable without a value is "".

    Raises QueryTimeoutError when the endpoint runs out of time, HgldError for all else that is not rows of `columns`.
    """
    _check_url(endpoint.url)
    kept = _cache_path(endpoint, query)
    if kept is not None and kept.is_file():
        return _rows(_parsed(gzip.decompress(kept.read_bytes()).decode("utf-8"), endpoint), columns, endpoint)
    body = _ask_patiently(endpoint, query, columns)
    if kept is not None:
        with replacing(kept) as part:
            part.write_bytes(gzip.compress(body.encode("utf-8"), mtime=0))
    return _rows(_parsed(body, endpoint), columns, endpoint)


def select_all(endpoint: Endpoint, name: str, values: Sequence[str], columns: Sequence[str]) -> list[Row]:
    """The rows of the query `name`.rq for all `values`, asked in batches; a batch that times out is halved.

    values: RDF terms, see `entity` and `literal`. Sorted first, so that the same set makes the same queries.
    """
    template = Path(__file__).with_name(f"{name}.rq").read_text(encoding="utf-8")
    todo = sorted(set(values))
    rows: list[Row] = []
    for start in range(0, len(todo), endpoint.batch):
        for answer in _halving(endpoint, template, todo[start : start + endpoint.batch], columns):
            rows += answer
    return rows


def _halving(
    endpoint: Endpoint, template: str, values: list[str], columns: Sequence[str]
) -> Iterator[list[Row]]:
    try:
        yield select(endpoint, template.replace("%VALUES%", " ".join(values)), columns)
    except QueryTimeoutError as error:
        if len(values) == 1:
            text = f"{endpoint.url}: no answer in time, even for {values[0]} alone ({error})"
            raise HgldError(text) from None
        half = len(values) // 2
        yield from _halving(endpoint, template, values[:half], columns)
        yield from _halving(endpoint, template, values[half:], columns)


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
    found = uri.removeprefix(ENTITY)
    return found if uri.startswith(ENTITY) and found[:1] == "Q" and found[1:].isdigit() else ""


def _check_url(url: str) -> None:
    """Raise HgldError unless `url` is one of http or https: a file would be read as if it were an answer."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise HgldError(f"'{url}' is not the URL of a SPARQL endpoint; expected http://... or https://...")


def _cache_path(endpoint: Endpoint, query: str) -> Path | None:
    if endpoint.cache is None:
        return None
    key = hashlib.sha256(f"{endpoint.url}\n{query}".encode()).hexdigest()
    return endpoint.cache / f"{key}.json.gz"


def _ask_patiently(endpoint: Endpoint, query: str, columns: Sequence[str]) -> str:
    """The body of a good answer; waits and asks again as often as `retries` says."""
    for attempt in range(endpoint.retries + 1):
        try:
            sleep(endpoint.pause_s)
            body = _ask(endpoint, query)
            _rows(_parsed(body, endpoint), columns, endpoint)
            return body
        except _BrokenError as error:
            if attempt == endpoint.retries:
                tries = f" ({attempt + 1} tries)" if attempt else ""
                raise HgldError(f"{error}{tries}") from None
            sleep(0.5 * 2**attempt if error.wait_s is None else error.wait_s)
    raise AssertionError("unreachable")


def _ask(endpoint: Endpoint, query: str) -> str:
    """One request; the body as text."""
    client = SPARQLWrapper(endpoint.url, agent=endpoint.user_agent)
    client.setMethod(POST)
    client.setReturnFormat(JSON)
    client.setOnlyConneg(True)
    client.setTimeout(max(1, round(endpoint.timeout_s)))
    client.setQuery(query)
    try:
        with client.query().response as answer:
            return str(answer.read().decode("utf-8"))
    except SPARQLExceptions.EndPointNotFound:
        raise HgldError(f"{endpoint.url}: no SPARQL endpoint there (404); check the address") from None
    except SPARQLExceptions.QueryBadFormed as error:
        raise HgldError(f"{endpoint.url}: the endpoint does not accept the query: {_short(error)}") from None
    except SPARQLExceptions.SPARQLWrapperException as error:
        _raise_if_timeout(str(error))
        raise _BrokenError(f"{endpoint.url}: the endpoint failed: {_short(error)}") from None
    except HTTPError as error:
        with error:
            raise _http_problem(endpoint, error) from None
    except TimeoutError:
        raise QueryTimeoutError(f"nothing within {endpoint.timeout_s:g} s") from None
    except UnicodeDecodeError:
        raise _BrokenError(f"{endpoint.url}: the answer is not UTF-8") from None
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise _BrokenError(f"cannot reach the SPARQL endpoint {endpoint.url}: {reason}") from None
    except ValueError as error:
        raise HgldError(f"'{endpoint.url}' is not the URL of a SPARQL endpoint: {error}") from None


def _http_problem(endpoint: Endpoint, error: HTTPError) -> Exception:
    if error.code == 403:
        return HgldError(
            f"{endpoint.url}: refused (403) for the user agent '{endpoint.user_agent}'; public endpoints want a "
            "contact address in it"
        )
    text = f"{endpoint.url}: the endpoint answered {error.code} {error.reason}"
    if error.code in _RETRIED:
        return _BrokenError(text, _retry_after(error.headers.get("Retry-After")))
    return HgldError(text)


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from either form of the header."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)


def _raise_if_timeout(body: str) -> None:
    if "TimeoutException" in body or "SPARQL-QUERY:" in body:
        raise QueryTimeoutError("a timeout reported in the answer")


def _parsed(body: str, endpoint: Endpoint) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        _raise_if_timeout(body)
        what = "a web page" if body.lstrip()[:1] == "<" else "nothing" if not body.strip() else "broken JSON"
        raise _BrokenError(f"{endpoint.url}: {what} instead of a JSON result: {_short(body)}") from None


def _rows(result: Any, columns: Sequence[str], endpoint: Endpoint) -> list[Row]:
    try:
        found = [_text(name) for name in result["head"]["vars"]]
        bindings = result["results"]["bindings"]
        rows = [
            {name: _text(row[name]["value"]) if name in row else "" for name in columns} for row in bindings
        ]
    except (KeyError, TypeError):
        raise HgldError(f"{endpoint.url}: JSON that is no SPARQL result: {_short(result)}") from None
    if sorted(found) != sorted(columns):
        has = ", ".join(found) or "nothing"
        raise HgldError(f"{endpoint.url}: asked for {', '.join(columns)}; the answer has {has}")
    return sorted(rows, key=lambda row: [row[name] for name in columns])


def _text(value: object) -> str:
    """`value` itself; raises TypeError when it is no text."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


def _short(what: object) -> str:
    try:
        return " ".join(str(what).split())[:160]
    except RecursionError:
        return "(too deeply nested to show)"
