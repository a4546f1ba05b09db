"""HTTP connections from the agent to one worker, kept alive between invocations."""

import asyncio
from collections.abc import Mapping

from esb_services.http1 import MAX_HEAD_BYTES, Message, ProtocolError, encode, read_message


class WorkerConnections:
    """The idle connections to one worker's address; a new one is opened when none is idle."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, payload: bytes, headers: Mapping[str, str], max_body: int) -> Message:
        """Send one POST and return the answer.

        Raises:
            ProtocolError: path or headers cannot be sent.
            BodyTooLargeError: the answer is longer than `max_body` bytes.
            ConnectionError, asyncio.IncompleteReadError: the worker went away.
        """
        if not path.startswith("/") or any(character <= " " or character > "~" for character in path):
            raise ProtocolError(f"not the path of a request: {path!r}")
        request = encode(
            f"POST {path} HTTP/1.1",
            {"Host": f"{self._host}:{self._port}", "Content-Type": "application/json", **headers},
            payload,
        )
        reader, writer = self._idle.pop() if self._idle else await self._open()
        try:
            writer.write(request)
            await writer.drain()
            answer = await read_message(reader, max_body)
        except BaseException:
            # an answer that nobody read would be taken for the next invocation's
            writer.transport.abort()
            raise
        if answer is None:
            writer.transport.abort()
            raise ConnectionResetError("the worker closed the connection")
        self._idle.append((reader, writer))
        return answer

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, limit=MAX_HEAD_BYTES)

    def close(self) -> None:
        """Close all idle connections."""
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()
