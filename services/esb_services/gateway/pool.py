"""The worker pool of one function: idle workers, starts under way, and a FIFO queue of callers."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from esb_services.gateway.agent_client import AgentError, WorkerSource
from esb_services.gateway.config import FunctionConfig

logger = logging.getLogger("esb.gateway.pool")

_FIRST_RETRY = 1.0
_LAST_RETRY = 30.0

Spawn = Callable[[Coroutine[Any, Any, None]], object]
Gone = Callable[[], Awaitable[None]]


class PoolFullError(Exception):
    """All workers stayed busy for the whole acquire timeout."""


class NoWorkerError(Exception):
    """A worker could not be started."""


class CallerGoneError(Exception):
    """The caller left while it was queued."""


@dataclass(slots=True, eq=False)
class Worker:
    """A started worker; `idle_since` is monotonic seconds."""

    id: str
    name: str
    idle_since: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiter:
    """A caller in the queue; `expired` once its acquire timeout is over."""

    future: asyncio.Future[Worker]
    expired: bool = False


class Pool:
    """Hands out workers of one function, at most `max_capacity`, to callers in the order in which they came.

    Starts are tasks of their own: a caller that leaves takes no worker with it. A pool that drains serves the
    callers that still come to it, and removes each worker that nobody waits for.

    Args:
        function: what the workers run and how many there may be.
        agent: starts and removes workers.
        spawn: runs a coroutine as a background task.
    """

    def __init__(self, function: FunctionConfig, agent: WorkerSource, spawn: Spawn) -> None:
        self.function = function
        self._agent = agent
        self._spawn = spawn
        self._idle: deque[Worker] = deque()
        self._busy: set[Worker] = set()
        self._starting = 0
        self._queue: deque[_Waiter] = deque()
        self._draining = False
        self._closed = False
        self._retry_delay = _FIRST_RETRY
        self._retry_at = 0.0

    @property
    def starting(self) -> int:
        """The number of workers being started."""
        return self._starting

    @property
    def workers(self) -> list[Worker]:
        """The started workers."""
        return [*self._idle, *self._busy]

    @property
    def idle(self) -> list[Worker]:
        """The started workers without work."""
        return list(self._idle)

    @property
    def empty(self) -> bool:
        """Whether there is no worker, no start and no caller."""
        return not (self._idle or self._busy or self._starting or self._queue)

    def figures(self) -> dict[str, Any]:
        """Return the pool's figures as `/metrics/pools` shows them."""
        scaling = self.function.scaling
        return {
            "function_name": self.function.name,
            "total_workers": len(self._idle) + len(self._busy),
            "idle": len(self._idle),
            "busy": len(self._busy),
            "provisioning": self._starting,
            "queued": len(self._queue),
            "max_capacity": scaling.max_capacity,
            "min_capacity": scaling.min_capacity,
            "acquire_timeout": scaling.acquire_timeout,
        }

    async def acquire(self, patience: float, gone: Gone | None = None) -> Worker:
        """Return a worker that is the caller's until `release` or `discard`.

        Args:
            patience: seconds to queue for a busy worker; the start of a worker may take longer.
            gone: returns when the caller has left.

        Raises:
            PoolFullError: all workers stayed busy.
            NoWorkerError: a worker could not be started.
            CallerGoneError: the caller left.
        """
        if self._idle and not self._queue:
            worker = self._idle.pop()
            self._busy.add(worker)
            return worker
        if self._closed:
            raise NoWorkerError("the gateway is stopping")
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future())
        self._queue.append(waiter)
        self._grow()
        timer = loop.call_later(patience, self._expire, waiter)
        left = asyncio.ensure_future(gone()) if gone else None
        try:
            if left is not None:
                await asyncio.wait((waiter.future, left), return_when=asyncio.FIRST_COMPLETED)
                _check_present(waiter)
            return await waiter.future
        except BaseException:
            self._leave(waiter)
            raise
        finally:
            timer.cancel()
            if left is not None:
                left.cancel()

    def release(self, worker: Worker) -> None:
        """Give back a worker that can serve the next caller."""
        self._busy.discard(worker)
        self._offer(worker)

    def discard(self, worker: Worker) -> None:
        """Give back a worker that must not serve again: it is destroyed."""
        self.forget(worker)
        self._spawn(self._destroy(worker))

    def forget(self, worker: Worker) -> None:
        """Drop a worker that is no more, busy or idle."""
        self._busy.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        self._grow()

    def reconfigure(self, function: FunctionConfig) -> None:
        """Take over another scaling of the same workers."""
        self.function = function
        self._grow()

    def maintain(self) -> None:
        """Remove workers that were idle for too long, and start those that the minimum lacks."""
        scaling = self.function.scaling
        now = time.monotonic()
        spare = len(self._idle) + len(self._busy) - (0 if self._draining else scaling.min_capacity)
        while self._idle and spare > 0:
            excess = len(self._idle) + len(self._busy) > scaling.max_capacity
            if not (self._draining or excess or now - self._idle[0].idle_since >= scaling.idle_timeout):
                break
            spare -= 1
            self._spawn(self._destroy(self._idle.popleft()))
        if not self._draining and now >= self._retry_at:
            for _ in range(scaling.min_capacity - len(self._idle) - len(self._busy) - self._starting):
                self._start()

    def drain(self) -> None:
        """Remove the workers as they become idle; no new ones are kept."""
        self._draining = True
        self.maintain()

    def close(self) -> None:
        """Start no worker any more, and turn away whoever is queued."""
        self._closed = self._draining = True
        while waiter := self._next_waiter():
            waiter.future.set_exception(NoWorkerError("the gateway is stopping"))

    def _grow(self) -> None:
        """Start as many workers as callers wait for, up to the maximum."""
        total = len(self._idle) + len(self._busy) + self._starting
        room = self.function.scaling.max_capacity - total
        for _ in range(min(len(self._queue) - self._starting, room)):
            self._start()

    def _start(self) -> None:
        self._starting += 1
        self._spawn(self._provision())

    async def _provision(self) -> None:
        function = self.function
        try:
            await self._agent.connected(function.timeout)
            worker = Worker(*await self._agent.start(function.name, function.image, function.env))
        except BaseException as error:
            self._starting -= 1
            self._start_failed(error)
            if not isinstance(error, AgentError):
                raise
            return
        self._starting -= 1
        self._retry_delay, self._retry_at = _FIRST_RETRY, 0.0
        logger.info("worker started", extra={"fields": {"function": function.name, "worker": worker.name}})
        self._offer(worker)

    def _start_failed(self, error: BaseException) -> None:
        self._retry_at = time.monotonic() + self._retry_delay
        self._retry_delay = min(2 * self._retry_delay, _LAST_RETRY)
        reason = str(error) or type(error).__name__
        fields = {"function": self.function.name}
        logger.error("worker could not be started: %s", reason, extra={"fields": fields})
        if waiter := self._next_waiter():
            waiter.future.set_exception(NoWorkerError(reason))
        self._grow()
        self._reject_expired()

    def _offer(self, worker: Worker) -> None:
        if waiter := self._next_waiter():
            self._busy.add(worker)
            waiter.future.set_result(worker)
        elif self._draining:
            self._spawn(self._destroy(worker))
        else:
            worker.idle_since = time.monotonic()
            self._idle.append(worker)
        self._reject_expired()

    def _next_waiter(self) -> _Waiter | None:
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.future.done():
                return waiter
        return None

    def _leave(self, waiter: _Waiter) -> None:
        """Take a caller out of the queue; a worker that reached it just now goes to the next."""
        if waiter in self._queue:
            self._queue.remove(waiter)
        future = waiter.future
        if future.cancelled() or not future.done():
            future.cancel()
        elif future.exception() is None:
            self.release(future.result())

    def _expire(self, waiter: _Waiter) -> None:
        waiter.expired = True
        self._reject_expired()

    def _reject_expired(self) -> None:
        """Reject callers whose time is over, but for those at the head for whom a worker is being started."""
        for waiter in list(self._queue)[self._starting :]:
            if waiter.expired and not waiter.future.done():
                self._queue.remove(waiter)
                waiter.future.set_exception(PoolFullError)

    async def _destroy(self, worker: Worker) -> None:
        fields = {"function": self.function.name, "worker": worker.name}
        try:
            await self._agent.destroy(worker.id)
        except AgentError as error:
            logger.warning("worker could not be removed: %s", error, extra={"fields": fields})
        else:
            logger.info("worker removed", extra={"fields": fields})


def _check_present(waiter: _Waiter) -> None:
    if not waiter.future.done():
        raise CallerGoneError
