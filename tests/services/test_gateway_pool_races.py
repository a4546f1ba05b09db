"""The pool under cancellation, failure and contention, in one event loop with an obedient agent."""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from esb_services.gateway.agent_client import WorkerSource, WorkerStartError
from esb_services.gateway.config import FunctionConfig, Scaling
from esb_services.gateway.pool import CallerGoneError, NoWorkerError, Pool, PoolFullError, Worker


class Agent(WorkerSource):
    """Starts workers when it gets round to it, and fails as often as told."""

    def __init__(self, failure_rate: float = 0.0, seed: int = 0) -> None:
        self._numbers = itertools.count(1)
        self._failure_rate = failure_rate
        self._random = random.Random(seed)
        self.alive: set[str] = set()

    async def connected(self, within: float) -> None:
        """Be there."""

    async def start(self, _function: str, _image: str, _env: Mapping[str, str]) -> tuple[str, str]:
        """Start a worker after some turns of the loop."""
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)
        if self._random.random() < self._failure_rate:
            raise WorkerStartError("refused")
        worker = f"w{next(self._numbers)}"
        self.alive.add(worker)
        return worker, worker

    async def destroy(self, worker_id: str) -> None:
        """Remove a worker at once."""
        self.alive.discard(worker_id)


class Bench:
    """A pool with its agent and its background tasks."""

    def __init__(self, agent: Agent, *, most: int, least: int = 0) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.agent = agent
        scaling = Scaling(least, most, idle_timeout=0, acquire_timeout=5)
        self.pool = Pool(FunctionConfig("f", "f:1", {}, 3, 128, scaling, ()), agent, self._spawn)

    async def settle(self) -> None:
        """Wait until no background task is left."""
        async with asyncio.timeout(20):
            while self._tasks:
                await asyncio.gather(*self._tasks)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


async def turns(count: int) -> None:
    """Let the other tasks of the loop run."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_caller_cancelled_in_the_queue_leaves_its_worker_to_the_next() -> None:
    """The start that it caused serves whoever is next."""

    async def scenario() -> None:
        bench = Bench(Agent(), most=1)
        first, second = (asyncio.create_task(bench.pool.acquire(5)) for _ in range(2))
        await turns(1)
        first.cancel()
        assert (await second).id == "w1"
        assert len(bench.agent.alive) == 1

    run(scenario)


def test_a_worker_that_reaches_a_caller_as_it_is_cancelled_goes_to_the_next() -> None:
    """Handed over and cancelled in the same turn of the loop: the worker is not lost."""

    async def scenario() -> None:
        bench = Bench(Agent(), most=1)
        worker = await bench.pool.acquire(5)
        first, second = (asyncio.create_task(bench.pool.acquire(5)) for _ in range(2))
        await turns(1)
        bench.pool.release(worker)
        first.cancel()
        assert await second is worker
        assert first.cancelled()

    run(scenario)


def test_a_caller_that_leaves_as_its_worker_comes_keeps_it_to_give_it_back() -> None:
    """Either it has the worker or it is gone, never both."""

    async def scenario() -> None:
        bench = Bench(Agent(), most=1)
        worker = await bench.pool.acquire(5)
        left = asyncio.Event()

        async def gone() -> None:
            await left.wait()

        caller = asyncio.create_task(bench.pool.acquire(5, gone))
        await turns(2)
        left.set()
        bench.pool.release(worker)
        assert await caller is worker
        left.clear()
        other = asyncio.create_task(bench.pool.acquire(5, gone))
        await turns(2)
        left.set()
        with pytest.raises(CallerGoneError):
            await other
        bench.pool.release(worker)
        assert bench.pool.idle == [worker]

    run(scenario)


def test_a_drained_pool_serves_who_waits_and_ends_empty() -> None:
    """Callers of a replaced function still get a worker; none is left when they are done."""

    async def scenario() -> None:
        bench = Bench(Agent(), most=1, least=1)
        worker = await bench.pool.acquire(5)
        waiting = asyncio.create_task(bench.pool.acquire(5))
        await turns(1)
        bench.pool.drain()
        bench.pool.release(worker)
        assert await waiting is worker
        bench.pool.release(worker)
        late = await bench.pool.acquire(5)
        bench.pool.release(late)
        await bench.settle()
        assert bench.pool.empty
        assert not bench.agent.alive

    run(scenario)


def test_a_smaller_maximum_removes_idle_workers_beyond_it() -> None:
    """A new scaling takes effect without a new worker."""

    async def scenario() -> None:
        bench = Bench(Agent(), most=3)
        for worker in [await bench.pool.acquire(5) for _ in range(3)]:
            bench.pool.release(worker)
        bench.pool.reconfigure(
            FunctionConfig("f", "f:1", {}, 3, 128, Scaling(1, 1, idle_timeout=99, acquire_timeout=5), ())
        )
        bench.pool.maintain()
        await bench.settle()
        assert len(bench.agent.alive) == 1

    run(scenario)


def test_a_closed_pool_turns_everybody_away_and_starts_nothing() -> None:
    """Neither callers in the queue nor new ones keep a gateway that ends."""

    async def scenario() -> None:
        bench = Bench(Agent(), most=1)
        worker = await bench.pool.acquire(5)
        waiting = asyncio.create_task(bench.pool.acquire(5))
        await turns(1)
        bench.pool.close()
        with pytest.raises(NoWorkerError, match="stopping"):
            await waiting
        with pytest.raises(NoWorkerError, match="stopping"):
            await bench.pool.acquire(5)
        bench.pool.discard(worker)
        bench.pool.maintain()
        await bench.settle()
        assert not bench.agent.alive

    run(scenario)


@pytest.mark.parametrize("seed", range(20))
def test_no_worker_is_ever_lost_or_doubled(seed: int) -> None:
    """Under random cancellations, crashes, failed starts and time-outs the pool's books stay right."""
    dice = random.Random(seed)
    most = dice.randrange(1, 5)

    async def scenario() -> None:
        bench = Bench(Agent(failure_rate=0.2, seed=seed), most=most)
        in_use: set[Worker] = set()
        outcomes: list[str] = []

        async def call() -> None:
            try:
                worker = await bench.pool.acquire(dice.choice([0, 0.001, 5]))
            except (PoolFullError, NoWorkerError) as error:
                outcomes.append(type(error).__name__)
                return
            assert worker not in in_use
            in_use.add(worker)
            assert len(bench.pool.workers) + bench.pool.starting <= most
            try:
                await turns(dice.randrange(5))
            finally:
                in_use.remove(worker)
                if dice.random() < 0.2:
                    bench.pool.discard(worker)
                else:
                    bench.pool.release(worker)
            outcomes.append("served")

        calls = []
        for _ in range(120):
            calls.append(asyncio.create_task(call()))
            await turns(dice.randrange(3))
            if dice.random() < 0.2:
                dice.choice(calls).cancel()
            if dice.random() < 0.1:
                bench.pool.maintain()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
        assert "served" in outcomes
        await bench.settle()
        figures = bench.pool.figures()
        assert (figures["busy"], figures["queued"], figures["provisioning"]) == (0, 0, 0)
        assert {worker.id for worker in bench.pool.idle} == bench.agent.alive
        bench.pool.maintain()
        await bench.settle()
        assert bench.pool.empty
        assert not bench.agent.alive

    run(scenario)
