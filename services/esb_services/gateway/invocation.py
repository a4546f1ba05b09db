"""One invocation of a function: breaker, worker, answer, and what each failure means."""

import json
import logging
import time
from dataclasses import dataclass

from esb_services.gateway.agent_client import (
    AgentClient,
    AgentError,
    AgentUnreachableError,
    ResponseTooLargeError,
    WorkerLostError,
    WorkerTimeoutError,
)
from esb_services.gateway.config import FunctionConfig
from esb_services.gateway.functions import LiveFunction
from esb_services.gateway.pool import CallerGoneError, Gone, NoWorkerError, PoolFullError, Worker

ACCOUNT_ID = "123456789012"
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024

logger = logging.getLogger("esb.gateway.invocation")


class InvocationError(Exception):
    """An invocation did not come to an answer; `status` is the HTTP status that says so."""

    status = 500


class ThrottledError(InvocationError):
    """The pool is full beyond its queue."""

    status = 429


class CircuitOpenError(InvocationError):
    """The function failed too often of late; no worker was taken."""

    status = 502


class FunctionCrashedError(InvocationError):
    """The worker ended during the invocation."""

    status = 502


class FunctionUnavailableError(InvocationError):
    """No worker could be started."""

    status = 503


class FunctionTimeoutError(InvocationError):
    """The invocation took longer than the function may; its worker is destroyed."""

    status = 504


class AbandonedError(InvocationError):
    """The client left while its invocation was queued; nobody reads the status."""

    status = 499


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event for a function; `client_context` is base64 as in the Invoke API."""

    payload: bytes
    trace_header: str
    request_id: str
    client_context: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A function's answer: its JSON, and `Handled` or `Unhandled` when it is an error report."""

    payload: bytes
    error: str | None


class Invoker:
    """Runs invocations through the agent.

    Args:
        agent: where the workers are.
        region: the AWS region that function ARNs carry.
    """

    def __init__(self, agent: AgentClient, region: str) -> None:
        self._agent = agent
        self._region = region

    def arn(self, name: str) -> str:
        """Return the ARN of the function `name`."""
        return f"arn:aws:lambda:{self._region}:{ACCOUNT_ID}:function:{name}"

    async def invoke(
        self,
        function: LiveFunction,
        invocation: Invocation,
        *,
        queue_timeout: float | None = None,
        gone: Gone | None = None,
    ) -> Result:
        """Run `invocation` and return the function's answer, error reports included.

        Args:
            function: what to invoke.
            invocation: the event with its identity.
            queue_timeout: seconds to wait for a busy worker; None: the function's own acquire timeout.
            gone: returns when the caller has left; a caller in the queue then gives up its place.

        Raises:
            InvocationError: there is no answer; its class says why.
        """
        breaker = function.breaker
        permit = breaker.admit()
        if permit is None:
            raise CircuitOpenError("Circuit is open")
        try:
            result = await self._attempt(function, invocation, queue_timeout, gone)
        except (FunctionCrashedError, FunctionTimeoutError, FunctionUnavailableError):
            breaker.failed(permit)
            raise
        except BaseException:
            breaker.abandoned(permit)
            raise
        if result.error is None:
            breaker.succeeded(permit)
        else:
            breaker.failed(permit)
        return result

    async def _attempt(
        self, function: LiveFunction, invocation: Invocation, queue_timeout: float | None, gone: Gone | None
    ) -> Result:
        config, pool = function.config, function.pool
        timeout = config.scaling.acquire_timeout if queue_timeout is None else queue_timeout
        for _ in range(config.scaling.max_capacity + 1):
            try:
                worker = await pool.acquire(timeout, gone)
            except PoolFullError:
                raise ThrottledError(
                    f"{config.name}: all {config.scaling.max_capacity} workers stayed busy for {timeout:g} s"
                ) from None
            except NoWorkerError as error:
                raise FunctionUnavailableError(
                    f"no worker of {config.name} could be started: {error}"
                ) from error
            except CallerGoneError:
                raise AbandonedError("the client left the queue") from None
            try:
                return await self._run(function, worker, invocation)
            except WorkerLostError:
                # An agent that restarted has lost its workers; nothing ran, so the event may go elsewhere.
                pool.forget(worker)
        raise FunctionUnavailableError(f"the agent lost each worker of {config.name}")

    async def _run(self, function: LiveFunction, worker: Worker, invocation: Invocation) -> Result:
        config, pool = function.config, function.pool
        headers = {
            "content-type": "application/json",
            "x-amzn-trace-id": invocation.trace_header,
            "x-amzn-requestid": invocation.request_id,
            "x-esb-deadline-ms": str(int((time.time() + config.timeout) * 1000)),
            "x-esb-function-arn": self.arn(config.name),
        }
        if invocation.client_context is not None:
            headers["x-amz-client-context"] = invocation.client_context
        try:
            answer = await self._agent.invoke(worker.id, invocation.payload, headers, config.timeout)
        except WorkerLostError:
            raise
        except ResponseTooLargeError as error:
            pool.discard(worker)
            report = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": str(error)}
            return Result(json.dumps(report).encode(), "Unhandled")
        except AgentError as error:
            pool.discard(worker)
            failure = _failure(error, config)
            fields = {"function": config.name, "worker": worker.name, "cause": str(error)}
            logger.warning("invocation failed: %s", failure, extra={"fields": fields})
            raise failure from error
        except BaseException:
            # Nobody knows what the worker does now, so it must not serve again.
            pool.discard(worker)
            raise
        pool.release(worker)
        return Result(answer.body, answer.headers.get("x-amz-function-error"))


def _failure(error: AgentError, function: FunctionConfig) -> InvocationError:
    match error:
        case WorkerTimeoutError():
            return FunctionTimeoutError(f"{function.name} timed out after {function.timeout:g} s")
        case AgentUnreachableError():
            return FunctionUnavailableError(f"{function.name} cannot be reached: {error}")
        case _:
            return FunctionCrashedError(f"{function.name} crashed: {error}")
