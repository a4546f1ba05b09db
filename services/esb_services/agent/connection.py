"""HTTP connections from the agent to one worker, kept alive between invocations."""

import asyncio
from collections.abc import Mapping
from typing import Any

from esb_services.agent.runtime import (
    MAX_RESPONSE_BYTES,
    InvalidInvocationError,
    InvocationTimeoutError,
    ResponseTooLargeError,
    WorkerAnswer,
    WorkerDiedError,
)
from esb_services.http1 import (
    MAX_HEAD_BYTES,
    BodyTooLargeError,
    Message,
    ProtocolError,
    encode,
    read_message,
)

LEAST_END_SECONDS = 2.5
"""How long after a connection broke the cause of the worker's end is waited for, whatever time is left."""
MOST_END_SECONDS = 15.0
"""The same where the invocation had more time: an engine on a busy disk tells of an end seconds later."""
LAST_ANSWER_SECONDS = 0.1
MAX_HEALTH_BYTES = 64 * 1024
HEALTH_SECONDS = 1.0


class WorkerConnections:
    """The idle connections to one worker's address; a new one is opened when none is idle."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def invoke(
        self,
        name: str,
        ended: asyncio.Future[str],
        path: str,
        payload: bytes,
        headers: Mapping[str, str],
        seconds: float,
    ) -> WorkerAnswer:
        """Invoke the worker; see `Runtime.invoke`.

        Args:
            name: the worker's name.
            ended: becomes the cause of the worker's end, as the end of a sentence that starts with its name.
            path: the path to POST to.
            payload: the event.
            headers: more headers.
            seconds: the time the worker has to answer.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        exchange = asyncio.ensure_future(self.post(path, payload, headers, MAX_RESPONSE_BYTES))
        try:
            async with asyncio.timeout(seconds):
                first: tuple[asyncio.Future[Any], ...] = (exchange, ended)
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if not exchange.done():
                    # its last answer may be on its way still
                    await asyncio.wait([exchange], timeout=LAST_ANSWER_SECONDS)
                if not exchange.done():
                    raise WorkerDiedError(name, ended.result())
                answer = await exchange
        except TimeoutError:
            raise InvocationTimeoutError(name, seconds) from None
        except BodyTooLargeError:
            raise ResponseTooLargeError(name) from None
        except ProtocolError as error:
            raise InvalidInvocationError(str(error)) from error
        except (OSError, asyncio.IncompleteReadError):
            # connections close a moment before the end itself is known
            remaining = deadline - asyncio.get_running_loop().time()
            patience = min(max(remaining, LEAST_END_SECONDS), MOST_END_SECONDS)
            await asyncio.wait([ended], timeout=patience)
            cause = ended.result() if ended.done() else "closed the connection without an answer"
            raise WorkerDiedError(name, cause) from None
        finally:
            exchange.cancel()
        return WorkerAnswer(int(answer.start[1]), answer.headers, answer.body)

    async def healthy(self) -> bool:
        """Return whether the worker answers `GET /health` with 200."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                answer = await self._exchange(self._encode("GET", "/health", b"", {}), MAX_HEALTH_BYTES)
        except (OSError, ProtocolError, BodyTooLargeError, asyncio.IncompleteReadError):
            return False
        return answer.start[1] == "200"

    async def post(self, path: str, payload: bytes, headers: Mapping[str, str], max_body: int) -> Message:
        """Send one POST and return the answer.

        Raises:
            ProtocolError: path or headers cannot be sent.
            BodyTooLargeError: the answer is longer than `max_body` bytes.
            ConnectionError, asyncio.IncompleteReadError: the worker went away.
        """
        if not path.startswith("/") or any(character <= " " or character > "~" for character in path):
            raise ProtocolError(f"not the path of a request: {path!r}")
        headers = {"Content-Type": "application/json", **headers}
        return await self._exchange(self._encode("POST", path, payload, headers), max_body)

    def _encode(self, method: str, path: str, payload: bytes, headers: Mapping[str, str]) -> bytes:
        return encode(f"{method} {path} HTTP/1.1", {"Host": f"{self._host}:{self._port}", **headers}, payload)

    async def _exchange(self, request: bytes, max_body: int) -> Message:
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
