"""The circuit breaker: its states, and what counts as a failure of a function."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from esb_services.gateway.breaker import CircuitBreaker

from tests.services.fake_agent import Call, Gate, Refusal, function_error
from tests.services.gateway_support import Stack, Together, stack
from tests.waiting import eventually


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at a standstill."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    """A breaker that opens at the third failure for ten seconds."""
    return CircuitBreaker(3, 10, clock)


def permit(breaker: CircuitBreaker) -> int:
    """Return a permit that must be given."""
    given = breaker.admit()
    assert given is not None
    return given


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(permit(breaker))


def test_consecutive_failures_open_the_circuit(breaker: CircuitBreaker) -> None:
    """At the threshold, not before, calls are refused."""
    fail(breaker, 2)
    assert breaker.state == "closed"
    fail(breaker, 1)
    assert (breaker.state, breaker.admit()) == ("open", None)


def test_a_success_starts_the_count_anew(breaker: CircuitBreaker) -> None:
    """Only failures in a row open the circuit."""
    for _ in range(3):
        fail(breaker, 2)
        breaker.succeeded(permit(breaker))
    assert breaker.state == "closed"


def test_after_the_recovery_time_one_trial_is_let_through(breaker: CircuitBreaker, clock: Clock) -> None:
    """While the trial is in flight all others are refused; its success closes the circuit."""
    fail(breaker, 3)
    clock.now += 9.9
    assert breaker.admit() is None
    clock.now += 0.1
    trial = permit(breaker)
    assert (breaker.state, breaker.admit()) == ("half_open", None)
    breaker.succeeded(trial)
    fail(breaker, 2)
    assert breaker.state == "closed"


def test_a_failed_trial_opens_the_circuit_for_another_period(breaker: CircuitBreaker, clock: Clock) -> None:
    """One failure is enough then."""
    fail(breaker, 3)
    clock.now += 10
    breaker.failed(permit(breaker))
    clock.now += 9.9
    assert breaker.admit() is None
    clock.now += 0.1
    assert breaker.admit() is not None


def test_an_abandoned_trial_is_given_to_the_next_caller(breaker: CircuitBreaker, clock: Clock) -> None:
    """A trial that never reached the function decides nothing and blocks nobody."""
    fail(breaker, 3)
    clock.now += 10
    breaker.abandoned(permit(breaker))
    breaker.succeeded(permit(breaker))
    assert breaker.state == "closed"


@pytest.mark.parametrize(
    "report", [CircuitBreaker.succeeded, CircuitBreaker.failed, CircuitBreaker.abandoned]
)
def test_a_late_answer_decides_nothing(
    breaker: CircuitBreaker, clock: Clock, report: Callable[[CircuitBreaker, int], None]
) -> None:
    """A call from before the circuit opened cannot close it, nor end or fail the trial."""
    late = permit(breaker)
    fail(breaker, 3)
    report(breaker, late)
    assert breaker.admit() is None
    clock.now += 10
    trial = permit(breaker)
    report(breaker, late)
    assert (breaker.state, breaker.admit()) == ("half_open", None)
    breaker.succeeded(trial)
    assert breaker.state == "closed"


def crash(_call: Call) -> None:
    raise Refusal(grpc.StatusCode.UNAVAILABLE, "exit status 1")


def time_out(_call: Call) -> None:
    raise Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")


def raise_error(_call: Call) -> Any:
    return function_error("ValueError", "bad")


@pytest.fixture
def esb(tmp_path: Path) -> Iterator[Stack]:
    """A gateway whose circuits open at the second failure."""
    with stack(tmp_path, CIRCUIT_BREAKER_THRESHOLD="2", CIRCUIT_BREAKER_RECOVERY_TIMEOUT="0.3") as esb:
        yield esb


@pytest.mark.parametrize("failure", [crash, time_out, raise_error])
def test_an_open_circuit_answers_without_a_worker(esb: Stack, failure: Callable[[Call], Any]) -> None:
    """Crashes, time-outs and function errors count; other functions are not affected."""
    esb.gateway.environ["CIRCUIT_BREAKER_RECOVERY_TIMEOUT"] = "60"
    esb.agent.handlers |= {"f": failure, "g": lambda _call: "fine"}
    esb.serve(f={}, g={})
    for _ in range(2):
        assert esb.gateway.post("/f").status_code in (502, 504)
    calls, started = len(esb.agent.calls), len(esb.agent.started)
    answer = esb.gateway.post("/f")
    assert (answer.status_code, answer.json()) == (502, {"message": "Circuit is open"})
    assert esb.gateway.invoke("f").status_code == 502
    assert (len(esb.agent.calls), len(esb.agent.started)) == (calls, started)
    assert esb.gateway.post("/g").status_code == 200


def test_a_circuit_recovers(esb: Stack) -> None:
    """When its time is over a good call closes the circuit, and one failure is forgiven again."""
    esb.agent.handlers["f"] = crash
    esb.serve(f={})
    assert [esb.gateway.post("/f").status_code for _ in range(2)] == [502] * 2
    esb.agent.handlers["f"] = lambda _call: "fine"
    eventually(lambda: esb.gateway.post("/f").status_code == 200, "the circuit closes")
    esb.agent.handlers["f"] = crash
    assert "crashed" in esb.gateway.post("/f").json()["message"]
    esb.agent.handlers["f"] = lambda _call: "fine"
    assert esb.gateway.post("/f").status_code == 200


def test_workers_that_cannot_be_started_open_the_circuit(esb: Stack) -> None:
    """A function that never comes up is not started again for each call."""

    def refuse(_request: Any) -> None:
        raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, "ImportError")

    esb.gateway.environ["CIRCUIT_BREAKER_RECOVERY_TIMEOUT"] = "60"
    esb.agent.before_start = refuse
    esb.serve(f={})
    assert [esb.gateway.post("/f").status_code for _ in range(3)] == [503, 503, 502]


def test_a_failing_response_of_a_healthy_function_is_no_failure(esb: Stack) -> None:
    """A 500 that the function itself answers does not open the circuit."""
    esb.agent.handlers["f"] = lambda _call: {"statusCode": 500, "body": "{}"}
    esb.serve(f={})
    assert [esb.gateway.post("/f").status_code for _ in range(4)] == [500] * 4


def test_a_full_pool_is_no_failure_of_the_function(esb: Stack) -> None:
    """429 does not open the circuit."""
    with Together() as together:
        gate = esb.agent.handlers["f"] = Gate()
        esb.serve(f={"scaling": {"max_capacity": 1, "acquire_timeout": 0.01}})
        first = together.go(lambda: esb.gateway.post("/f").status_code)
        eventually(lambda: gate.waiting, "the worker is busy")
        assert [esb.gateway.post("/f").status_code for _ in range(4)] == [429] * 4
        gate.let_go(2)
        assert first.result() == 200
    assert esb.gateway.post("/f").status_code == 200
