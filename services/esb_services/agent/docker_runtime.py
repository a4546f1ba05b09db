"""Runs workers as containers of a Docker engine, on the environment's network."""

import asyncio
import contextlib
import logging
import time
from typing import Any

from esb_services.agent.container_runtime import ContainerRuntime, tell
from esb_services.agent.container_worker import (
    FUNCTION_LABEL,
    OWNER_LABEL,
    REMOVED,
    RUN_LABEL,
    environment_labels,
)
from esb_services.agent.docker_engine import DockerEngine
from esb_services.agent.docker_events import Event, EventWatch
from esb_services.agent.docker_worker import DockerWorker
from esb_services.agent.runtime import EngineError, WorkerSpec, WorkerUsage
from esb_services.agent.settings import DockerSettings
from esb_services.agent.workers import memory_max

_log = logging.getLogger("esb.agent")


class DockerRuntime(ContainerRuntime[DockerWorker]):
    """A `Runtime` of containers; it also hears the engine's events, as their `Listener`.

    Args:
        project: first part of the workers' names, and the label by which they are found again.
        settings: the engine, the network, and what else goes into labels.
    """

    name = "docker"

    def __init__(self, project: str, settings: DockerSettings) -> None:
        super().__init__(project)
        self._settings = settings
        self._labels = environment_labels(project, settings.environment)
        self._engine = DockerEngine(settings.host)
        self._engine_id = ""
        self._watch: EventWatch | None = None
        self._hearing = True
        self._looking: asyncio.Task[None] | None = None

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
                tell(logging.INFO, "worker adopted", worker)
            else:
                del self._named[worker.name]

    async def close(self) -> None:
        """Remove all workers."""
        self._closing = True
        if self._watch is not None:
            await self._watch.close()
        await self._remove_all()
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
            tell(logging.ERROR, f"worker {worker.name} {cause}", worker)

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

    def _make_worker(self, name: str, spec: WorkerSpec) -> DockerWorker:
        return DockerWorker(name, spec.function, spec.owner, time.time())

    async def _launch(self, worker: DockerWorker, spec: WorkerSpec) -> None:
        inspected = await self._engine.launch(worker.name, self._config(worker.name, spec))
        worker.locate(inspected, self._settings.network)

    async def _last_lines(self, worker: DockerWorker, number: int) -> list[str]:
        return await self._engine.last_lines(worker.name, number)

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

    async def _freeze(self, worker: DockerWorker) -> None:
        await self._engine.pause(worker.container_id)

    async def _thaw(self, worker: DockerWorker) -> None:
        await self._engine.unpause(worker.container_id)

    async def _discard(self, worker: DockerWorker) -> None:
        await self._engine.remove(worker.name)
