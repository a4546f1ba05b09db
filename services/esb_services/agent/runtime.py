"""What every runtime of workers offers to the gRPC service, and how it reports failures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

MAX_RESPONSE_BYTES = 10 * 1024 * 1024
"""The longest answer of a worker that is passed on."""


class WorkerError(Exception):
    """Root of what a runtime raises; the message is meant for the caller."""


class WorkerStartError(WorkerError):
    """A worker could not be started; the message carries its own last lines."""


class UnknownWorkerError(WorkerError):
    """No worker has this id."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(f"no worker has the id {worker_id!r}")


class WorkerStateError(WorkerError):
    """The worker is not in a state in which it can do this, such as an invocation of a paused worker."""


class WorkerDiedError(WorkerError):
    """The worker ended before it answered, or had ended before it was asked."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"worker {name} {cause}")


class InvocationTimeoutError(WorkerError):
    """The worker did not answer in time."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"worker {name} did not answer within {seconds:g} s")


class InvalidInvocationError(WorkerError):
    """The caller's path or headers cannot be sent to a worker."""


class ResponseTooLargeError(WorkerError):
    """The worker's answer is longer than `MAX_RESPONSE_BYTES`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the response of worker {name} is larger than {MAX_RESPONSE_BYTES} bytes")


class EngineError(WorkerError):
    """What runs the workers does not answer, or refuses something that is not the caller's mistake."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker is made of."""

    function: str
    image: str
    owner: str
    # may hold secrets
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WorkerAddress:
    """A started worker, and where it listens."""

    worker_id: str
    name: str
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One line of the list of workers; times in seconds since the epoch."""

    worker_id: str
    name: str
    function: str
    owner: str
    status: str
    created_at: float
    last_used_at: float


@dataclass(frozen=True, slots=True)
class WorkerUsage:
    """What a worker uses: bytes of memory (limit 0: none) and nanoseconds of processor time."""

    memory_current: int
    memory_max: int
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """A worker's whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Runtime(Protocol):
    """Runs function workers.

    A method that takes a worker's id raises `UnknownWorkerError` for others, and `EngineError` where it needs
    an engine that does not do what it is asked.
    """

    @property
    def name(self) -> str:
        """Its name in settings and reports, such as `process`."""

    async def open(self) -> None:
        """Get ready; called once, before anything else.

        Raises:
            EngineError: what runs the workers cannot be used.
        """

    async def engine_id(self) -> str:
        """Return the stable identity of what runs the workers."""

    async def start(self, spec: WorkerSpec) -> WorkerAddress:
        """Start a worker and return it once it takes invocations.

        Raises:
            WorkerStartError: it could not be started, within the runtime's deadline.
        """

    def state(self, worker_id: str) -> WorkerState:
        """Return what is known about a worker, without asking it."""

    def states(self) -> list[WorkerState]:
        """Return all workers, also those that ended and were not destroyed yet."""

    async def usage(self, worker_id: str) -> WorkerUsage:
        """Measure a worker."""

    async def invoke(
        self, worker_id: str, path: str, payload: bytes, headers: Mapping[str, str], seconds: float
    ) -> WorkerAnswer:
        """POST `payload` to a worker and return its answer, which must come within `seconds`.

        Raises:
            WorkerDiedError, InvocationTimeoutError, ResponseTooLargeError, InvalidInvocationError: see there.
            WorkerStateError: the worker is paused.
        """

    async def pause(self, worker_id: str) -> None:
        """Stop all processes of a worker where they are."""

    async def resume(self, worker_id: str) -> None:
        """Let a paused worker go on."""

    async def destroy(self, worker_id: str) -> None:
        """Kill a worker and forget it."""

    async def close(self) -> None:
        """Kill all workers."""
