"""Answers the workers' questions for names, by asking the engine's name server, which they cannot reach."""

import asyncio
import contextlib
import struct
from typing import cast

ENGINE_NAME_SERVER = ("127.0.0.11", 53)
ANSWER_SECONDS = 5.0
MAX_TCP_SECONDS = 10.0

Address = tuple[str, int]


class NameServer:
    """A forwarder, over UDP and, for long answers, TCP.

    Args:
        upstream: the name server that is asked.
    """

    def __init__(self, upstream: Address = ENGINE_NAME_SERVER) -> None:
        self._upstream = upstream
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int = 53) -> int:
        """Listen, and return the port (0 as argument: any)."""
        # TCP chooses where any port will do: connections that have just closed keep ports of its own.
        self._server = await asyncio.start_server(self._relay, host, port)
        taken: int = self._server.sockets[0].getsockname()[1]
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Questions(self._upstream), local_addr=(host, taken)
        )
        return taken

    def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one question over TCP, and its answer."""
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(MAX_TCP_SECONDS):
                question = await _read_framed(reader)
                up_reader, up_writer = await asyncio.open_connection(*self._upstream)
                try:
                    up_writer.write(question)
                    writer.write(await _read_framed(up_reader))
                    await writer.drain()
                finally:
                    up_writer.close()
        writer.close()


async def _read_framed(reader: asyncio.StreamReader) -> bytes:
    """Read one message with its length before it (RFC 1035, 4.2.2)."""
    head = await reader.readexactly(2)
    return head + await reader.readexactly(struct.unpack("!H", head)[0])


class _Questions(asyncio.DatagramProtocol):
    """Takes questions; each is asked from a socket of its own, so that answers cannot be mixed up."""

    def __init__(self, upstream: Address) -> None:
        self._upstream = upstream
        self._asking: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        task = asyncio.create_task(self._ask(data, addr))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, question: bytes, asker: Address) -> None:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()
        # a name server that does not answer: the asker asks again
        with contextlib.suppress(OSError, TimeoutError):
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Answer(answered), remote_addr=self._upstream
            )
            try:
                transport.sendto(question)
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await answered
            finally:
                transport.close()
            if self._transport is not None:
                self._transport.sendto(answer, asker)


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: Address) -> None:  # noqa: ARG002 - asyncio's
        if not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)
