"""What the gateway asks of the agent, and the gRPC client that does it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio

from esb_services import logs
from esb_services.agent.v1 import agent_pb2 as pb
from esb_services.agent.v1 import agent_pb2_grpc as pb_grpc

INVOCATION_PATH = "/2015-03-31/functions/function/invocations"
START_TIMEOUT = 35.0
"""Seconds that the start of a worker may take; a little more than the agent itself allows."""
CALL_TIMEOUT = 5.0
"""Seconds for the agent's quick calls: list, destroy, measure."""
INVOKE_SLACK = 3.0
"""Seconds on top of a function's timeout in which the agent reports that it timed out."""
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
]


class AgentError(Exception):
    """The agent could not do what it was asked; the message says why."""


class AgentUnreachableError(AgentError):
    """There is no connection to the agent."""


class WorkerStartError(AgentError):
    """The agent could not start a worker; the message carries the worker's own last lines."""


class WorkerLostError(AgentError):
    """The agent knows no such worker: nothing was invoked."""


class WorkerCrashedError(AgentError):
    """The worker ended, or answered nonsense, during the invocation."""


class WorkerTimeoutError(AgentError):
    """The invocation took longer than the function may."""


class ResponseTooLargeError(AgentError):
    """The function's response is larger than the agent passes on."""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as the agent lists it; `created_at` in Unix seconds."""

    id: str
    name: str
    function: str
    status: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker's answer to an invocation; header names are lower case."""

    headers: Mapping[str, str]
    body: bytes


class WorkerSource(Protocol):
    """What a pool needs of the agent."""

    async def connected(self, within: float) -> None:
        """Wait until the agent can be called; raise AgentUnreachableError after `within` seconds."""

    async def start(self, function: str, image: str, env: Mapping[str, str]) -> tuple[str, str]:
        """Start a worker; return its id and name once it is ready, or raise WorkerStartError."""

    async def destroy(self, worker_id: str) -> None:
        """Remove a worker; raise AgentError when the agent did not."""


class AgentClient(WorkerSource, Protocol):
    """The agent as the gateway sees it."""

    async def workers(self) -> list[WorkerRecord]:
        """Return this gateway's workers, also those of its earlier lives, or raise AgentError."""

    async def metrics(self, worker_id: str) -> dict[str, Any]:
        """Return a worker's figures, or raise AgentError."""

    async def invoke(
        self, worker_id: str, payload: bytes, headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """Send an event to a worker, which has `seconds` to answer; raise the AgentError that fits."""


class GrpcAgentClient:
    """Talks to the agent over one mTLS channel that connects when first used and re-connects by itself.

    Args:
        address: `host:port` of the agent.
        owner: the owner of the workers, the same in each life of the gateway.
        ca, certificate, key: PEM bytes of the agent's authority and of the gateway's own identity.
    """

    def __init__(self, address: str, owner: str, *, ca: bytes, certificate: bytes, key: bytes) -> None:
        self._address = address
        self._owner = owner
        self._channel = grpc.aio.secure_channel(
            address, grpc.ssl_channel_credentials(ca, key, certificate), options=_OPTIONS
        )
        self._stub: Any = pb_grpc.AgentServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close(None)

    async def connected(self, within: float) -> None:
        """Wait until the channel is ready."""
        if self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(within):
                await self._channel.channel_ready()
        except TimeoutError:
            raise AgentUnreachableError(f"no connection to the agent at {self._address}") from None

    async def start(self, function: str, image: str, env: Mapping[str, str]) -> tuple[str, str]:
        """Start a worker through `EnsureContainer`."""
        request = pb.EnsureContainerRequest(
            function_name=function, image=image, env=dict(env), owner_id=self._owner
        )
        try:
            worker = await self._stub.EnsureContainer(request, timeout=START_TIMEOUT, metadata=_identity())
        except grpc.aio.AioRpcError as error:
            raise WorkerStartError(_reason(error)) from error
        return worker.id, worker.name

    async def destroy(self, worker_id: str) -> None:
        """Remove a worker through `DestroyContainer`."""
        await self._call(self._stub.DestroyContainer, self._worker(worker_id))

    async def workers(self) -> list[WorkerRecord]:
        """List workers through `ListContainers`."""
        answer = await self._call(self._stub.ListContainers, pb.ListContainersRequest(owner_id=self._owner))
        return [
            WorkerRecord(c.container_id, c.container_name, c.function_name, c.status, c.created_at)
            for c in answer.containers
        ]

    async def metrics(self, worker_id: str) -> dict[str, Any]:
        """Measure a worker through `GetContainerMetrics`."""
        answer = await self._call(self._stub.GetContainerMetrics, self._worker(worker_id))
        return {descriptor.name: getattr(answer, descriptor.name) for descriptor in answer.DESCRIPTOR.fields}

    async def invoke(
        self, worker_id: str, payload: bytes, headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """Invoke a worker through `InvokeWorker`."""
        request = pb.InvokeWorkerRequest(
            container_id=worker_id,
            path=INVOCATION_PATH,
            payload=payload,
            headers=headers,
            timeout_ms=max(1, int(seconds * 1000)),
            owner_id=self._owner,
        )
        try:
            answer = await self._stub.InvokeWorker(
                request, timeout=seconds + INVOKE_SLACK, wait_for_ready=True
            )
        except grpc.aio.AioRpcError as error:
            raise self._invocation_error(error) from error
        if answer.status_code != 200:
            text = answer.body[:500].decode(errors="replace")
            raise WorkerCrashedError(f"the worker answered with status {answer.status_code}: {text}")
        return Answer({name.lower(): value for name, value in answer.headers.items()}, answer.body)

    def _invocation_error(self, error: grpc.aio.AioRpcError) -> AgentError:
        reason = _reason(error)
        match error.code():
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                if self._channel.get_state() is grpc.ChannelConnectivity.READY:
                    return WorkerTimeoutError(reason)
                return AgentUnreachableError(f"no connection to the agent at {self._address}")
            case grpc.StatusCode.NOT_FOUND:
                return WorkerLostError(reason)
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return ResponseTooLargeError(reason)
            case _:
                return WorkerCrashedError(reason)

    def _worker(self, worker_id: str) -> pb.ContainerRequest:
        return pb.ContainerRequest(container_id=worker_id, owner_id=self._owner)

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=CALL_TIMEOUT, metadata=_identity())
        except grpc.aio.AioRpcError as error:
            raise AgentError(_reason(error)) from error


def _identity() -> tuple[tuple[str, str], ...]:
    """Return the request for which a call is made, so that the agent's log lines carry it, too."""
    trace, request = logs.trace_id.get(), logs.request_id.get()
    if trace is None or request is None:
        return ()
    return ("x-amzn-trace-id", f"Root={trace}"), ("x-amzn-requestid", request)


def _reason(error: grpc.aio.AioRpcError) -> str:
    return error.details() or error.code().name
