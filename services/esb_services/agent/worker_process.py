"""One worker of the process runtime: a process group of its own, from its start to its last process' end."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from esb_services import logs
from esb_services.agent import procfs
from esb_services.agent.connection import WorkerConnections
from esb_services.agent.workers import MIB, exited, memory_exceeded, start_failure
from esb_services.function_runtime.settings import (
    ADDRESS,
    LIFELINE_FD,
    MEMORY_EXCEEDED,
    READY_FD,
    WORKER_NAME,
)

HOST = "127.0.0.1"
REMOVAL_SECONDS = 5.0
TAIL_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything that starting a worker needs.

    Attributes:
        memory_max: limit of its resident memory in bytes, 0 for none.
        log_dir: folder of its log; also of its scratch folder, which goes with it.
    """

    name: str
    function: str
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    log_dir: Path
    memory_max: int

    @property
    def log(self) -> Path:
        """The file that receives all its output."""
        return self.log_dir / f"{self.name}.log"

    @property
    def scratch(self) -> Path:
        """Its HOME and TMPDIR."""
        return self.log_dir / ".scratch" / self.name

    @property
    def mark(self) -> str:
        """What is found in the environment block of each of its processes; no mark starts with another."""
        return f"{self.log_dir}/{self.name}/"


class WorkerProcess:
    """A started worker.

    Its first process is our child, waited for only in `_end`: until then its pid and its group are its own.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.paused = False
        self.created_at = self.last_used_at = time.time()
        self._verdict: str | None = None
        self._is_too_large = False
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = loop.create_future()
        self._port: asyncio.Future[int | None] = loop.create_future()
        self._connections: WorkerConnections | None = None
        self._removal: asyncio.Task[None] | None = None
        launch.scratch.mkdir(parents=True)
        ready_read, ready_write = os.pipe()
        lifeline_read, self._lifeline = os.pipe()
        try:
            self._process = self._spawn(ready_write, lifeline_read)
        except BaseException:
            os.close(ready_read)
            os.close(self._lifeline)
            shutil.rmtree(launch.scratch, ignore_errors=True)
            raise
        finally:
            os.close(ready_write)
            os.close(lifeline_read)
        self._pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(self._pidfd, self._end)
        loop.add_reader(ready_read, self._hear, ready_read)

    def _spawn(self, ready: int, lifeline: int) -> "subprocess.Popen[bytes]":
        launch = self.launch
        own = {
            ADDRESS: f"{HOST}:0",
            READY_FD: str(ready),
            LIFELINE_FD: str(lifeline),
            WORKER_NAME: launch.name,
            procfs.MARK: launch.mark,
            "HOME": str(launch.scratch),
            "TMPDIR": str(launch.scratch),
        }
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(launch.log, flags, 0o600), "ab") as output:
            return subprocess.Popen(
                # PYTHON* variables and the folder are for the function's imports, not the supervisor's
                [sys.executable, "-E", "-P", "-m", "esb_services.function_runtime"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=launch.folder,
                env={**launch.environment, **own},
                pass_fds=(ready, lifeline),
                start_new_session=True,
            )

    def _hear(self, ready: int) -> None:
        """Take the port that the worker reports, or the pipe's end: it will never be ready."""
        report = os.read(ready, 64)
        asyncio.get_running_loop().remove_reader(ready)
        os.close(ready)
        if not self._port.done():
            self._port.set_result(int(report) if report else None)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._signal_group(signal.SIGKILL)
        status = self._process.wait()
        os.close(self._pidfd)
        os.close(self._lifeline)
        if self._connections:
            self._connections.close()
        if status == MEMORY_EXCEEDED and self._verdict is None:
            self._verdict = memory_exceeded(self.launch.memory_max)
            self._say(self._verdict)
        self.ended.set_result(self._verdict or _describe(status))
        self._removal = asyncio.create_task(asyncio.to_thread(self._remove))

    def _remove(self) -> None:
        """End processes that left the worker's group, and remove its scratch folder."""
        procfs.kill_marked(self.launch.mark, REMOVAL_SECONDS)
        shutil.rmtree(self.launch.scratch, ignore_errors=True)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    async def ready(self, deadline: float) -> int:
        """Wait up to `deadline` seconds until the worker takes invocations, and return its port.

        Raises:
            WorkerStartError: it ended before, or took too long; the message carries its last lines.
        """
        await asyncio.wait([self._port], timeout=deadline)
        if not self._port.done():
            cause = f"was not ready within {deadline:g} s"
        elif (port := self._port.result()) is None:
            cause = f"{await self.end(deadline)} before it was ready"
        else:
            self._connections = WorkerConnections(HOST, port)
            return port
        raise start_failure(self.launch.name, cause, self._last_lines())

    @property
    def connections(self) -> WorkerConnections:
        """The way to a worker that was ready."""
        if self._connections is None:
            raise RuntimeError(f"worker {self.launch.name} was never ready")
        return self._connections

    @property
    def cause_of_end(self) -> str | None:
        """Why the worker ended, as the end of a sentence that starts with its name; None while it lives."""
        return self.ended.result() if self.ended.done() else None

    async def end(self, deadline: float) -> str | None:
        """Wait up to `deadline` seconds for the worker's end, and return its cause."""
        await asyncio.wait([self.ended], timeout=deadline)
        return self.cause_of_end

    async def kill(self, verdict: str | None = None) -> None:
        """Kill all processes of the worker and wait for their end, whose cause becomes `verdict`."""
        if not self.ended.done():
            self._verdict = self._verdict or verdict
            self._signal_group(signal.SIGKILL)
        await asyncio.shield(self.ended)
        if self._removal is not None:
            await asyncio.shield(self._removal)

    async def pause(self) -> None:
        """Stop all processes of the worker."""
        self.paused = True
        await self._signal_all(signal.SIGSTOP)

    async def resume(self) -> None:
        """Let all processes of the worker go on."""
        await self._signal_all(signal.SIGCONT)
        self.paused = False

    async def _signal_all(self, number: signal.Signals) -> None:
        if not self.ended.done():
            self._signal_group(number)
            await asyncio.to_thread(procfs.signal_marked, self.launch.mark, number)

    def memory(self) -> procfs.Memory:
        """Return what its processes hold in memory; nothing once it has ended."""
        return procfs.Memory(0, 0) if self.ended.done() else procfs.memory(procfs.tree(self._process.pid))

    def cpu_ns(self) -> int:
        """Return the processor time its processes have used."""
        return 0 if self.ended.done() else procfs.cpu_ns(procfs.tree(self._process.pid))

    async def kill_if_too_large(self) -> bool:
        """Kill the worker if it holds, or one of its processes ever held, more memory than its limit.

        Returns:
            Whether it was too large, also where another call has begun to kill it.
        """
        limit = self.launch.memory_max
        if not self._is_too_large:
            used = max(self.memory()) if limit and self._verdict is None else 0
            if used <= limit:
                return False
            self._is_too_large = True
            self._verdict = (
                f"exceeded its memory limit of {limit // MIB} MiB (it used {used // MIB} MiB) and was killed"
            )
            self._say(self._verdict)
        await self.kill()
        return True

    def _say(self, verdict: str) -> None:
        record = {
            "timestamp": logs.timestamp(time.time()),
            "level": "ERROR",
            "service": "function",
            "function": self.launch.function,
            "worker": self.launch.name,
            "message": f"worker {self.launch.name} {verdict}",
        }
        with self.launch.log.open("a") as log:
            log.write(json.dumps(record) + "\n")

    def _last_lines(self) -> list[str]:
        """Return the last lines that the worker wrote."""
        with self.launch.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            return log.read().decode("utf-8", "replace").splitlines()


def _describe(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else exited(status)
