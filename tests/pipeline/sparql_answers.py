"""A SPARQL endpoint for tests: the hostile server as a proxy of a real endpoint, whose responses it can corrupt.

    hostile.always = passing_on(real_url)
    hostile.script(PATH, Answer(503), spoiling(real_url, change))

`queries(hostile)` are the queries that were sent.
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


def result(*bindings: object, columns: tuple[str, ...]) -> bytes:
    """A SPARQL JSON result with these bindings, whatever they are."""
    return json.dumps({"head": {"vars": columns}, "results": {"bindings": bindings}}).encode()


def passing_on(real_url: str) -> Handler:
    """The response of the real endpoint."""

    def handler(request: Request, server: HostileServer) -> Answer:
        if request.method == "GET":
            return Answer(400, b"no query")
        headers = {name: request.headers[name] for name in ("Content-Type", "Accept", "User-Agent")}
        with urlopen(HttpRequest(real_url, request.body, headers), timeout=60) as response:
            return Answer(200, response.read(), {"Content-Type": response.headers["Content-Type"]})

    return handler


def query(request: Request) -> str:
    """The query text of a request."""
    return parse_qs(request.body.decode())["query"][0]


def queries(server: HostileServer) -> list[str]:
    """All queries, in order; without those that a killed client did not send completely."""
    return [
        query(request) for request in server.requests if len(request.body) == int(request.headers["Content-Length"])
    ]


def spoiling(real_url: str, spoil: Callable[[Any], Any]) -> Handler:
    """The real response, its JSON changed by `spoil`."""
    good = passing_on(real_url)

    def handler(request: Request, server: HostileServer) -> Answer:
        answer = good(request, server)
        return replace(answer, body=json.dumps(spoil(json.loads(answer.body))).encode())

    return handler


def shaped(real_url: str, **settings: Any) -> Handler:
    """The real response, sent with these settings of `Answer`."""
    good = passing_on(real_url)
    return lambda request, server: replace(good(request, server), **settings)
