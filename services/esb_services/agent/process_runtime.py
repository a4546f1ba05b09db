"""Runs workers as processes of this machine, without any engine."""

import asyncio
import contextlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from esb_services.agent import procfs
from esb_services.agent.images import ImageError, ImageIndex
from esb_services.agent.runtime import (
    UnknownWorkerError,
    WorkerAddress,
    WorkerAnswer,
    WorkerDiedError,
    WorkerSpec,
    WorkerStartError,
    WorkerState,
    WorkerStateError,
    WorkerUsage,
)
from esb_services.agent.worker_process import HOST, Launch, WorkerProcess
from esb_services.agent.workers import START_SECONDS, memory_max, worker_name
from esb_services.function_runtime.settings import JAVA

CLEAR_SECONDS = 10.0
SAMPLE_SECONDS = 0.15
PASSED_ON = ("PATH", "LANG", "ESB_PROCESS_MARK")
"""The only variables of the agent that its workers see."""

_log = logging.getLogger("esb.agent")


class ProcessRuntime:
    """A `Runtime` of processes.

    Args:
        project: first part of its workers' names.
        images: where the code of an image lies.
        log_dir: folder for the workers' output; one agent's own.
    """

    name = "process"

    def __init__(self, project: str, images: ImageIndex, log_dir: Path) -> None:
        self._project = project
        self._images = images
        self._log_dir = log_dir.resolve()
        self._workers: dict[str, tuple[WorkerSpec, WorkerProcess]] = {}
        self._starting: set[WorkerProcess] = set()
        self._closing = False
        self._monitor: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """End what a killed agent left of its workers, and start to watch memory."""
        await asyncio.to_thread(self._clear)
        self._monitor = asyncio.create_task(self._watch_memory())

    def _clear(self) -> None:
        self._log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if left := procfs.kill_marked(f"{self._log_dir}/", CLEAR_SECONDS):
            _log.warning("ended %d processes that an earlier agent left", left)
        shutil.rmtree(self._log_dir / ".scratch", ignore_errors=True)

    async def close(self) -> None:
        """Kill all workers."""
        self._closing = True
        if self._monitor is not None:
            self._monitor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._monitor
        workers = [worker for _, worker in self._workers.values()] + list(self._starting)
        await asyncio.gather(*(worker.kill("was ended with its agent") for worker in workers))
        with contextlib.suppress(OSError):
            (self._log_dir / ".scratch").rmdir()

    async def engine_id(self) -> str:
        """Return what is the same for all processes of this machine (or container) until it restarts."""
        return _host_id()

    async def start(self, spec: WorkerSpec) -> WorkerAddress:
        """Start a worker, by the image's source; see `Runtime.start`."""
        if self._closing:
            raise WorkerStartError("the agent is stopping")
        launch = self._launch(spec)
        try:
            worker = WorkerProcess(launch)
        except OSError as error:
            raise WorkerStartError(f"worker {launch.name} could not be started: {error}") from error
        self._starting.add(worker)
        try:
            port = await worker.ready(START_SECONDS)
        except BaseException:
            await worker.kill()
            raise
        finally:
            self._starting.discard(worker)
        worker_id = uuid.uuid4().hex
        self._workers[worker_id] = (spec, worker)
        return WorkerAddress(worker_id, launch.name, HOST, port)

    def _launch(self, spec: WorkerSpec) -> Launch:
        try:
            image = self._images.find(spec.image)
        except ImageError as error:
            raise WorkerStartError(f"function {spec.function} could not be started: {error}") from error
        handler = spec.environment.get("_HANDLER") or image.handler
        if not handler:
            raise WorkerStartError(
                f"function {spec.function} could not be started: neither its configuration nor image"
                f" {spec.image!r} names a handler"
            )
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        python_path = [*image.python_path, *filter(None, [spec.environment.get("PYTHONPATH")])]
        environment = {
            "LANG": "C.UTF-8",
            **inherited,
            "AWS_LAMBDA_FUNCTION_NAME": spec.function,
            **spec.environment,
            "_HANDLER": handler,
            "PYTHONPATH": os.pathsep.join(python_path),
        }
        if image.java is not None:
            environment[JAVA] = str(image.java)
        return Launch(
            name=worker_name(self._project, spec.function),
            function=spec.function,
            environment=environment,
            folder=image.source,
            log_dir=self._log_dir,
            memory_max=memory_max(spec),
        )

    def _worker(self, worker_id: str) -> WorkerProcess:
        try:
            return self._workers[worker_id][1]
        except KeyError:
            raise UnknownWorkerError(worker_id) from None

    def state(self, worker_id: str) -> WorkerState:
        """Return what is known about a worker."""
        worker = self._worker(worker_id)
        spec = self._workers[worker_id][0]
        ended = worker.cause_of_end is not None
        return WorkerState(
            worker_id=worker_id,
            name=worker.launch.name,
            function=spec.function,
            owner=spec.owner,
            status="EXITED" if ended else "PAUSED" if worker.paused else "RUNNING",
            created_at=worker.created_at,
            last_used_at=worker.last_used_at,
        )

    def states(self) -> list[WorkerState]:
        """Return all workers that were not destroyed."""
        return [self.state(worker_id) for worker_id in self._workers]

    async def usage(self, worker_id: str) -> WorkerUsage:
        """Measure a worker's processes."""
        worker = self._worker(worker_id)
        return WorkerUsage(worker.memory().current, worker.launch.memory_max, worker.cpu_ns())

    async def invoke(
        self, worker_id: str, path: str, payload: bytes, headers: Mapping[str, str], seconds: float
    ) -> WorkerAnswer:
        """Invoke a worker; see `Runtime.invoke`."""
        worker = self._worker(worker_id)
        name = worker.launch.name
        if (cause := worker.cause_of_end) is not None:
            raise WorkerDiedError(name, cause)
        if worker.paused:
            raise WorkerStateError(f"worker {name} is paused; resume it first")
        worker.last_used_at = time.time()
        answer = await worker.connections.invoke(name, worker.ended, path, payload, headers, seconds)
        worker.last_used_at = time.time()
        if await worker.kill_if_too_large():
            raise WorkerDiedError(name, worker.cause_of_end or "")
        return answer

    async def pause(self, worker_id: str) -> None:
        """Pause a worker."""
        await self._living(worker_id).pause()

    async def resume(self, worker_id: str) -> None:
        """Resume a worker."""
        await self._living(worker_id).resume()

    def _living(self, worker_id: str) -> WorkerProcess:
        worker = self._worker(worker_id)
        if (cause := worker.cause_of_end) is not None:
            raise WorkerStateError(f"worker {worker.launch.name} {cause}")
        return worker

    async def destroy(self, worker_id: str) -> None:
        """Kill a worker and forget it."""
        worker = self._worker(worker_id)
        del self._workers[worker_id]
        await worker.kill("was destroyed")

    async def _watch_memory(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            for worker in [*(worker for _, worker in self._workers.values()), *self._starting]:
                if worker.paused or worker.cause_of_end is not None:
                    continue
                if await worker.kill_if_too_large():
                    _log.error("worker %s %s", worker.launch.name, worker.cause_of_end)


def _host_id() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
