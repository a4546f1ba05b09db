"""The small HTTP/1.1 that agent and worker speak."""

import asyncio

import pytest
from esb_services.http1 import (
    BodyTooLargeError,
    Message,
    ProtocolError,
    Response,
    encode,
    encode_response,
    read_message,
    serve_connection,
)


def read(data: bytes, max_body: int = 100) -> Message | None:
    """Read one message from a connection that carries `data` and then closes."""

    async def run() -> Message | None:
        reader = asyncio.StreamReader(limit=1000)
        reader.feed_data(data)
        reader.feed_eof()
        return await read_message(reader, max_body)

    return asyncio.run(run())


def test_a_request_is_read_with_lower_case_header_names() -> None:
    """Start line, headers and a body of the announced length are told apart."""
    message = read(b"POST /p HTTP/1.1\r\nContent-Length: 3\r\nX-Own:  a:b \r\n\r\nabcmore")
    assert message == Message(("POST", "/p", "HTTP/1.1"), {"content-length": "3", "x-own": "a:b"}, b"abc")


def test_a_body_in_chunks_is_put_together() -> None:
    """Chunk extensions and trailers are skipped."""
    chunks = b"3;x=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
    message = read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert message is not None
    assert message.body == b"abc0123456789"


def test_a_connection_that_closes_before_a_message_is_no_error() -> None:
    """A peer may go away between messages, not within one."""
    assert read(b"") is None
    with pytest.raises(asyncio.IncompleteReadError):
        read(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"x" * 2000 + b"\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(data: bytes) -> None:
    """Broken messages raise one kind of error."""
    with pytest.raises(ProtocolError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
    ],
)
def test_a_body_beyond_the_limit_is_not_read(data: bytes) -> None:
    """The announced length decides, before the body arrives."""
    with pytest.raises(BodyTooLargeError):
        read(data)


def test_headers_cannot_be_smuggled() -> None:
    """A line break in a header is refused, as are characters that HTTP cannot carry."""
    for value in ("a\r\nX: b", "a\nb", "漢"):
        with pytest.raises(ProtocolError):
            encode("GET / HTTP/1.1", {"X-Own": value}, b"")


def test_a_response_is_one_buffer_with_its_length() -> None:
    """Status, headers and body leave together."""
    sent = encode_response(Response(200, b"abc", {"X-Own": "1"}))
    assert sent == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Own: 1\r\nContent-Length: 3\r\n\r\nabc"
    )


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", [200, 200]),
        (b"GET /1 HTTP/1.1\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", [200]),
        (b"GET /1 HTTP/1.0\r\n\r\n", [200]),
        (b"POST / HTTP/1.1\r\nContent-Length: 999\r\n\r\n", [413]),
        (b"nonsense\r\n\r\n", [400]),
    ],
)
def test_a_connection_is_served_until_it_should_close(sent: bytes, statuses: list[int]) -> None:
    """Connections are kept alive, closed on request, and answered before they are closed for a mistake."""

    async def handle(request: Message) -> Response:
        return Response(200, request.start[1].encode())

    async def run() -> bytes:
        server = await asyncio.start_server(
            lambda reader, writer: serve_connection(reader, writer, handle, 100), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            writer.write(sent)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        return answer

    answer = asyncio.run(run())
    assert [int(part[:3]) for part in answer.decode().split("HTTP/1.1 ")[1:]] == statuses
