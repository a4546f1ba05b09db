"""After three failures in a row a function's circuit opens; one good call closes it again."""

from collections.abc import Callable
from typing import Any

import requests

TakeTurn = Callable[[str], None]

THRESHOLD = 3


def _breaker(gateway: requests.Session, action: str) -> requests.Response:
    return gateway.post("/api/breaker", json={"action": action})


def _is_open(answer: requests.Response) -> bool:
    return answer.status_code == 502 and "Circuit is open" in answer.json()["message"]


def _open(gateway: requests.Session) -> None:
    for _ in range(THRESHOLD):
        answer = _breaker(gateway, "crash")
        assert answer.status_code == 502
        assert not _is_open(answer)
    assert _is_open(_breaker(gateway, "hello"))


def test_circuit_opens_and_recovers(
    esb_gateway: requests.Session, take_turn: TakeTurn, eventually: Callable[..., Any]
) -> None:
    """An open circuit answers without a worker; after the recovery time a good call closes it."""
    take_turn("lambda-breaker")
    _open(esb_gateway)

    def closed() -> None:
        assert _breaker(esb_gateway, "hello").status_code == 200

    eventually(closed, timeout=20)
    assert _breaker(esb_gateway, "hello").status_code == 200


def test_failed_trial_opens_the_circuit_again(
    esb_gateway: requests.Session, take_turn: TakeTurn, eventually: Callable[..., Any]
) -> None:
    """After the recovery time one failure is enough to open the circuit again."""
    take_turn("lambda-breaker")
    _open(esb_gateway)

    def trial() -> None:
        assert not _is_open(_breaker(esb_gateway, "crash"))

    eventually(trial, timeout=20)
    assert _is_open(_breaker(esb_gateway, "hello"))


def test_success_between_failures_keeps_the_circuit_closed(
    esb_gateway: requests.Session, take_turn: TakeTurn
) -> None:
    """Only failures in a row count."""
    take_turn("lambda-breaker")
    for action in ("crash", "crash", "hello", "crash", "crash"):
        _breaker(esb_gateway, action)
    assert _breaker(esb_gateway, "hello").status_code == 200
