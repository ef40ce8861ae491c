"""In: every request. Out: it, or a refusal: who may ask, from where; and for all a log line, numbers and headers.

    Host        of this machine, so that no other site's page reaches the server by a name made to lead here
    Origin      where a browser sends one, the server's own: another site's page may not post
    key         of /v1 and /metrics, where there is one

The log has no text, no query, no id: method, route, status, time.
"""

from __future__ import annotations

import hmac
import logging
import time
import traceback
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vaner.serving.bodies import ClientGone, throw_away
from vaner.serving.desk import Desk
from vaner.serving.errors import RequestError

log = logging.getLogger(__name__)
access = logging.getLogger("vaner.serving.access")

#: The status that is logged where the client went away before its answer.
GONE = 499
#: The routes that are counted by their name; all others together.
ROUTES = (
    "/",
    "/v1/tag",
    "/v1/tag/file",
    "/v1/tag/stream",
    "/v1/convert",
    "/v1/models",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class _Body:
    """A request's body, and whether all of it has come."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._ended = False
        self._asks = "expect" in Headers(scope=scope)

    async def __call__(self) -> Message:
        self._asks = False
        message = await self._receive()
        self._ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def over(self) -> bool:
        """Whether nothing more will come; what is on its way is thrown away first, so that its sender reads why."""
        # Who asks before sending a body (Expect: 100-continue) sends none when refused.
        if not self._ended and not self._asks:
            await throw_away(self)
        return self._ended


class Guard:
    """An ASGI application around another.

    Args:
        app: the other.
        desk: whose settings say who may ask; its numbers count.
    """

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app, self._desk = app, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1003})
            return
        started = time.monotonic()
        status = 0
        body = _Body(scope, receive)

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if status >= 400 and not await body.over():
                    headers["Connection"] = "close"
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, body, sent)
        except RequestError as error:
            await refuse(error, sent)
        except ClientGone:
            pass
        except Exception as error:
            # The application has answered, unless it failed in the middle of an answer; uvicorn then cuts it off.
            log.error("%s", where(error))
            if status != 500:
                raise ConnectionAbortedError from None
        finally:
            self._told(scope, status or GONE, time.monotonic() - started)

    def _check(self, scope: Scope) -> None:
        settings = self._desk.settings
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not settings.allows_host(host):
            raise RequestError(
                "unknown_host",
                "the Host header names another machine; start the server with --allowed_hosts NAME",
            )
        if scope["method"] not in _SAFE:
            origin = headers.get("origin")
            if (origin is not None and not _same(origin, host)) or headers.get(
                "sec-fetch-site", "none"
            ) not in ("none", "same-origin"):
                raise RequestError(
                    "forbidden_origin", "pages of other sites may not ask this server; ask from its own page"
                )
        path = scope["path"]
        if settings.key is not None and (path.startswith("/v1") or path == "/metrics"):
            if not has_key(headers.get("authorization", ""), settings.key):
                raise RequestError(
                    "no_key",
                    "the key is missing or wrong; send the header Authorization: Bearer KEY",
                    {"WWW-Authenticate": "Bearer"},
                )

    def _told(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in ROUTES else "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        metrics = self._desk.metrics
        metrics.requests.labels(route, str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        if status == GONE:
            metrics.cancelled.inc()
        access.info("%s %s %d %.0f ms", method, route, status, 1000 * seconds)


def has_key(authorization: str, key: str) -> bool:
    """Whether an Authorization header has the key, compared in the same time whatever it has."""
    scheme, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), key.encode())
    return same and scheme.lower() == "bearer"


def where(error: BaseException) -> str:
    """The kind of an error and where it was raised; its message may quote a text and is left out."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames))
    return f"{type(error).__name__} in {places}"


async def refuse(error: RequestError, send: Send) -> None:
    """Answer with an error."""
    body = error.body()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **error.headers}
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _same(origin: str, host: str) -> bool:
    """Whether a page's origin is the host that it asks."""
    try:
        found = urlsplit(origin)
    except ValueError:
        return False
    default = {"http": ":80", "https": ":443"}.get(found.scheme)
    if default is None:
        return False
    return found.netloc.lower().removesuffix(default) == host.lower().removesuffix(default)
