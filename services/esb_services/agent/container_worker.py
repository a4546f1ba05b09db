"""A worker that is a container, whatever runs it: its name, its way in, and its end."""

import asyncio

from esb_services.agent.connection import WorkerConnections
from esb_services.agent.runtime import WorkerState
from esb_services.agent.workers import exited, memory_exceeded
from esb_services.function_runtime.settings import MEMORY_EXCEEDED

PORT = 8080
POLL_SECONDS = 0.01
KILLED = 128 + 9

FUNCTION_LABEL = "com.esb.function"
OWNER_LABEL = "com.esb.owner"
RUN_LABEL = "com.esb.run"
REMOVED = "was removed from the engine"


def environment_labels(project: str, environment: str) -> dict[str, str]:
    """Return the labels by which all workers of an environment are found."""
    return {
        "com.esb.managed": "true",
        "com.esb.project": project,
        "com.esb.env": environment,
        "com.esb.kind": "function",
    }


class ContainerWorker:
    """A container that is a worker, from the moment its name is chosen until it is removed.

    Args:
        name: the container's name.
        function: the function that it runs.
        owner: who may use it.
        created_at: seconds since the epoch.
    """

    def __init__(self, name: str, function: str, owner: str, created_at: float) -> None:
        self.name = name
        self.function = function
        self.owner = owner
        self.memory_max = 0
        self.created_at = self.last_used_at = created_at
        self.container_id = ""
        self.ip = ""
        self.paused = False
        self.out_of_memory = False
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.launch: asyncio.Task[None] | None = None
        self.removal: asyncio.Task[None] | None = None
        self._connections: WorkerConnections | None = None

    def reach(self, ip: str) -> None:
        """Take the address at which the worker listens."""
        self.ip = ip
        self._connections = WorkerConnections(ip, PORT)

    @property
    def connections(self) -> WorkerConnections:
        """The way to a worker that has an address."""
        if self._connections is None:
            raise RuntimeError(f"worker {self.name} has no address")
        return self._connections

    async def ready(self) -> None:
        """Wait until the worker takes invocations, or has ended."""
        while not self.ended.done() and not await self.connections.healthy():
            await asyncio.wait([self.ended], timeout=POLL_SECONDS)

    @property
    def cause_of_end(self) -> str | None:
        """Why the worker ended, as the end of a sentence that starts with its name; None while it lives."""
        return self.ended.result() if self.ended.done() else None

    def end(self, cause: str) -> None:
        """Note that the worker ended, unless that is known."""
        if not self.ended.done():
            self.ended.set_result(cause)
        if self._connections is not None:
            self._connections.close()

    def end_with(self, exit_code: int) -> None:
        """Note that the container's first process ended."""
        if exit_code == MEMORY_EXCEEDED or (self.out_of_memory and exit_code == KILLED):
            self.end(memory_exceeded(self.memory_max))
        else:
            self.end(exited(exit_code))

    def state(self) -> WorkerState:
        """Return what is known about the worker."""
        return WorkerState(
            worker_id=self.container_id,
            name=self.name,
            function=self.function,
            owner=self.owner,
            status="EXITED" if self.ended.done() else "PAUSED" if self.paused else "RUNNING",
            created_at=self.created_at,
            last_used_at=self.last_used_at,
        )
