"""Runs workers as containers of a Docker engine, on the environment's network."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from esb_services.agent.docker_engine import DockerEngine
from esb_services.agent.docker_events import Event, EventWatch
from esb_services.agent.docker_worker import FUNCTION_LABEL, OWNER_LABEL, PORT, REMOVED, DockerWorker
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
    WorkerUsage,
)
from esb_services.agent.settings import DockerSettings
from esb_services.agent.workers import START_SECONDS, TAIL_LINES, memory_max, start_failure, worker_name

CLOSE_SECONDS = 1.5
"""How long a stopping agent waits for its workers' removal; what is left carries its labels."""
RUN_LABEL = "com.esb.run"

_log = logging.getLogger("esb.agent")


class DockerRuntime:
    """A `Runtime` of containers; it also hears the engine's events, as their `Listener`.

    Args:
        project: first part of the workers' names, and the label by which they are found again.
        settings: the engine, the network, and what else goes into labels.
    """

    name = "docker"

    def __init__(self, project: str, settings: DockerSettings) -> None:
        self._project = project
        self._settings = settings
        self._labels = {
            "com.esb.managed": "true",
            "com.esb.project": project,
            "com.esb.env": settings.environment,
            "com.esb.kind": "function",
        }
        self._engine = DockerEngine(settings.host)
        self._engine_id = ""
        self._named: dict[str, DockerWorker] = {}
        self._workers: dict[str, DockerWorker] = {}
        self._watch: EventWatch | None = None
        self._hearing = True
        self._looking: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> None:
        """Connect to the engine, and adopt the workers that an earlier agent of this environment left."""
        self._engine_id = await self._engine.connect(self._settings.network)
        self._watch = self._engine.watch(self._labels, self)
        for entry in await self._engine.containers(self._labels):
            labels = entry["Labels"]
            worker = DockerWorker(
                entry["Names"][0].removeprefix("/"),
                labels.get(FUNCTION_LABEL, ""),
                labels.get(OWNER_LABEL, ""),
                entry["Created"],
            )
            # known by name from here on: what happens to it while it is inspected is heard
            self._named[worker.name] = worker
            if inspected := await self._engine.inspect(entry["Id"]):
                worker.locate(inspected, self._settings.network)
                self._workers[worker.container_id] = worker
                _tell(logging.INFO, "worker adopted", worker)
            else:
                del self._named[worker.name]

    async def close(self) -> None:
        """Remove all workers."""
        self._closing = True
        if self._watch is not None:
            await self._watch.close()
        workers = list(self._named.values())
        for worker in workers:
            worker.end("was ended with its agent")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*map(self._remove, workers), return_exceptions=True)
        for worker in self._named.values():
            _tell(logging.ERROR, "worker could not be removed before the agent's end", worker)
        self._engine.close()

    async def engine_id(self) -> str:
        """Return the engine's id, as `docker info` shows it."""
        return self._engine_id

    def heard(self, event: Event) -> None:
        """Take an event of a container of this environment."""
        worker = self._named.get(event.container)
        if worker is None:
            return
        unexpected = not worker.ended.done()
        if event.action == "oom":
            worker.out_of_memory = True
        elif event.action == "die":
            worker.end_with(event.exit_code)
        elif event.action == "destroy":
            worker.end(REMOVED)
        if unexpected and (cause := worker.cause_of_end) is not None:
            _tell(logging.ERROR, f"worker {worker.name} {cause}", worker)

    def stream_began(self) -> None:
        """Look at all workers: ends may have been missed."""
        if not self._hearing:
            _log.info("the engine's events are heard again")
        self._hearing = True
        self._looking = asyncio.create_task(self._look())

    def stream_broke(self, reason: str) -> None:
        """Say once that ends are not heard at present."""
        if self._hearing:
            _log.error("the stream of the engine's events broke and is opened again: %s", reason)
        self._hearing = False

    async def _look(self) -> None:
        # where the engine does not answer, the stream breaks, too, and begins again
        with contextlib.suppress(EngineError):
            for worker in list(self._named.values()):
                if worker.container_id and not worker.ended.done():
                    worker.check(await self._engine.inspect(worker.container_id))

    async def start(self, spec: WorkerSpec) -> WorkerAddress:
        """Start a container of the image; see `Runtime.start`."""
        if self._closing:
            raise WorkerStartError("the agent is stopping")
        worker = DockerWorker(
            worker_name(self._project, spec.function), spec.function, spec.owner, time.time()
        )
        config = self._config(worker.name, spec)
        self._named[worker.name] = worker
        worker.launch = asyncio.create_task(self._engine.launch(worker.name, config))
        try:
            await self._bring_up(worker, worker.launch)
        except BaseException:
            # also where the caller has given up
            try:
                await self._remove(worker)
            except EngineError as error:
                _tell(logging.ERROR, f"worker {worker.name} could not be removed: {error}", worker)
            raise
        self._workers[worker.container_id] = worker
        return WorkerAddress(worker.container_id, worker.name, worker.ip, PORT)

    async def _bring_up(self, worker: DockerWorker, launch: asyncio.Task[dict[str, Any]]) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                worker.locate(await asyncio.shield(launch), self._settings.network)
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
            lines = await self._engine.last_lines(worker.name, TAIL_LINES)
        except EngineError:
            lines = []
        raise start_failure(worker.name, cause, lines)

    def _config(self, name: str, spec: WorkerSpec) -> dict[str, Any]:
        environment = {"AWS_LAMBDA_FUNCTION_NAME": spec.function, **spec.environment}
        limit = memory_max(spec)
        return {
            "Image": spec.image,
            # what the function runtime calls itself in logs
            "Hostname": name,
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "Labels": {
                **self._labels,
                RUN_LABEL: self._settings.run_id,
                FUNCTION_LABEL: spec.function,
                OWNER_LABEL: spec.owner,
            },
            # as much with swap as without: none
            "HostConfig": {"NetworkMode": self._settings.network, "Memory": limit, "MemorySwap": limit},
        }

    async def _remove(self, worker: DockerWorker) -> None:
        """Remove a worker's container, once, and forget the worker; the caller may give up meanwhile."""
        if worker.removal is None:
            worker.removal = asyncio.create_task(self._remove_now(worker))
        await asyncio.shield(worker.removal)

    async def _remove_now(self, worker: DockerWorker) -> None:
        try:
            if worker.launch is not None:
                # a launch cannot be stopped halfway
                await asyncio.gather(worker.launch, return_exceptions=True)
            await self._engine.remove(worker.name)
        except EngineError:
            worker.removal = None
            raise
        self._named.pop(worker.name, None)
        self._workers.pop(worker.container_id, None)

    def _worker(self, worker_id: str) -> DockerWorker:
        try:
            return self._workers[worker_id]
        except KeyError:
            raise UnknownWorkerError(worker_id) from None

    def state(self, worker_id: str) -> WorkerState:
        """Return what is known about a worker."""
        return self._worker(worker_id).state()

    def states(self) -> list[WorkerState]:
        """Return all workers that were not destroyed."""
        return [worker.state() for worker in self._workers.values()]

    async def usage(self, worker_id: str) -> WorkerUsage:
        """Measure a worker's container."""
        worker = self._worker(worker_id)
        stats = None if worker.ended.done() else await self._engine.stats(worker_id)
        if stats is None:
            return WorkerUsage(0, worker.memory_max, 0)
        memory = stats["memory_stats"]
        details = memory.get("stats", {})
        # as the engine's own tools count: without the page cache that can be dropped; cgroup v1 and v2
        cache = details.get("total_inactive_file", details.get("inactive_file", 0))
        return WorkerUsage(
            max(0, memory.get("usage", 0) - cache),
            worker.memory_max,
            stats["cpu_stats"]["cpu_usage"]["total_usage"],
        )

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
            await self._engine.pause(worker_id)
            worker.paused = True

    async def resume(self, worker_id: str) -> None:
        """Let a worker's container go on."""
        worker = self._living(worker_id)
        if worker.paused:
            await self._engine.unpause(worker_id)
            worker.paused = False

    def _living(self, worker_id: str) -> DockerWorker:
        worker = self._worker(worker_id)
        if (cause := worker.cause_of_end) is not None:
            raise WorkerStateError(f"worker {worker.name} {cause}")
        return worker

    async def destroy(self, worker_id: str) -> None:
        """Kill a worker, remove its container, and forget it."""
        worker = self._worker(worker_id)
        worker.end("was destroyed")
        await self._remove(worker)


def _tell(level: int, message: str, worker: DockerWorker) -> None:
    _log.log(level, message, extra={"fields": {"function": worker.function, "worker": worker.name}})
