"""Keeps containerd running: started again when it crashes, given up when it does so again and again."""

import asyncio
import contextlib
import json
import logging
import re
import time

BINARY = "containerd"
CONFIG = "/etc/containerd/config.toml"
ADDRESS = "/run/esb/containerd.sock"
ANSWER_SECONDS = 4
CRASHES = 3
CRASH_SECONDS = 30.0
"""So many crashes within so many seconds are too many."""
STOP_SECONDS = 1.0

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HTTP2_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
"""An empty frame; its fourth byte is the type."""
_LEVELS = {"warning": logging.WARNING, "error": logging.ERROR, "fatal": logging.ERROR, "panic": logging.ERROR}
_SHIM_LINE = re.compile(r'\blevel=(?P<level>\w+) msg="?(?P<message>(?:[^"\\]|\\.)*)')
_log = logging.getLogger("esb.runtime-node")


class ContainerdError(Exception):
    """Containerd cannot be kept running; the message says why."""


class Containerd:
    """One containerd.

    Args:
        command: what starts it.
    """

    def __init__(self, command: tuple[str, ...] = (BINARY, "--config", CONFIG)) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._crashes: list[float] = []
        self._said = ""

    async def keep_running(self) -> None:
        """Run it until this is cancelled; its tasks outlive its crashes.

        Raises:
            ContainerdError: it crashes again and again, or cannot be started.
        """
        while True:
            status = await self._run()
            now = time.monotonic()
            self._crashes = [*(crash for crash in self._crashes if now - crash < CRASH_SECONDS), now]
            cause = f"containerd ended with status {status}{self._said}"
            if len(self._crashes) >= CRASHES:
                raise ContainerdError(f"{cause}, {CRASHES} times within {CRASH_SECONDS:g} s")
            _log.error("%s; it is started again, and its tasks go on", cause)

    async def _run(self) -> int:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
            )
        except OSError as error:
            raise ContainerdError(f"containerd cannot be started: {error}") from error
        self._said = ""
        if self._process.stderr is not None:
            async for line in self._process.stderr:
                self._pass_on(line.decode("utf-8", "replace").strip())
        return await self._process.wait()

    def _pass_on(self, line: str) -> None:
        level, message = read_line(line)
        if level >= logging.ERROR:
            self._said = f" ({message})"
        _log.log(level, "containerd: %s", message)

    async def stop(self) -> None:
        """End it; its tasks end with the container."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            self._process.terminate()
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()


def read_line(line: str) -> tuple[int, str]:
    """Return level and message of a line that containerd, one of its shims, or a crash wrote."""
    try:
        entry = json.loads(line)
        level, message = entry["level"], entry["msg"]
        if "error" in entry:
            message += f": {entry['error']}"
    except (ValueError, TypeError, KeyError):
        # shims write key=value pairs, whatever the configuration says
        found = _SHIM_LINE.search(line)
        if found is None:
            return logging.ERROR, line
        level, message = found["level"], found["message"].replace('\\"', '"')
    return _LEVELS.get(level, logging.DEBUG), message


async def answers(address: str = ADDRESS) -> bool:
    """Return whether containerd's gRPC server answers: HTTP/2 begins with the settings of both sides."""
    writer = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(address)
            writer.write(_HTTP2_PREFACE + _HTTP2_SETTINGS)
            frame = await reader.readexactly(len(_HTTP2_SETTINGS))
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        if writer is not None:
            writer.close()
    return frame[3] == _HTTP2_SETTINGS[3]
