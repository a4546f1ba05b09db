"""A pool grows with its load up to its limit, and shrinks when there is none."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from esb_e2e_plugin.fixtures.logs import EnvironmentLogs

Eventually = Callable[..., Any]
Pool = Callable[[str], dict[str, Any]]
TakeTurn = Callable[[str], None]
Workers = Callable[[str], set[str]]


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Threads for calls that overlap; all have ended when the test has."""
    with ThreadPoolExecutor(12) as executor:
        yield executor


@pytest.fixture
def call(
    background: ThreadPoolExecutor, esb_gateway: requests.Session
) -> Callable[[str, int], Future[requests.Response]]:
    """`call(route, sleep_ms)`: start a call that keeps a worker busy for so long."""
    return lambda route, sleep_ms: background.submit(
        esb_gateway.post, f"/api/{route}", json={"sleep_ms": sleep_ms}
    )


Call = Callable[[str, int], Future[requests.Response]]


def test_repeated_calls_reuse_one_worker(
    trace_id: str, esb_logs: EnvironmentLogs, take_turn: TakeTurn, call: Call
) -> None:
    """One call after the other needs no more than one worker."""
    take_turn("lambda-scaling")
    for _ in range(5):
        answer = call("scaling", 1).result()
        assert answer.json() == {"message": "scaling-test", "slept_ms": 1}
    records = esb_logs.wait_for(
        count=5, trace_id=trace_id, service="function", function="lambda-scaling", contains="busy"
    )
    assert len({record["worker"] for record in records}) == 1


def test_pool_grows_to_its_limit_and_queues_the_rest(
    take_turn: TakeTurn, call: Call, pool: Pool, eventually: Eventually
) -> None:
    """Eight calls at once are all answered, by three workers and never more."""
    take_turn("lambda-scaling")
    calls = [call("scaling", 1000) for _ in range(8)]
    seen = []

    def full() -> None:
        seen.append(pool("lambda-scaling"))
        assert seen[-1]["busy"] == 3

    eventually(full, timeout=20)
    while not all(running.done() for running in calls):
        seen.append(pool("lambda-scaling"))
    assert [running.result().status_code for running in calls] == [200] * 8
    assert max(figures["total_workers"] for figures in seen) == 3
    assert max(figures["busy"] for figures in seen) == 3


@pytest.mark.esb_exclusive
def test_pool_shrinks_to_nothing_and_comes_back(
    take_turn: TakeTurn, call: Call, pool: Pool, workers: Workers, eventually: Eventually
) -> None:
    """Without calls the last worker goes; the next call starts a new one."""
    take_turn("lambda-scaling")
    assert call("scaling", 1).result().status_code == 200

    def empty() -> None:
        assert pool("lambda-scaling")["total_workers"] == 0
        assert not workers("lambda-scaling")

    eventually(empty, timeout=20)
    assert call("scaling", 1).result().status_code == 200

    def back() -> None:
        assert call("scaling", 1).result().status_code == 200
        assert pool("lambda-scaling")["total_workers"] == 1

    eventually(back)


def test_minimum_is_started_without_a_call_and_kept(
    take_turn: TakeTurn, call: Call, pool: Pool, workers: Workers, eventually: Eventually
) -> None:
    """A pool with a minimum has its worker before anybody calls, grows above it, and shrinks back to it."""

    def at_minimum() -> None:
        figures = pool("lambda-warm")
        assert (figures["total_workers"], figures["idle"]) == (1, 1)

    eventually(at_minimum, timeout=20)
    take_turn("lambda-warm")

    def one_worker() -> None:
        at_minimum()
        assert len(workers("lambda-warm")) == 1

    eventually(one_worker, timeout=20)
    calls = [call("warm", 500) for _ in range(2)]
    assert [running.result().status_code for running in calls] == [200, 200]
    eventually(one_worker, timeout=20)


def test_call_waits_for_a_busy_worker(
    trace_id: str, esb_logs: EnvironmentLogs, take_turn: TakeTurn, call: Call
) -> None:
    """Where one worker is all there may be, a second call waits for it."""
    take_turn("lambda-queue")
    calls = [call("queue", 200) for _ in range(2)]
    assert [running.result().status_code for running in calls] == [200, 200]
    records = esb_logs.wait_for(
        count=2, trace_id=trace_id, service="function", function="lambda-queue", contains="busy"
    )
    assert len({record["worker"] for record in records}) == 1


@pytest.mark.parametrize("door", ["route", "invoke-api"])
def test_call_that_waits_too_long_is_turned_away(
    take_turn: TakeTurn,
    call: Call,
    pool: Pool,
    invoke: Callable[..., requests.Response],
    eventually: Eventually,
    door: str,
) -> None:
    """Who finds no worker within the pool's waiting time gets a 429; the running call is not disturbed."""
    take_turn("lambda-queue")
    running = call("queue", 5000)

    def busy() -> None:
        assert pool("lambda-queue")["busy"] == 1

    eventually(busy)
    refused = call("queue", 1).result() if door == "route" else invoke("lambda-queue", {"sleep_ms": 1})
    assert refused.status_code == 429
    assert refused.json().get("message") or refused.json()["Message"]
    assert running.result().status_code == 200
    assert call("queue", 1).result().status_code == 200
