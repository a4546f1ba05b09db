"""Real service processes for tests: started on free ports, their JSON lines readable, ended on every path."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from tests.waiting import eventually

PATIENCE = 20.0
"""Deadline of everything a test waits for, in seconds."""


_reserved: list[socket.socket] = []
"""Sockets that keep the ports of this process for it."""


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody else is given while this process lives."""
    sock = socket.socket()
    # Whoever listens with this option, as servers do, may have it beside a socket that does not listen.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    _reserved.append(sock)
    return int(sock.getsockname()[1])


class Service:
    """A running `python -m <module>`; its output goes to a file."""

    def __init__(
        self, module: str, environment: Mapping[str, str], output: Path, folder: Path | None = None
    ) -> None:
        self._output = output
        with output.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={"PATH": os.environ["PATH"], **environment},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )

    def records(self) -> list[dict[str, Any]]:
        """Return the lines it wrote, which all have to be JSON objects."""
        runs = self.process.poll() is None
        text = self._output.read_text()
        whole = text.rpartition("\n")[0] if runs else text  # it may be writing the last line
        return [json.loads(line) for line in whole.splitlines()]

    def messages(self) -> str:
        """Return the messages of all its lines."""
        return "\n".join(str(record["message"]) for record in self.records())

    def wait_healthy(self, port: int) -> None:
        """Wait until `GET /health` on `port` answers 200; fail at once if the process ends."""

        def healthy() -> bool:
            assert self.process.poll() is None, self._output.read_text()
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"http://127.0.0.1:{port}/health", timeout=PATIENCE).status_code == 200
            return False

        eventually(healthy, f"port {port} is healthy")

    def wait(self) -> int:
        """Wait for its end and return its exit status."""
        return self.process.wait(PATIENCE)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()


@contextlib.contextmanager
def running(
    module: str, environment: Mapping[str, str], output: Path, folder: Path | None = None
) -> Iterator[Service]:
    """Start a service, and kill it at the end if it still runs."""
    service = Service(module, environment, output, folder)
    try:
        yield service
    finally:
        service.process.kill()
        service.process.wait(PATIENCE)
