"""Runs workers as tasks of a containerd, on a network that exists only beside it."""

import asyncio
import contextlib
import logging
import platform
import shutil
import time
from ipaddress import IPv4Address
from pathlib import Path

from esb_services.agent.container_runtime import ContainerRuntime, tell
from esb_services.agent.container_worker import (
    FUNCTION_LABEL,
    KILLED,
    OWNER_LABEL,
    REMOVED,
    RUN_LABEL,
    ContainerWorker,
    environment_labels,
)
from esb_services.agent.containerd_api import containerd_pb2 as pb
from esb_services.agent.containerd_client import ContainerdClient
from esb_services.agent.containerd_images import ContainerdImages
from esb_services.agent.containerd_network import AddressPool, network_hook
from esb_services.agent.containerd_output import WorkerOutput
from esb_services.agent.containerd_registry import Registry
from esb_services.agent.containerd_spec import WorkerPlan, can_limit_swap, make_spec
from esb_services.agent.containerd_tasks import ContainerdTasks, ContainerPlan, memory_limit
from esb_services.agent.runtime import EngineError, WorkerSpec, WorkerUsage
from esb_services.agent.settings import ContainerdSettings
from esb_services.agent.workers import memory_max

ADDRESS_LABEL = "com.esb.address"
RETRY_SECONDS = 0.2
"""How soon an unanswered wait for a worker's end is asked again."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_log = logging.getLogger("esb.agent")


class ContainerdWorker(ContainerWorker):
    """A task of containerd; its container's id is its name.

    Args:
        name: the worker's name.
        function: the function that it runs.
        owner: who may use it.
        created_at: seconds since the epoch.
    """

    def __init__(self, name: str, function: str, owner: str, created_at: float) -> None:
        super().__init__(name, function, owner, created_at)
        self.address: IPv4Address | None = None
        self.output: WorkerOutput | None = None
        self.watch: asyncio.Task[None] | None = None


class ContainerdRuntime(ContainerRuntime[ContainerdWorker]):
    """A `Runtime` of containerd tasks.

    Args:
        project: first part of the workers' names, and the label by which they are found again.
        settings: containerd, the network, the registry, and what else goes into labels.
    """

    name = "containerd"

    def __init__(self, project: str, settings: ContainerdSettings) -> None:
        super().__init__(project)
        self._settings = settings
        self._labels = environment_labels(project, settings.environment)
        self._client = ContainerdClient(settings.address, settings.namespace)
        self._tasks = ContainerdTasks(self._client)
        machine = platform.machine()
        registry = Registry(settings.registry, _ARCHITECTURES.get(machine, machine))
        self._images = ContainerdImages(self._client, registry, always=settings.always_pull)
        self._addresses = AddressPool(settings.network)
        self._folder = Path(settings.address).parent / "workers"
        self._limit_swap = can_limit_swap()
        self._engine_id = ""

    async def open(self) -> None:
        """Connect, adopt the workers that an earlier agent left, and remove what it left half made."""
        self._engine_id = await self._client.connect()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        found = await self._tasks.containers(self._labels)
        self._addresses = AddressPool(
            self._settings.network, (IPv4Address(entry.labels[ADDRESS_LABEL]) for entry in found)
        )
        await asyncio.gather(*map(self._adopt, found))
        for folder in self._folder.iterdir():
            if folder.name not in self._named:
                shutil.rmtree(folder)

    async def _adopt(self, entry: pb.Container) -> None:
        labels = entry.labels
        created_at = entry.created_at.ToNanoseconds() / 1e9
        worker = ContainerdWorker(
            entry.id, labels.get(FUNCTION_LABEL, ""), labels.get(OWNER_LABEL, ""), created_at
        )
        worker.address = IPv4Address(labels[ADDRESS_LABEL])
        status = await self._tasks.status(worker.name)
        if status in (pb.UNKNOWN, pb.CREATED) or not self._folder_of(worker).is_dir():
            await self._discard(worker)
            return
        worker.container_id = worker.name
        worker.memory_max = memory_limit(entry)
        worker.paused = status in (pb.PAUSED, pb.PAUSING)
        worker.output = WorkerOutput(self._pipe_of(worker))
        worker.reach(str(worker.address))
        worker.watch = asyncio.create_task(self._watch(worker))
        self._named[worker.name] = self._workers[worker.container_id] = worker
        tell(logging.INFO, "worker adopted", worker)

    async def close(self) -> None:
        """Remove all workers."""
        self._closing = True
        await self._remove_all()
        await self._client.close()

    async def engine_id(self) -> str:
        """Return containerd's own id."""
        return self._engine_id

    def _folder_of(self, worker: ContainerdWorker) -> Path:
        return self._folder / worker.name

    def _pipe_of(self, worker: ContainerdWorker) -> Path:
        return self._folder_of(worker) / "output"

    def _make_worker(self, name: str, spec: WorkerSpec) -> ContainerdWorker:
        return ContainerdWorker(name, spec.function, spec.owner, time.time())

    async def _launch(self, worker: ContainerdWorker, spec: WorkerSpec) -> None:
        worker.container_id = worker.name
        worker.memory_max = memory_max(spec)
        image = await self._images.ensure(spec.image)
        worker.address = self._addresses.take()
        plan = WorkerPlan(
            name=worker.name,
            image=spec.image,
            environment={"AWS_LAMBDA_FUNCTION_NAME": spec.function, **spec.environment},
            memory=worker.memory_max,
            hook=network_hook(self._settings.network, worker.name, worker.address),
            files=self._write_files(worker),
        )
        container = ContainerPlan(
            name=worker.name,
            labels=self._labels_of(worker),
            image=spec.image,
            snapshot=image.snapshot,
            runtime=self._settings.runtime,
            spec=make_spec(image.config, plan, limit_swap=self._limit_swap),
        )
        worker.output = WorkerOutput(self._pipe_of(worker))
        await self._tasks.create(container, str(worker.output.path))
        worker.watch = asyncio.create_task(self._watch(worker))
        await self._tasks.start(worker.name)
        worker.reach(str(worker.address))

    def _labels_of(self, worker: ContainerdWorker) -> dict[str, str]:
        return {
            **self._labels,
            RUN_LABEL: self._settings.run_id,
            FUNCTION_LABEL: worker.function,
            OWNER_LABEL: worker.owner,
            ADDRESS_LABEL: str(worker.address),
        }

    def _write_files(self, worker: ContainerdWorker) -> dict[str, str]:
        """Write what a worker needs to resolve names; runtime-node sees these files at the same place."""
        folder = self._folder_of(worker)
        folder.mkdir(mode=0o700)
        contents = {
            "hosts": f"127.0.0.1 localhost\n{worker.address} {worker.name}\n",
            "resolv.conf": f"nameserver {self._settings.network.gateway}\noptions ndots:0\n",
            "hostname": f"{worker.name}\n",
        }
        for name, content in contents.items():
            (folder / name).write_text(content)
            (folder / name).chmod(0o644)
        return {f"/etc/{name}": str(folder / name) for name in contents}

    async def _watch(self, worker: ContainerdWorker) -> None:
        """Note a worker's end."""
        status = await self._exit_status(worker)
        expected = worker.ended.done()
        if status is None:
            worker.end(REMOVED)
        else:
            worker.out_of_memory = status == KILLED and await self._was_killed_for_memory(worker)
            worker.end_with(status)
        if not expected:
            tell(logging.ERROR, f"worker {worker.name} {worker.cause_of_end}", worker)

    async def _exit_status(self, worker: ContainerdWorker) -> int | None:
        while True:
            # a task outlives a crash of containerd
            with contextlib.suppress(EngineError):
                return await self._tasks.wait(worker.name)
            await asyncio.sleep(RETRY_SECONDS)

    async def _was_killed_for_memory(self, worker: ContainerdWorker) -> bool:
        with contextlib.suppress(EngineError):
            usage = await self._tasks.usage(worker.name)
            return usage is not None and usage.memory_kills > 0
        return False

    async def _last_lines(self, worker: ContainerdWorker, number: int) -> list[str]:
        if worker.ended.done():
            # with the task's removal, everything that it wrote is in the pipe
            await self._tasks.end(worker.name)
        return worker.output.last_lines()[-number:] if worker.output is not None else []

    async def _discard(self, worker: ContainerdWorker) -> None:
        if worker.watch is not None:
            worker.watch.cancel()
        await self._tasks.remove(worker.name)
        if worker.output is not None:
            worker.output.close()
        shutil.rmtree(self._folder_of(worker), ignore_errors=True)
        if worker.address is not None:
            self._addresses.give_back(worker.address)

    async def usage(self, worker_id: str) -> WorkerUsage:
        """Measure a worker's task."""
        worker = self._worker(worker_id)
        usage = None if worker.ended.done() else await self._tasks.usage(worker.name)
        if usage is None:
            return WorkerUsage(0, worker.memory_max, 0)
        return WorkerUsage(usage.memory, worker.memory_max, usage.cpu_ns)

    async def _freeze(self, worker: ContainerdWorker) -> None:
        await self._tasks.pause(worker.name)

    async def _thaw(self, worker: ContainerdWorker) -> None:
        await self._tasks.resume(worker.name)
