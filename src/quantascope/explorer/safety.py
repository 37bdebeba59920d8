"""What stands between the explorer and the network: who may ask, how much, and what a page may do.

Text from corpora is hostile and so may be a page in another tab. A request is answered when its
host is ours (no rebinding of names), when what it changes comes from our own pages, and, where the
explorer listens beyond this machine, when it knows the token. Pages may load what is ours and
nothing else: no inline script, no outgoing request.
"""

import hmac
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "Guard", "allowed_hosts"]

COOKIE: Final = "quantascope_token"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FIGURE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""For a figure opened by itself: its own style, which drawing libraries put in, and nothing else;
no script runs in a sandbox."""
_FIGURE: Final = "image/svg+xml"
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_MOST_URL: Final = 8_192
_MOST_BODY: Final = 65_536
_SAFE: Final = ("GET", "HEAD")
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


def allowed_hosts(host: str, port: int) -> frozenset[str]:
    """List the host headers that are ours: loopback names, and the address listened on."""
    names = {*_LOOPBACK, f"[{host}]" if ":" in host else host}
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


class Guard:
    """Middleware that refuses what is not for us, and puts the policy on every answer."""

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], token: str | None, writable: bool
    ) -> None:
        self._app, self._token, self._writable = app, token, writable
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if headers.get("content-type", "").startswith(_FIGURE):
                    headers["content-security-policy"] = _FIGURE_POLICY
            await send(message)

        request = Request(scope)
        refusal = self._refuse(request)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _refuse(self, request: Request) -> Response | None:
        scope = request.scope
        path = scope.get("raw_path") or scope["path"].encode()
        if len(path) + len(scope["query_string"]) > _MOST_URL:
            return PlainTextResponse(f"address longer than {_MOST_URL} bytes\n", 414)
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("host not served here\n", 421)
        if self._token is not None and not self._knows_token(request):
            return self._ask_token(request)
        if request.method not in _SAFE:
            return self._refuse_change(request)
        return None

    def _knows_token(self, request: Request) -> bool:
        return _same(request.cookies.get(COOKIE, ""), self._token)

    def _ask_token(self, request: Request) -> Response:
        """Take the token out of the address into a cookie, once; refuse what lacks it."""
        if request.method in _SAFE and _same(request.query_params.get("token", ""), self._token):
            plain = request.url.remove_query_params("token")
            path = "/" + plain.path.lstrip("/")  # "//name" would lead to another host
            answer = RedirectResponse(f"{path}?{plain.query}".rstrip("?"), 303)
            answer.set_cookie(COOKIE, str(self._token), httponly=True, samesite="strict")
            return answer
        return PlainTextResponse("token missing: open the address that was printed\n", 401)

    def _refuse_change(self, request: Request) -> Response | None:
        if not self._writable:
            return PlainTextResponse("this explorer is read-only\n", 403)
        if request.method != "POST":
            return PlainTextResponse("method not allowed\n", 405)
        ours = [f"http://{request.headers['host'].lower()}"]
        if [origin.lower() for origin in request.headers.getlist("origin")] != ours:
            return PlainTextResponse("changes are taken from the explorer's own pages only\n", 403)
        if not _is_short(request.headers.getlist("content-length")):
            return PlainTextResponse(f"body of at most {_MOST_BODY} bytes expected\n", 413)
        return None


def _is_short(lengths: list[str]) -> bool:
    """Tell whether one length is given, and a body of it is not too long."""
    return (
        len(lengths) == 1
        and lengths[0].isascii()
        and lengths[0].isdigit()
        and len(lengths[0]) < 10
        and int(lengths[0]) <= _MOST_BODY
    )


def _same(given: str, wanted: str | None) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), (wanted or "").encode())
