"""The few ASGI moves that the hot paths share: read a request, send a response."""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from esb_services.gateway.trace import Trace

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_INFO = "esb.request"


class BodyTooLargeError(Exception):
    """A request's body is larger than allowed."""


class ClientGoneError(Exception):
    """The client left before its request was read."""


@dataclass(slots=True)
class RequestInfo:
    """What is known of a request beside its ASGI scope; `function` is set once the request is routed."""

    trace: Trace
    request_id: str
    function: str | None = None


def attach(scope: Scope, info: RequestInfo) -> None:
    """Keep `info` with the request of `scope`."""
    scope[_INFO] = info


def info_of(scope: Scope) -> RequestInfo:
    """Return what `attach` has kept."""
    info: RequestInfo = scope[_INFO]
    return info


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header `name` (lower case) of a request, or None."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return a request's body.

    Raises:
        BodyTooLargeError: it has more than `limit` bytes.
        ClientGoneError: the client left.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLargeError
        if not message.get("more_body", False):
            return bytes(body)


def gone(receive: Receive) -> Callable[[], Awaitable[None]]:
    """Return a function that waits until the client has left; the body must have been read."""

    async def wait() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return wait


async def respond(
    send: Send, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
) -> None:
    """Send a whole response."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if status not in (204, 304):
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def respond_error(
    send: Send, status: int, message: str, headers: Iterable[tuple[str, str]] = ()
) -> None:
    """Send an error as JSON with `message`."""
    body = json.dumps({"message": message}).encode()
    await respond(send, status, [("content-type", "application/json"), *headers], body)
