"""The body of a response to a SELECT query as rows, or the error that it is.

The status alone says little: the public endpoint reports a timeout in mid-stream as status 200 with a Java stack trace
in the body, and a refused user agent as status 200 with a web page.
"""

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

from hgld.foundation.errors import HgldError
from hgld.pipeline.acquisition.retry import TransientError
from hgld.pipeline.sparql.rdf_terms import Row

# What endpoints call a timeout. Error messages repeat the query, so no pattern may match a name (Time Out Market).
_TIMEOUT = re.compile(r"TimeoutException|[Oo]peration timed out|[Qq]uery timed out|due to timeout")


class QueryTimeoutError(Exception):
    """The endpoint ran out of time, or refused the query as too large: a smaller query may succeed."""


def parse_rows(body: str, columns: Sequence[str], location: str) -> list[Row]:
    """The rows of a SPARQL JSON result in the order of `columns`, sorted and unique; an unbound variable is "".

    Raises QueryTimeoutError for a stack trace, TransientError for a body that is not JSON, HgldError for JSON that is
    not a result with exactly these columns.
    """
    try:
        result: Any = json.loads(body)
    except (ValueError, RecursionError):
        if is_stack_trace(body):
            raise QueryTimeoutError("a timeout reported in the response") from None
        if not body.strip():
            raise TransientError("an empty body instead of a JSON result") from None
        content = "a web page" if body.lstrip()[:1] == "<" else "broken JSON"
        raise TransientError(f"{content} instead of a JSON result: {excerpt(body)}") from None
    try:
        variables = list(result["head"]["vars"])
        bindings = result["results"]["bindings"]
        # column by column: a function call per row took as long as parsing the JSON (tests/scale)
        values = [[row[name]["value"] if name in row else "" for row in bindings] for name in columns]
        _check_text([*variables, *chain.from_iterable(values)])
        rows = set(zip(*values, strict=True))
    except (KeyError, TypeError, UnicodeEncodeError):
        raise HgldError(f"{location}: JSON that is not a SPARQL result: {excerpt(result)}") from None
    if sorted(variables) != sorted(columns):
        has = ", ".join(variables) or "nothing"
        raise HgldError(f"{location}: expected the columns {', '.join(columns)}; the response has {has}")
    return sorted(rows)


def is_stack_trace(body: str) -> bool:
    """Whether a body holds the Java stack trace with which Blazegraph reports a timeout."""
    return "TimeoutException" in body or "SPARQL-QUERY:" in body


def reports_timeout(message: str) -> bool:
    """Whether an error message is about a timeout."""
    return _TIMEOUT.search(message) is not None


def excerpt(content: object) -> str:
    """The first 160 characters of `content` on one line, printable whatever it holds."""
    try:
        return " ".join(str(content).split())[:160].encode("utf-8", "backslashreplace").decode()
    except RecursionError:
        return "(too deeply nested to show)"


def _check_text(values: list[Any]) -> None:
    """Raise TypeError for a value that is not text, UnicodeEncodeError for one that no file can hold (a surrogate)."""
    # joined: a function call per value took longer than parsing the JSON (tests/scale)
    "".join(values).encode("utf-8")
