"""A real HTTP server on loopback with scripted faults.

    with HostileServer() as server:
        server.files["/train.csv"] = b"..."            # with ETag, Range, If-Range, If-None-Match, HEAD
        server.script("/train.csv", Answer(503), reset_after(1000), good)
        ...
        assert [request.headers.get("Range") for request in server.requests] == [None, None, "bytes=1000-"]

Each request but HEAD consumes one answer of the script of its path; after the last one the file is served without
faults. HEAD is answered correctly unless `heads` is set. `otherwise` answers for paths without a file.
"""

import hashlib
import http.server
import re
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType


@dataclass(frozen=True)
class Request:
    """A request, and when it arrived (time.monotonic)."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True)
class Answer:
    """One response. By default it is sent completely, at once, with the correct Content-Length."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None  # Content-Length; None: the correct one; -1: no such header
    stop_after: int | None = None  # send only this many bytes of the body
    chunked: bool = False  # Transfer-Encoding: chunked
    reset: bool = False  # end with a TCP reset
    piece: int = 1 << 20  # send the body in pieces of this size
    pause_s: float = 0.0  # pause before each piece
    wait_s: float = 0.0  # pause before the header


Handler = Callable[[Request, "HostileServer"], Answer]


def good(request: Request, server: "HostileServer") -> Answer:
    """The correct answer: the file, or the answer of `otherwise`."""
    body = server.files.get(request.path)
    if body is None:
        return server.otherwise(request, server) if server.otherwise else Answer(404, b"nothing here")
    tag = server.etag(request.path)
    headers = {"ETag": tag, "Accept-Ranges": "bytes"} if tag else {"Accept-Ranges": "bytes"}
    if tag and request.headers.get("If-None-Match") == tag:
        return Answer(304, headers=headers)
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if not span or request.headers.get("If-Range", tag) != tag:
        return Answer(200, body, headers)
    start, end = int(span[1]), int(span[2] or len(body) - 1)
    if start >= len(body):
        return Answer(416, headers={**headers, "Content-Range": f"bytes */{len(body)}"})
    return Answer(206, body[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(body)}"})


def short_after(count: int) -> Handler:
    """The correct answer, but the connection is closed after `count` bytes of the body."""
    return lambda request, server: replace(good(request, server), stop_after=count)


def reset_after(count: int) -> Handler:
    """The correct answer, but the connection is reset after `count` bytes of the body."""
    return lambda request, server: replace(good(request, server), stop_after=count, reset=True)


def dripping(piece: int, pause_s: float) -> Handler:
    """The correct answer, `piece` bytes at a time."""
    return lambda request, server: replace(good(request, server), piece=piece, pause_s=pause_s)


def ignoring_range(request: Request, server: "HostileServer") -> Answer:
    """The whole file, whatever range was requested."""
    return Answer(200, server.files[request.path], {"ETag": server.etag(request.path)})


class HostileServer:
    """See the module. `base` is its URL; `requests` are the requests in order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}  # path → its ETag; "" for none
        self.otherwise: Handler | None = None
        self.always: Handler | None = None  # answers every GET and POST after the scripts
        self.heads: Handler | None = None
        self.requests: list[Request] = []
        self._scripts: dict[str, deque[Answer | Handler]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self.base = f"http://127.0.0.1:{self._http.server_address[1]}"

    def script(self, path: str, *answers: Answer | Handler) -> None:
        """Set the answers to the next requests for `path`, one each."""
        self._scripts[path].extend(answers)

    def etag(self, path: str) -> str:
        """The ETag of a file: the one in `etags`, or else a hash of its bytes."""
        return self.etags.get(path, f'"{hashlib.md5(self.files[path]).hexdigest()}"')

    def asked(self, path: str, method: str = "GET") -> list[Request]:
        """The requests for one path."""
        return [request for request in self.requests if (request.path, request.method) == (path, method)]

    def answer(self, request: Request) -> Answer:
        """Record the request and choose its answer."""
        with self._lock:
            self.requests.append(request)
            script = self._scripts[request.path]
            if request.method == "HEAD":
                chosen: Answer | Handler = self.heads or good
            else:
                chosen = script.popleft() if script else (self.always or good)
        return chosen if isinstance(chosen, Answer) else chosen(request, self)

    def pause(self, seconds: float) -> None:
        """Wait, at most until the server is stopped."""
        if seconds:
            self._stopping.wait(seconds)

    def __enter__(self) -> "HostileServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Server(http.server.ThreadingHTTPServer):
    owner: HostileServer
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Print no traceback: the tests kill clients on purpose."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = owner.answer(Request(self.command, self.path, dict(self.headers), body, time.monotonic()))
        owner.pause(answer.wait_s)
        self._send_head(answer)
        if self.command != "HEAD":
            self._send_body(answer)

    do_POST = do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _send_head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        length = len(answer.body) if answer.length is None else answer.length
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif length >= 0 and answer.status != 304:
            self.send_header("Content-Length", str(length))
        if length != len(answer.body) or answer.stop_after is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()

    def _send_body(self, answer: Answer) -> None:
        body = answer.body[: answer.stop_after]
        for start in range(0, len(body), answer.piece):
            self.server.owner.pause(answer.pause_s)
            piece = body[start : start + answer.piece]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if answer.chunked else piece)
            self.wfile.flush()
        if answer.chunked and answer.stop_after is None:
            self.wfile.write(b"0\r\n\r\n")
        if answer.reset:
            # with a linger time of 0 close() sends a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.rfile.close()
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
