"""HTTP/1.1 over asyncio streams, as much as talking to function workers needs: small, quick, kept alive."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_HEAD_BYTES = 4 * 1024 * 1024
"""A runtime client may send a fault report of 1 MiB in a header."""


class ProtocolError(ValueError):
    """The peer, or a caller, breaks the rules of HTTP/1.1."""


class BodyTooLargeError(Exception):
    """A message announces or holds a longer body than its reader takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Message:
    """A received request or response; header names are lower case."""

    start: tuple[str, str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An answer to send; `Content-Length` is added when it is encoded."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


Handler = Callable[[Message], Awaitable[Response]]


async def read_message(reader: asyncio.StreamReader, max_body: int) -> Message | None:
    """Read one request or response, or return None where the peer closed before its first byte.

    Args:
        reader: a stream whose limit is at least the length of the longest head to accept.
        max_body: the longest body to accept, in bytes.

    Raises:
        ProtocolError: what came is not HTTP/1.1.
        BodyTooLargeError: the body is longer than `max_body`; the connection cannot be used any more.
        asyncio.IncompleteReadError: the connection ended in the middle.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    except asyncio.LimitOverrunError as error:
        raise ProtocolError("the head is too long") from error
    lines = head[:-4].decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if len(parts) < 2:
        raise ProtocolError(f"not an HTTP start line: {lines[0][:80]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, separator, value = line.partition(":")
        if not separator:
            raise ProtocolError(f"not an HTTP header: {line[:80]!r}")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader, max_body)
    else:
        length = _natural(headers.get("content-length", "0"), 10)
        if length > max_body:
            raise BodyTooLargeError(max_body)
        body = await reader.readexactly(length) if length else b""
    return Message((parts[0], parts[1], parts[2] if len(parts) > 2 else ""), headers, body)


async def _read_chunks(reader: asyncio.StreamReader, max_body: int) -> bytes:
    body = bytearray()
    while True:
        size = _natural((await reader.readuntil(b"\r\n")).partition(b";")[0].decode("latin-1").strip(), 16)
        if len(body) + size > max_body:
            raise BodyTooLargeError(max_body)
        if not size:
            break
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)


def _natural(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise ProtocolError(f"not a length: {text[:80]!r}")
    return number


def encode(start_line: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a whole message as one buffer: two sends would cost a delayed ACK of 40 ms.

    Raises:
        ProtocolError: a header holds a line break or characters outside Latin-1.
    """
    lines = [start_line]
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        if any(character in name or character in value for character in "\r\n\0"):
            raise ProtocolError(f"header {name!r} holds a line break")
        lines.append(f"{name}: {value}")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    except UnicodeEncodeError as error:
        raise ProtocolError("a header holds characters outside Latin-1") from error


def encode_response(response: Response) -> bytes:
    """Return `response` as one buffer."""
    start = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
    return encode(start, {"Content-Type": response.content_type, **response.headers}, response.body)


async def serve_connection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler, max_body: int
) -> None:
    """Answer the requests of one connection, one after the other, until it closes."""
    try:
        while (request := await read_message(reader, max_body)) is not None:
            response = await handle(request)
            writer.write(encode_response(response))
            await writer.drain()
            if request.headers.get("connection", "").lower() == "close" or request.start[2] == "HTTP/1.0":
                return
    except BodyTooLargeError as error:
        writer.write(
            encode_response(Response(413, str(error).encode(), {"Connection": "close"}, "text/plain"))
        )
    except ProtocolError as error:
        writer.write(
            encode_response(Response(400, str(error).encode(), {"Connection": "close"}, "text/plain"))
        )
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    except asyncio.CancelledError:
        # the task of a connection ends with its server; asyncio of Python 3.11 would print a traceback
        return
    finally:
        writer.close()
