"""What containerd workers write: lines out of a named pipe, passed on to the agent's own stdout."""

import asyncio
import contextlib
import os
import sys
from collections import deque
from pathlib import Path
from typing import BinaryIO

from esb_services.agent.workers import TAIL_LINES

PIPE_BYTES = 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024


class WorkerOutput:
    """The output of one worker, whose lines are whole JSON objects already.

    Args:
        path: of the named pipe, which is made where it does not exist.
        sink: where lines go; None: the agent's stdout.
    """

    def __init__(self, path: Path, sink: BinaryIO | None = None) -> None:
        self.path = path
        self._sink = sys.stdout.buffer if sink is None else sink
        self._rest = b""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # also for writing: without a writer, the pipe would be at its end
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._descriptor, self.drain)

    def drain(self) -> None:
        """Pass on every whole line that is in the pipe now."""
        if self._descriptor is None:
            return
        try:
            data = os.read(self._descriptor, PIPE_BYTES)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        self._pass_on(lines)

    def _pass_on(self, lines: list[bytes]) -> None:
        whole = [line for line in lines if line.strip()]
        self._tail.extend(line.decode("utf-8", "replace") for line in whole)
        if whole:
            self._sink.write(b"".join(line + b"\n" for line in whole))
            self._sink.flush()

    def last_lines(self) -> list[str]:
        """Return the last lines, at most `TAIL_LINES`."""
        self.drain()
        return list(self._tail)

    def close(self) -> None:
        """Pass on the rest, and remove the pipe."""
        if self._descriptor is None:
            return
        self.drain()
        self._pass_on([self._rest])
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None
        self.path.unlink(missing_ok=True)
