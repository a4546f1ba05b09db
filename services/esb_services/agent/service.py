"""The agent's gRPC service: checks arguments and ownership, turns a runtime's failures into status codes."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from esb_services import logs
from esb_services.agent.metrics import Metrics
from esb_services.agent.runtime import (
    EngineError,
    InvalidInvocationError,
    InvocationTimeoutError,
    ResponseTooLargeError,
    Runtime,
    UnknownWorkerError,
    WorkerDiedError,
    WorkerError,
    WorkerSpec,
    WorkerStartError,
    WorkerState,
    WorkerStateError,
)
from esb_services.agent.v1 import agent_pb2, agent_pb2_grpc
from esb_services.function_runtime.output import root_of

Context = grpc.aio.ServicerContext[Any, Any]

TRACE_HEADER = "x-amzn-trace-id"
REQUEST_HEADER = "x-amzn-requestid"

_CODES: dict[type[WorkerError], grpc.StatusCode] = {
    EngineError: grpc.StatusCode.INTERNAL,
    InvalidInvocationError: grpc.StatusCode.INVALID_ARGUMENT,
    InvocationTimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
    ResponseTooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnknownWorkerError: grpc.StatusCode.NOT_FOUND,
    WorkerDiedError: grpc.StatusCode.UNAVAILABLE,
    WorkerStartError: grpc.StatusCode.FAILED_PRECONDITION,
    WorkerStateError: grpc.StatusCode.FAILED_PRECONDITION,
}

_log = logging.getLogger("esb.agent")


class RefusedError(Exception):
    """The request itself is wrong, whatever the runtime would say."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def _code_of(error: WorkerError) -> grpc.StatusCode:
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def _require(**arguments: str) -> None:
    for name, value in arguments.items():
        if not value.strip():
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"{name} may not be blank")


class AgentService(agent_pb2_grpc.AgentServiceServicer):
    """Serves `esb.agent.v1.AgentService` on any runtime."""

    def __init__(self, runtime: Runtime, metrics: Metrics) -> None:
        self._runtime = runtime
        self._metrics = metrics

    async def EnsureContainer(  # noqa: N802 - named by the contract
        self, request: agent_pb2.EnsureContainerRequest, context: Context
    ) -> agent_pb2.WorkerInfo:
        """Start a worker and return it once it takes invocations."""
        _remember(dict(context.invocation_metadata() or ()))
        function = request.function_name
        async with _answering(context):
            _require(function_name=function, image=request.image, owner_id=request.owner_id)
            spec = WorkerSpec(function, request.image, request.owner_id, dict(request.env))
            began = time.perf_counter()
            try:
                address = await self._runtime.start(spec)
            except WorkerError as error:
                self._metrics.starts.labels(function, "failed").inc()
                _tell(logging.ERROR, str(error), function=function)
                raise
            self._metrics.starts.labels(function, "started").inc()
            _tell(
                logging.INFO,
                "worker started",
                function=function,
                worker=address.name,
                duration_ms=_since(began),
            )
        return agent_pb2.WorkerInfo(
            id=address.worker_id, name=address.name, ip_address=address.ip, port=address.port
        )

    async def DestroyContainer(  # noqa: N802 - named by the contract
        self, request: agent_pb2.ContainerRequest, context: Context
    ) -> agent_pb2.Empty:
        """Kill a worker at once; an unknown one is gone already."""
        async with _answering(context):
            try:
                state = self._own(request.container_id, request.owner_id)
                await self._runtime.destroy(request.container_id)
            except UnknownWorkerError:
                return agent_pb2.Empty()
            _tell(logging.INFO, "worker destroyed", function=state.function, worker=state.name)
        return agent_pb2.Empty()

    async def PauseContainer(  # noqa: N802 - named by the contract
        self, request: agent_pb2.ContainerRequest, context: Context
    ) -> agent_pb2.Empty:
        """Stop all processes of a worker where they are."""
        async with _answering(context):
            self._own(request.container_id, request.owner_id)
            await self._runtime.pause(request.container_id)
        return agent_pb2.Empty()

    async def ResumeContainer(  # noqa: N802 - named by the contract
        self, request: agent_pb2.ContainerRequest, context: Context
    ) -> agent_pb2.Empty:
        """Let a paused worker go on."""
        async with _answering(context):
            self._own(request.container_id, request.owner_id)
            await self._runtime.resume(request.container_id)
        return agent_pb2.Empty()

    async def ListContainers(  # noqa: N802 - named by the contract
        self, request: agent_pb2.ListContainersRequest, context: Context
    ) -> agent_pb2.ListContainersResponse:
        """Return the workers of one owner."""
        async with _answering(context):
            _require(owner_id=request.owner_id)
        return agent_pb2.ListContainersResponse(
            containers=[
                agent_pb2.ContainerState(
                    container_id=state.worker_id,
                    function_name=state.function,
                    status=state.status,
                    last_used_at=state.last_used_at,
                    container_name=state.name,
                    created_at=state.created_at,
                    owner_id=state.owner,
                )
                for state in self._runtime.states()
                if state.owner == request.owner_id
            ]
        )

    async def GetContainerMetrics(  # noqa: N802 - named by the contract
        self, request: agent_pb2.ContainerRequest, context: Context
    ) -> agent_pb2.ContainerMetrics:
        """Measure a worker."""
        async with _answering(context):
            state = self._own(request.container_id, request.owner_id)
            usage = await self._runtime.usage(request.container_id)
        return agent_pb2.ContainerMetrics(
            function_name=state.function,
            container_id=state.worker_id,
            container_name=state.name,
            state=state.status,
            memory_current=usage.memory_current,
            memory_max=usage.memory_max,
            cpu_usage_ns=usage.cpu_ns,
        )

    async def InvokeWorker(  # noqa: N802 - named by the contract
        self, request: agent_pb2.InvokeWorkerRequest, context: Context
    ) -> agent_pb2.InvokeWorkerResponse:
        """Send one event to a worker and return its whole answer."""
        headers = dict(request.headers)
        _remember(headers)
        async with _answering(context):
            _require(path=request.path)
            if request.timeout_ms <= 0:
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "timeout_ms must be above 0")
            state = self._own(request.container_id, request.owner_id)
            began = time.perf_counter()
            code = grpc.StatusCode.CANCELLED
            try:
                answer = await self._runtime.invoke(
                    state.worker_id, request.path, request.payload, headers, request.timeout_ms / 1000
                )
                code = grpc.StatusCode.OK
            except WorkerError as error:
                code = _code_of(error)
                _tell(logging.ERROR, str(error), function=state.function, worker=state.name)
                raise
            finally:
                self._metrics.seconds.labels(state.function).observe(time.perf_counter() - began)
                self._metrics.invocations.labels(state.function, code.name).inc()
            _tell(
                logging.INFO,
                "invoked",
                function=state.function,
                worker=state.name,
                status=answer.status,
                duration_ms=_since(began),
            )
        return agent_pb2.InvokeWorkerResponse(
            status_code=answer.status, headers=answer.headers, body=answer.body
        )

    async def GetEngine(  # noqa: N802 - named by the contract
        self,
        request: agent_pb2.Empty,  # noqa: ARG002 - gRPC's signature
        context: Context,  # noqa: ARG002 - gRPC's signature
    ) -> agent_pb2.EngineInfo:
        """Return the identity of what runs the workers."""
        return agent_pb2.EngineInfo(id=await self._runtime.engine_id(), runtime=self._runtime.name)

    def _own(self, container_id: str, owner_id: str) -> WorkerState:
        """Return a worker that belongs to `owner_id`."""
        _require(container_id=container_id, owner_id=owner_id)
        state = self._runtime.state(container_id)
        if state.owner != owner_id:
            raise RefusedError(
                grpc.StatusCode.PERMISSION_DENIED,
                f"worker {container_id!r} does not belong to owner {owner_id!r}",
            )
        return state


@asynccontextmanager
async def _answering(context: Context) -> AsyncIterator[None]:
    """End the call with the status code that fits a failure."""
    try:
        yield
    except RefusedError as refusal:
        await context.abort(refusal.code, str(refusal))
    except WorkerError as failure:
        await context.abort(_code_of(failure), str(failure))


def _remember(headers: dict[str, Any]) -> None:
    """Give the log lines of this call the ids of its request; each call runs in a context of its own."""
    logs.trace_id.set(root_of(headers[TRACE_HEADER]) if TRACE_HEADER in headers else None)
    logs.request_id.set(headers.get(REQUEST_HEADER))


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)


def _tell(level: int, message: str, **fields: object) -> None:
    _log.log(level, message, extra={"fields": fields})
