"""What runtimes of containers have in common: the bookkeeping of workers around what an engine does."""

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

from esb_services.agent.container_worker import PORT, ContainerWorker
from esb_services.agent.runtime import (
    EngineError,
    UnknownWorkerError,
    WorkerAddress,
    WorkerAnswer,
    WorkerDiedError,
    WorkerSpec,
    WorkerStartError,
    WorkerState,
    WorkerStateError,
)
from esb_services.agent.workers import START_SECONDS, TAIL_LINES, start_failure, worker_name

CLOSE_SECONDS = 1.5
"""How long a stopping agent waits for its workers' removal; what is left carries its labels."""

_log = logging.getLogger("esb.agent")

Worker = TypeVar("Worker", bound=ContainerWorker)


class ContainerRuntime(ABC, Generic[Worker]):
    """The part of a `Runtime` that is the same for every engine.

    Args:
        project: first part of the workers' names.
    """

    def __init__(self, project: str) -> None:
        self._project = project
        self._named: dict[str, Worker] = {}
        self._workers: dict[str, Worker] = {}
        self._closing = False

    @abstractmethod
    def _make_worker(self, name: str, spec: WorkerSpec) -> Worker:
        """Return the record of a worker that is about to be launched."""

    @abstractmethod
    async def _launch(self, worker: Worker, spec: WorkerSpec) -> None:
        """Create and start the container, and note its id and address; never stopped halfway."""

    @abstractmethod
    async def _last_lines(self, worker: Worker, number: int) -> list[str]:
        """Return the last `number` lines that a worker wrote."""

    @abstractmethod
    async def _freeze(self, worker: Worker) -> None:
        """Stop all processes of the container."""

    @abstractmethod
    async def _thaw(self, worker: Worker) -> None:
        """Let all processes of the container go on."""

    @abstractmethod
    async def _discard(self, worker: Worker) -> None:
        """Kill and remove all that a launch made; it is fine if there is nothing."""

    async def start(self, spec: WorkerSpec) -> WorkerAddress:
        """Start a container of the image; see `Runtime.start`."""
        if self._closing:
            raise WorkerStartError("the agent is stopping")
        worker = self._make_worker(worker_name(self._project, spec.function), spec)
        self._named[worker.name] = worker
        worker.launch = asyncio.create_task(self._launch(worker, spec))
        try:
            await self._bring_up(worker, worker.launch)
        except BaseException:
            # also where the caller has given up
            try:
                await self._remove(worker)
            except EngineError as error:
                tell(logging.ERROR, f"worker {worker.name} could not be removed: {error}", worker)
            raise
        self._workers[worker.container_id] = worker
        return WorkerAddress(worker.container_id, worker.name, worker.ip, PORT)

    async def _bring_up(self, worker: Worker, launch: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                await asyncio.shield(launch)
                await worker.ready()
        except EngineError as error:
            raise start_failure(worker.name, f"could not be started: {error}", []) from error
        except TimeoutError:
            cause = f"was not ready within {START_SECONDS:g} s"
        else:
            if worker.cause_of_end is None:
                return
            cause = f"{worker.cause_of_end} before it was ready"
        try:
            lines = await self._last_lines(worker, TAIL_LINES)
        except EngineError:
            lines = []
        raise start_failure(worker.name, cause, lines)

    async def _remove(self, worker: Worker) -> None:
        """Remove a worker's container, once, and forget the worker; the caller may give up meanwhile."""
        if worker.removal is None:
            worker.removal = asyncio.create_task(self._remove_now(worker))
        await asyncio.shield(worker.removal)

    async def _remove_now(self, worker: Worker) -> None:
        try:
            if worker.launch is not None:
                # a launch cannot be stopped halfway
                await asyncio.gather(worker.launch, return_exceptions=True)
            await self._discard(worker)
        except EngineError:
            worker.removal = None
            raise
        self._named.pop(worker.name, None)
        self._workers.pop(worker.container_id, None)

    async def _remove_all(self) -> None:
        """Remove all workers, as far as that goes within `CLOSE_SECONDS`."""
        workers = list(self._named.values())
        for worker in workers:
            worker.end("was ended with its agent")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*map(self._remove, workers), return_exceptions=True)
        for worker in self._named.values():
            tell(logging.ERROR, "worker could not be removed before the agent's end", worker)

    def _worker(self, worker_id: str) -> Worker:
        try:
            return self._workers[worker_id]
        except KeyError:
            raise UnknownWorkerError(worker_id) from None

    def _living(self, worker_id: str) -> Worker:
        worker = self._worker(worker_id)
        if (cause := worker.cause_of_end) is not None:
            raise WorkerStateError(f"worker {worker.name} {cause}")
        return worker

    def state(self, worker_id: str) -> WorkerState:
        """Return what is known about a worker."""
        return self._worker(worker_id).state()

    def states(self) -> list[WorkerState]:
        """Return all workers that were not destroyed."""
        return [worker.state() for worker in self._workers.values()]

    async def invoke(
        self, worker_id: str, path: str, payload: bytes, headers: Mapping[str, str], seconds: float
    ) -> WorkerAnswer:
        """Invoke a worker; see `Runtime.invoke`."""
        worker = self._worker(worker_id)
        if (cause := worker.cause_of_end) is not None:
            raise WorkerDiedError(worker.name, cause)
        if worker.paused:
            raise WorkerStateError(f"worker {worker.name} is paused; resume it first")
        worker.last_used_at = time.time()
        answer = await worker.connections.invoke(worker.name, worker.ended, path, payload, headers, seconds)
        worker.last_used_at = time.time()
        return answer

    async def pause(self, worker_id: str) -> None:
        """Freeze a worker's container."""
        worker = self._living(worker_id)
        if not worker.paused:
            await self._freeze(worker)
            worker.paused = True

    async def resume(self, worker_id: str) -> None:
        """Let a worker's container go on."""
        worker = self._living(worker_id)
        if worker.paused:
            await self._thaw(worker)
            worker.paused = False

    async def destroy(self, worker_id: str) -> None:
        """Kill a worker, remove its container, and forget it."""
        worker = self._worker(worker_id)
        worker.end("was destroyed")
        await self._remove(worker)


def tell(level: int, message: str, worker: ContainerWorker) -> None:
    """Log what happens to a worker."""
    _log.log(level, message, extra={"fields": {"function": worker.function, "worker": worker.name}})
