"""Worker pools, seen through the gateway process: growth, queue, idleness, failures, restarts."""

import functools
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.services.fake_agent import Call, Gate, Refusal
from tests.services.gateway_support import Stack, Together, stack
from tests.services.service_process import PATIENCE
from tests.waiting import eventually


@pytest.fixture
def esb(tmp_path: Path) -> Iterator[Stack]:
    """A gateway, not started yet, beside its fake agent."""
    with stack(tmp_path, CIRCUIT_BREAKER_THRESHOLD="100") as esb:
        yield esb


def test_a_worker_is_started_once_and_reused(esb: Stack) -> None:
    """Calls in a row share a worker."""
    esb.agent.handlers["f"] = lambda call: call.worker.id
    esb.serve(f={})
    assert {esb.gateway.invoke("f").json() for _ in range(5)} == {"w1"}
    assert len(esb.agent.started) == 1


def test_concurrent_calls_get_a_worker_each_up_to_the_maximum(esb: Stack) -> None:
    """Three of five calls run at once, the others wait for a worker that becomes free."""
    gate = esb.agent.handlers["f"] = Gate()
    esb.serve(f={"scaling": {"max_capacity": 3}})
    with Together() as together:
        calls = [together.go(lambda: esb.gateway.invoke("f").json()) for _ in range(5)]
        eventually(lambda: gate.waiting == 3 and esb.gateway.pool("f")["queued"] == 2, "three run, two wait")
        figures = esb.gateway.pool("f")
        gate.let_go(5)
        workers = [call.result()["worker"] for call in calls]
    assert (figures["busy"], figures["total_workers"], figures["provisioning"]) == (3, 3, 0)
    assert len(set(workers)) == len(esb.agent.started) == 3
    eventually(lambda: esb.gateway.pool("f")["idle"] == 3, "all workers are idle")


def test_callers_are_served_in_the_order_in_which_they_came(esb: Stack) -> None:
    """The queue is first in, first out."""
    gate = esb.agent.handlers["f"] = Gate()
    esb.serve(f={"scaling": {"max_capacity": 1}})

    def there_are(count: int) -> bool:
        return bool(gate.waiting + esb.gateway.pool("f")["queued"] == count)

    with Together() as together:
        for number in range(5):
            together.go(functools.partial(esb.gateway.invoke, "f", number))
            eventually(functools.partial(there_are, number + 1), "the call runs or waits")
        gate.let_go(5)
    assert [call.event for call in esb.agent.calls] == [0, 1, 2, 3, 4]


def test_a_caller_whose_turn_does_not_come_in_time_gets_429(esb: Stack) -> None:
    """The message says how long it waited; the busy worker is not disturbed."""
    gate = esb.agent.handlers["f"] = Gate()
    esb.serve(f={"scaling": {"max_capacity": 1, "acquire_timeout": 0.1}})
    with Together() as together:
        first = together.go(lambda: esb.gateway.post("/f"))
        eventually(lambda: gate.waiting, "the worker is busy")
        answer = esb.gateway.post("/f")
        gate.let_go()
        assert first.result().status_code == 200
    assert answer.status_code == 429
    assert answer.json() == {"message": "f: all 1 workers stayed busy for 0.1 s"}
    assert esb.gateway.pool("f")["queued"] == 0


def test_a_cold_start_may_take_longer_than_the_queues_time(esb: Stack) -> None:
    """The acquire timeout is about busy workers: a caller for whom a worker starts is not sent away."""
    starting, go_on = threading.Event(), threading.Event()

    def slow(_request: Any) -> None:
        starting.set()
        assert go_on.wait(PATIENCE)

    esb.agent.before_start = slow
    esb.agent.handlers["f"] = lambda _call: "fine"
    esb.serve(f={"scaling": {"max_capacity": 1, "acquire_timeout": 0.05}})
    with Together() as together:
        first = together.go(lambda: esb.gateway.invoke("f"))
        assert starting.wait(PATIENCE)
        second = together.go(lambda: esb.gateway.invoke("f"))
        assert second.result().status_code == 429
        go_on.set()
        assert first.result().status_code == 200


def test_the_minimum_is_started_before_any_call_and_kept(esb: Stack) -> None:
    """Idle workers above the minimum are removed after their time, those of the minimum stay."""
    gate = esb.agent.handlers["f"] = Gate()
    esb.serve(f={"scaling": {"min_capacity": 2, "max_capacity": 4, "idle_timeout": 0.1}})
    eventually(lambda: esb.gateway.pool("f")["idle"] == 2, "the minimum is there")
    with Together() as together:
        for _ in range(4):
            together.go(lambda: esb.gateway.invoke("f"))
        eventually(lambda: gate.waiting == 4, "all workers are busy")
        gate.let_go(4)
    eventually(lambda: len(esb.agent.destroyed) == 2, "two workers are removed")
    assert esb.gateway.pool("f")["idle"] == 2
    assert len(esb.agent.workers) == 2


def test_an_unused_function_scales_to_zero_and_back(esb: Stack) -> None:
    """After the gateway's idle time no worker is left; the next call starts one."""
    esb.agent.handlers["f"] = lambda call: call.worker.id
    esb.gateway.environ["GATEWAY_IDLE_TIMEOUT_SECONDS"] = "0.1"
    esb.serve(f={})
    assert esb.gateway.invoke("f").json() == "w1"
    eventually(lambda: not esb.agent.workers, "the worker is removed")
    assert esb.gateway.pool("f")["total_workers"] == 0
    assert esb.gateway.invoke("f").json() == "w2"


def test_a_failed_start_fails_one_caller_and_serves_the_next(esb: Stack) -> None:
    """The first caller gets the reason, the one behind it a worker of its own."""
    refused, go_on = threading.Event(), threading.Event()

    def refuse_first(_request: Any) -> None:
        if not refused.is_set():
            refused.set()
            assert go_on.wait(PATIENCE)
            raise Refusal(grpc.StatusCode.INTERNAL, "no memory")

    esb.agent.before_start = refuse_first
    esb.agent.handlers["f"] = lambda _call: "fine"
    esb.serve(f={"scaling": {"max_capacity": 1}})
    with Together() as together:
        first = together.go(lambda: esb.gateway.invoke("f"))
        assert refused.wait(PATIENCE)
        second = together.go(lambda: esb.gateway.invoke("f"))
        eventually(lambda: esb.gateway.pool("f")["queued"] == 2, "both wait")
        go_on.set()
        assert (first.result().status_code, second.result().status_code) == (503, 200)
    assert "no memory" in first.result().json()["message"]


def test_a_prestart_that_fails_is_tried_again(esb: Stack) -> None:
    """The minimum is reached as soon as workers can be started, without a call."""
    refusals = iter([Refusal(grpc.StatusCode.INTERNAL, "not yet")])

    def refuse_once(_request: Any) -> None:
        for refusal in refusals:
            raise refusal

    esb.agent.before_start = refuse_once
    esb.serve(f={"scaling": {"min_capacity": 1}})
    eventually(lambda: esb.gateway.pool("f")["idle"] == 1, "the minimum is there")
    assert [r["function"] for r in esb.gateway.log(level="ERROR")] == ["f"]


def test_a_client_that_leaves_the_queue_takes_no_worker_with_it(esb: Stack) -> None:
    """Its place is given up and its event never runs."""
    gate = esb.agent.handlers["f"] = Gate()
    esb.serve(f={"scaling": {"max_capacity": 1}})
    with Together() as together:
        first = together.go(lambda: esb.gateway.invoke("f", "first").status_code)
        eventually(lambda: gate.waiting, "the worker is busy")
        _send_invocation(esb.gateway.http_port, "f").close()
        leaving = _send_invocation(esb.gateway.http_port, "f")
        eventually(lambda: esb.gateway.pool("f")["queued"], "the second client waits")
        leaving.close()
        eventually(lambda: esb.gateway.pool("f")["queued"] == 0, "its place is given up")
        gate.let_go(2)
        assert first.result() == 200
    assert esb.gateway.invoke("f", "last").json() == {"worker": "w1", "event": "last"}
    assert [call.event for call in esb.agent.calls] == ["first", "last"]


def test_a_client_that_leaves_during_the_call_does_not_lose_the_worker(esb: Stack) -> None:
    """The function runs to its end, as on AWS, and its worker serves the next call."""
    gate = esb.agent.handlers["f"] = Gate()
    esb.serve(f={"scaling": {"max_capacity": 1}})
    leaving = _send_invocation(esb.gateway.http_port, "f")
    eventually(lambda: gate.waiting, "the function runs")
    leaving.close()
    gate.let_go(2)
    assert esb.gateway.invoke("f").json()["worker"] == "w1"
    assert esb.agent.destroyed == []


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_a_failed_worker_makes_room_for_the_next_caller(esb: Stack, code: grpc.StatusCode) -> None:
    """Who waits for the only worker gets a new one when that one fails."""
    gate = Gate()

    def fail_first(call: Call) -> Any:
        gate(call)
        if call.worker.id == "w1":
            raise Refusal(code, "gone")
        return call.worker.id

    esb.agent.handlers["f"] = fail_first
    esb.serve(f={"scaling": {"max_capacity": 1}})
    with Together() as together:
        first = together.go(lambda: esb.gateway.invoke("f").status_code)
        eventually(lambda: gate.waiting, "the worker is busy")
        second = together.go(lambda: esb.gateway.invoke("f").json())
        eventually(lambda: esb.gateway.pool("f")["queued"], "the second caller waits")
        gate.let_go(2)
        assert first.result() == (502 if code is grpc.StatusCode.UNAVAILABLE else 504)
        assert second.result() == "w2"
    eventually(lambda: esb.agent.destroyed == ["w1"], "the failed worker is destroyed")


def test_a_restarted_agent_is_found_again(esb: Stack) -> None:
    """Workers that the agent lost are replaced without an error for the caller."""
    esb.agent.handlers["f"] = lambda call: call.worker.id
    esb.serve(f={})
    assert esb.gateway.invoke("f").json() == "w1"
    esb.agent.stop()
    esb.agent.serve()
    assert esb.gateway.invoke("f").json() == "w2"


def test_an_agent_that_comes_late_is_waited_for(esb: Stack) -> None:
    """A call made before the agent is up succeeds once it is."""
    esb.agent.stop()
    esb.agent.handlers["f"] = lambda _call: "fine"
    esb.serve(f={})
    with Together() as together:
        call = together.go(lambda: esb.gateway.invoke("f"))
        eventually(lambda: esb.gateway.pool("f")["provisioning"] == 1, "the call waits")
        esb.agent.serve()
        assert call.result().json() == "fine"


def test_without_an_agent_a_call_is_503_when_its_time_is_over(esb: Stack) -> None:
    """The message names the agent's address."""
    esb.agent.stop()
    esb.serve(f={"timeout": 0.2})
    answer = esb.gateway.post("/f")
    assert answer.status_code == 503
    assert f"no connection to the agent at 127.0.0.1:{esb.agent.port}" in answer.json()["message"]


def test_an_idle_worker_that_dies_is_noticed(esb: Stack) -> None:
    """A worker that the agent lists as ended, or no more, leaves the pool without a call."""
    esb.serve(f={"scaling": {"min_capacity": 2, "max_capacity": 2}})
    eventually(lambda: esb.gateway.pool("f")["idle"] == 2, "the minimum is there")
    esb.agent.workers["w1"].status = "EXITED"
    del esb.agent.workers["w2"]
    eventually(lambda: {"w3", "w4"} == esb.agent.workers.keys(), "both are replaced")
    eventually(lambda: esb.gateway.pool("f")["total_workers"] == 2, "the gateway counts them")


def test_orphans_of_an_earlier_gateway_are_removed_after_their_grace(esb: Stack) -> None:
    """Old ones go at once, young ones when they are old enough, our own never."""
    esb.gateway.environ["ORPHAN_GRACE_PERIOD_SECONDS"] = "3600"
    old, young = esb.agent.add_worker("f", age=7200), esb.agent.add_worker("removed-function", age=0)
    esb.agent.handlers["f"] = lambda call: call.worker.id
    esb.serve(f={})
    own = esb.gateway.invoke("f").json()
    eventually(lambda: esb.agent.destroyed == [old.id], "the old orphan is removed")
    young.created_at -= 7200
    eventually(lambda: esb.agent.destroyed == [old.id, young.id], "the other orphan is removed")
    assert esb.gateway.invoke("f").json() == own


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_gateways_end_removes_its_workers(esb: Stack, number: int) -> None:
    """A signal ends it with status 0, calls in flight are answered, and no worker is left."""
    gate = esb.agent.handlers["f"] = Gate()
    esb.gateway.limits = {"DRAIN_TIMEOUT": PATIENCE / 2, "REMOVAL_TIMEOUT": PATIENCE / 4}
    esb.serve(f={"scaling": {"min_capacity": 2}})
    eventually(lambda: esb.gateway.pool("f")["idle"] == 2, "the minimum is there")
    with Together() as together:
        call = together.go(lambda: esb.gateway.invoke("f"))
        eventually(lambda: gate.waiting, "a call is in flight")
        ending = together.go(lambda: esb.gateway.end(number))
        eventually(lambda: _refuses(esb.gateway.http_port), "the gateway takes no new connection")
        gate.let_go()
        assert call.result().status_code == 200
        assert ending.result() == 0
    assert not esb.agent.workers
    assert not esb.gateway.log(level="ERROR")


def test_the_gateway_ends_while_functions_run(esb: Stack) -> None:
    """Calls that do not end are broken off: neither they nor queued ones keep the gateway or a worker."""
    gate = esb.agent.handlers["f"] = Gate()
    esb.gateway.limits = {"REMOVAL_TIMEOUT": PATIENCE / 2}
    esb.serve(f={"scaling": {"max_capacity": 1}})
    with Together() as together:
        calls = [together.go(lambda: esb.gateway.invoke("f").status_code) for _ in range(3)]
        eventually(lambda: gate.waiting and esb.gateway.pool("f")["queued"] == 2, "one runs, two wait")
        assert esb.gateway.end() == 0
        assert not esb.agent.workers
        assert [call.result() for call in calls] == [503, 503, 503]
        gate.let_go(3)
    assert len(esb.agent.started) == 1


def test_the_requests_trace_is_in_the_lines_of_its_cold_start(esb: Stack) -> None:
    """Who looks for a trace finds the start of the worker that it caused."""
    esb.agent.handlers["f"] = lambda _call: "fine"
    esb.serve(f={})
    answer = esb.gateway.invoke("f")
    root = re.findall(r"Root=([^;]+)", answer.headers["x-amzn-trace-id"])[0]
    assert esb.agent.start_metadata["x-amzn-trace-id"] == f"Root={root}"
    assert esb.agent.start_metadata["x-amzn-requestid"] == answer.headers["x-amzn-requestid"]
    eventually(lambda: esb.gateway.log(trace_id=root, message="worker started"), "the line is there")


def _send_invocation(port: int, name: str) -> socket.socket:
    """Send an invocation and return its connection without reading the answer."""
    connection = socket.create_connection(("127.0.0.1", port))
    head = f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"
    connection.sendall(head.encode() + b"{}")
    return connection


def _refuses(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0
