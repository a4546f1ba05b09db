"""What happens around each request: identity, CORS, the access log line and the request metrics."""

import asyncio
import logging
import time

from esb_services import logs
from esb_services.gateway import trace
from esb_services.gateway.http import (
    AsgiApp,
    Message,
    Receive,
    RequestInfo,
    Scope,
    Send,
    attach,
    header,
    respond,
    respond_error,
)
from esb_services.gateway.metrics import RequestMetrics

logger = logging.getLogger("esb.gateway.access")

_PREFLIGHT = [
    ("access-control-allow-methods", "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"),
    ("access-control-allow-headers", "*,Authorization,Content-Type,X-Amzn-Trace-Id,x-api-key"),
    ("access-control-max-age", "600"),
]
_QUIET_PATHS = ("/health", "/metrics")


class RequestFrame:
    """An ASGI application around `app` that gives each request its trace and id, and accounts for its end."""

    def __init__(self, app: AsgiApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics
        self._in_flight: set[asyncio.Task[None] | None] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def drained(self) -> None:
        """Wait until no request is in flight."""
        await self._idle.wait()

    def cut(self) -> None:
        """Answer the requests in flight with 503, now."""
        for task in self._in_flight:
            if task is not None:
                task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = time.perf_counter()
        task = asyncio.current_task()
        self._in_flight.add(task)
        self._idle.clear()
        info = RequestInfo(trace.Trace.accept(header(scope, b"x-amzn-trace-id")), trace.new_request_id())
        attach(scope, info)
        logs.trace_id.set(info.trace.root)
        logs.request_id.set(info.request_id)
        framed = _FramedSend(send, info)
        try:
            if scope["method"] == "OPTIONS":
                await respond(framed, 204, _PREFLIGHT)
            else:
                await self._app(scope, receive, framed)
        except asyncio.CancelledError:
            if framed.status is None:
                await respond_error(framed, 503, "the gateway is stopping")
        except Exception:
            logger.exception("request failed unexpectedly")
            if framed.status is None:
                await respond_error(framed, 500, "Internal server error")
        finally:
            self._in_flight.discard(task)
            if not self._in_flight:
                self._idle.set()
            self._account(scope, info, framed.status, time.perf_counter() - started)

    def _account(self, scope: Scope, info: RequestInfo, status: int | None, seconds: float) -> None:
        self._metrics.observe(scope["method"], status or 0, info.function, seconds)
        level = logging.DEBUG if scope["path"] in _QUIET_PATHS else logging.INFO
        if not logger.isEnabledFor(level):
            return
        fields = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "function": info.function,
        }
        logger.log(level, "%s %s %s", scope["method"], scope["path"], status, extra={"fields": fields})


class _FramedSend:
    """Adds the request's identity and the CORS header to a response, and remembers its status."""

    __slots__ = ("_info", "_send", "status")

    def __init__(self, send: Send, info: RequestInfo) -> None:
        self._send = send
        self._info = info
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {
                b"x-amzn-requestid": self._info.request_id.encode(),
                b"x-amzn-trace-id": self._info.trace.header.encode(),
            }
            headers = [pair for pair in message["headers"] if pair[0] not in own]
            if not any(name == b"access-control-allow-origin" for name, _ in headers):
                headers.append((b"access-control-allow-origin", b"*"))
            message["headers"] = [*headers, *own.items()]
        await self._send(message)
