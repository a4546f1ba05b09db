"""Each way in which a Python function can fail, as its caller sees it."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

TakeTurn = Callable[[str], None]
Workers = Callable[[str], set[str]]


def _function_error(client: "LambdaClient", **event: object) -> dict[str, Any]:
    answer = client.invoke(FunctionName="lambda-errors", Payload=json.dumps(event))
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    error: dict[str, Any] = json.loads(answer["Payload"].read())
    return error


def test_exception_has_type_message_and_stack(esb_lambda: "LambdaClient", take_turn: TakeTurn) -> None:
    """An exception that a handler lets out is reported in AWS's shape, with the handler's own lines."""
    take_turn("lambda-errors")
    error = _function_error(esb_lambda, action="raise", text="exactly this")
    assert (error["errorType"], error["errorMessage"]) == ("ProbeError", "exactly this")
    assert "app.py" in error["stackTrace"][-1]
    assert "_raise" in error["stackTrace"][-1]


def test_answer_that_is_not_json_is_a_marshal_error(esb_lambda: "LambdaClient", take_turn: TakeTurn) -> None:
    """A handler must return what JSON can say."""
    take_turn("lambda-errors")
    error = _function_error(esb_lambda, action="not_json")
    assert error["errorType"] == "Runtime.MarshalError"
    assert "not JSON serializable" in error["errorMessage"]


def test_missing_key_in_the_event_is_the_functions_error(
    esb_lambda: "LambdaClient", take_turn: TakeTurn
) -> None:
    """An event that the handler cannot work with fails the invocation, not the worker."""
    take_turn("lambda-errors")
    assert _function_error(esb_lambda)["errorType"] == "KeyError"


def test_exception_keeps_the_worker(
    esb_lambda: "LambdaClient",
    take_turn: TakeTurn,
    workers: Workers,
) -> None:
    """A function error is no reason to throw a worker away."""
    take_turn("lambda-errors")
    before = workers("lambda-errors")
    _function_error(esb_lambda, action="raise")
    assert workers("lambda-errors") == before


@pytest.mark.parametrize("action", ["raise", "not_json"])
def test_function_error_on_a_route_is_a_bad_gateway(
    esb_gateway: requests.Session, take_turn: TakeTurn, action: str
) -> None:
    """On a route a function error is a 502 that keeps the stack to itself."""
    take_turn("lambda-errors")
    answer = esb_gateway.post("/api/errors", json={"action": action})
    assert answer.status_code == 502
    assert answer.json()["message"]
    assert "stackTrace" not in answer.text


@pytest.mark.parametrize("status", [0, 3])
def test_exit_is_a_bad_gateway_and_the_next_call_works(
    esb_gateway: requests.Session, take_turn: TakeTurn, workers: Workers, status: int
) -> None:
    """A handler that ends its process answers nothing, whatever the exit status; a new worker takes over."""
    take_turn("lambda-errors")
    before = workers("lambda-errors")
    answer = esb_gateway.post("/api/errors", json={"action": "exit", "status": status})
    assert answer.status_code == 502
    assert esb_gateway.post("/api/errors", json={"action": "state"}).json()["calls"] == 1
    assert not before & workers("lambda-errors")


@pytest.mark.parametrize(
    ("event", "status"),
    [({"action": "sleep", "seconds": 60}, 504), ({"action": "exit"}, 502)],
    ids=["timeout", "exit"],
)
def test_direct_invocation_that_gets_no_answer(
    invoke: Callable[..., requests.Response],
    take_turn: TakeTurn,
    workers: Workers,
    event: dict[str, Any],
    status: int,
) -> None:
    """Where no answer comes the Invoke API has the same statuses as a route, and the worker is gone."""
    take_turn("lambda-errors")
    before = workers("lambda-errors")
    answer = invoke("lambda-errors", event)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert invoke("lambda-errors", {"ping": True}).status_code == 200
    assert not before & workers("lambda-errors")


def test_memory_beyond_the_limit_ends_the_worker(
    esb_gateway: requests.Session, take_turn: TakeTurn, workers: Workers
) -> None:
    """A function that takes more than its memory is stopped; within the limit it is left alone."""
    take_turn("lambda-memory")
    assert esb_gateway.post("/api/memory", json={"action": "allocate", "mib": 8}).status_code == 200
    before = workers("lambda-memory")
    greedy = {"action": "allocate", "mib": 400, "hold_seconds": 8}
    answer = esb_gateway.post("/api/memory", json=greedy)
    assert answer.status_code == 502
    assert answer.json()["message"]
    assert esb_gateway.post("/api/memory", json={"action": "state"}).status_code == 200
    assert not before & workers("lambda-memory")
