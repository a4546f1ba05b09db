"""Functions that die, hang or never start: the caller learns what happened, and the next call works."""

from collections.abc import Callable

import requests

TakeTurn = Callable[[str], None]
Workers = Callable[[str], set[str]]


def _faulty(gateway: requests.Session, **request: object) -> requests.Response:
    return gateway.post("/api/faulty", json=request)


def test_crash_is_a_bad_gateway_and_the_next_call_works(
    esb_gateway: requests.Session, take_turn: TakeTurn, workers: Workers
) -> None:
    """A worker that dies is a 502; another worker serves the next call."""
    take_turn("lambda-chaos")
    before = workers("lambda-chaos")
    crashed = _faulty(esb_gateway, action="crash")
    assert crashed.status_code == 502
    assert crashed.json()["message"]
    assert _faulty(esb_gateway, action="hello").json()["message"] == "hello"
    assert before
    assert not before & workers("lambda-chaos")


def test_timeout_is_a_gateway_timeout_and_destroys_the_worker(
    esb_gateway: requests.Session, take_turn: TakeTurn, workers: Workers
) -> None:
    """An invocation over its time is a 504; its worker is never used again."""
    take_turn("lambda-chaos")
    before = workers("lambda-chaos")
    late = _faulty(esb_gateway, action="delay", seconds=60)
    assert late.status_code == 504
    assert late.json()["message"]
    assert _faulty(esb_gateway, action="hello").json()["message"] == "hello"
    assert before
    assert not before & workers("lambda-chaos")


def test_slow_is_not_late(esb_gateway: requests.Session, take_turn: TakeTurn) -> None:
    """An invocation that takes its time, but not more than it has, answers."""
    take_turn("lambda-chaos")
    answer = _faulty(esb_gateway, action="delay", seconds=0.2)
    assert (answer.status_code, answer.json()["seconds"]) == (200, 0.2)


def test_function_that_cannot_start_says_why(esb_gateway: requests.Session) -> None:
    """A function whose module fails to load is a 503 with the module's own error."""
    answer = esb_gateway.post("/api/broken", json={})
    assert answer.status_code == 503
    assert "the module that was left out of the package" in answer.json()["message"]
