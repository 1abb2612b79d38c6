"""The outermost layer of every request: its id, its log context, its headers, its measurements, the last catch."""

import re
import time
from urllib.parse import urlsplit

import structlog
from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carillon.kernel.ids import uuid7
from carillon.ops import metrics
from carillon.ops.settings import Settings

from .failures import internal
from .limits import Standing

_log = structlog.get_logger(__name__)
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{8,128}")
_YEAR = 31_536_000
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Shell:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap the application."""
        self.app = app
        self._headers = dict(_HEADERS)
        if urlsplit(settings.public_url or "").scheme == "https":
            self._headers["Strict-Transport-Security"] = f"max-age={_YEAR}; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        request.state.request_id = _request_id(request)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.state.request_id)
        started_at = time.perf_counter()
        status = 0

        async def decorated(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._decorate(request, MutableHeaders(scope=message))
            await send(message)

        try:
            await self.app(scope, receive, decorated)
        except Exception as error:
            answer = internal(request, error)
            if status:
                # Half an answer is out: cutting the connection is the only way left to say that it is not whole.
                raise
            await answer(scope, receive, decorated)
        finally:
            _measure(request, status, time.perf_counter() - started_at)

    def _decorate(self, request: Request, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = request.state.request_id
        for name, value in self._headers.items():
            headers.setdefault(name, value)
        if "authorization" in request.headers or "cookie" in request.headers:
            headers.setdefault("Cache-Control", "no-store")
        standing: Standing | None = getattr(request.state, "standing", None)
        if standing is not None and standing.limit:
            for name, value in standing.headers().items():
                headers[name] = value


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else uuid7().hex


def _measure(request: Request, status: int, seconds: float) -> None:
    # The template of the route, not the path: ids must not become labels.
    route = request.scope.get("route_template") or getattr(request.scope.get("route"), "path", None) or "none"
    metrics.HTTP_SECONDS.labels(request.method if route != "none" else "any", route, status or 499).observe(seconds)
    _log.info(
        "request",
        method=request.method,
        path=request.url.path,
        status=status,
        milliseconds=round(seconds * 1000, 1),
    )
