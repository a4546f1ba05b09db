"""What is particular to the failures of Java functions; test_runtime_faults.py has what they share."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

pytestmark = pytest.mark.usefixtures("java")

TakeTurn = Callable[[str], None]
Workers = Callable[[str], set[str]]


def _function_error(client: "LambdaClient", **event: object) -> dict[str, Any]:
    answer = client.invoke(FunctionName="lambda-errors-java", Payload=json.dumps(event))
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    error: dict[str, Any] = json.loads(answer["Payload"].read())
    return error


def test_java_exception_has_type_message_and_stack(esb_lambda: "LambdaClient", take_turn: TakeTurn) -> None:
    """An exception that a handler lets out is reported with its class and the handler's own lines."""
    take_turn("lambda-errors-java")
    error = _function_error(esb_lambda, action="raise", text="exactly this")
    assert error["errorType"] == "esb.probe.Handler$ProbeException"
    assert error["errorMessage"] == "exactly this"
    assert error["stackTrace"][-1].startswith("esb.probe.Handler.handleRequest(Handler.java:")


def test_java_exception_keeps_the_worker(
    esb_lambda: "LambdaClient", take_turn: TakeTurn, workers: Workers
) -> None:
    """A function error is no reason to throw a worker away."""
    take_turn("lambda-errors-java")
    before = workers("lambda-errors-java")
    _function_error(esb_lambda, action="raise")
    assert workers("lambda-errors-java") == before


def test_java_error_of_the_virtual_machine_is_answered_and_ends_the_worker(
    esb_lambda: "LambdaClient",
    take_turn: TakeTurn,
    workers: Workers,
    eventually: Callable[..., Any],
) -> None:
    """A full stack is reported like any error; the official client then starts over, in a new worker."""
    take_turn("lambda-errors-java")
    before = workers("lambda-errors-java")
    assert _function_error(esb_lambda, action="overflow")["errorType"] == "java.lang.StackOverflowError"

    def replaced() -> None:
        assert not before & workers("lambda-errors-java")

    eventually(replaced)


def test_java_memory_within_the_limit_is_left_alone(
    esb_lambda: "LambdaClient", take_turn: TakeTurn, workers: Workers
) -> None:
    """Garbage of many times the limit is collected, not punished."""
    take_turn("lambda-memory-java")
    before = workers("lambda-memory-java")
    for _ in range(20):
        event = json.dumps({"action": "allocate", "mib": 32})
        answer = esb_lambda.invoke(FunctionName="lambda-memory-java", Payload=event)
        assert "FunctionError" not in answer
    assert workers("lambda-memory-java") == before
