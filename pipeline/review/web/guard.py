"""What stands before every request: only this machine's browser, with the token of this run, and small bodies.

A page on the web can send requests to 127.0.0.1, so a request needs the cookie that the printed address sets, and names
of host and origin that are this server's. The pages load nothing from elsewhere and run no inline script.
"""

import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

MAX_BODY = 64 * 1024
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Next = Callable[[Request], Awaitable[Response]]


class Guard:
    """Lets a request through to the pages, or answers it.

    port: of this server; token: of this run, which the printed address has.
    """

    def __init__(self, port: int, token: str) -> None:
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._token = token
        self._cookie = f"hgld-{port}"  # cookies do not know ports: two servers must not take each other's

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """The answer, always with the headers that confine the page."""
        refusal = self._refusal(request)
        response = refusal if refusal is not None else await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host", "") not in self._hosts:
            return _error(421, "this server answers to 127.0.0.1 only")
        if request.headers.get("origin", next(iter(self._origins))) not in self._origins:
            return _error(403, "requests of other pages are refused")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _error(403, "requests of other pages are refused")
        if request.url.path == "/" and secrets.compare_digest(_text(request.query_params.get("token")), self._token):
            response = RedirectResponse("/", status_code=303)
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return response
        if not secrets.compare_digest(_text(request.cookies.get(self._cookie)), self._token):
            return _error(403, "open the address that `hgld review` printed, which has the key of this run")
        return self._body_refusal(request)

    def _body_refusal(self, request: Request) -> Response | None:
        """Bodies are JSON of a stated, small length: another page cannot send JSON without asking first."""
        if request.method in ("GET", "HEAD"):
            return None
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return _error(413, f"the request must state its length, at most {MAX_BODY} bytes")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _error(415, "the request must be JSON")
        return None


def _text(value: str | None) -> str:
    """As ASCII, which `compare_digest` takes."""
    return (value or "").encode("ascii", "replace").decode("ascii")


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)
