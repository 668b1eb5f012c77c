"""A SPARQL endpoint for tests: the hostile server with a real one behind it, and ways to spoil its answers.

    with spoiled(hostile, real_url) as endpoint: ...

Every query that no script answers is passed on to the real endpoint; `queries(hostile)` is what was asked.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from tests.hostile_server import Answer, Handler, HostileServer, Request

PATH = "/sparql"
TRACE = (
    '{"head": {"vars": ["key", "property", "value"]}, "results": {"bindings": [\n'
    "SPARQL-QUERY: queryStr=SELECT\njava.util.concurrent.TimeoutException\n\tat java.util.concurrent.FutureTask"
)


def passing_on(real_url: str) -> Handler:
    """What the real endpoint answers."""

    def handler(request: Request, server: HostileServer) -> Answer:
        if request.method == "GET":
            return Answer(400, b"no query")
        kept = {name: request.headers[name] for name in ("Content-Type", "Accept", "User-Agent")}
        with urlopen(HttpRequest(real_url, request.body, kept), timeout=60) as answer:
            return Answer(200, answer.read(), {"Content-Type": answer.headers["Content-Type"]})

    return handler


def query(request: Request) -> str:
    """The query text of a request."""
    return parse_qs(request.body.decode())["query"][0]


def queries(server: HostileServer) -> list[str]:
    """Every query that was asked, in order; without those that a killed client had not sent to the end."""
    whole = [one for one in server.requests if len(one.body) == int(one.headers["Content-Length"])]
    return [query(request) for request in whole]


def spoiling(real_url: str, spoil: Callable[[Any], Any]) -> Handler:
    """The real answer, its JSON changed by `spoil`."""
    good = passing_on(real_url)

    def handler(request: Request, server: HostileServer) -> Answer:
        answer = good(request, server)
        return replace(answer, body=json.dumps(spoil(json.loads(answer.body))).encode())

    return handler


def shaped(real_url: str, **how: Any) -> Handler:
    """The real answer, sent as `how` says (see Answer)."""
    good = passing_on(real_url)
    return lambda request, server: replace(good(request, server), **how)
