"""Every function answers a ping."""

from collections.abc import Callable

import pytest
import requests

QUIET_FUNCTIONS = (
    "lambda-connectivity",
    "lambda-dynamo",
    "lambda-echo",
    "lambda-image",
    "lambda-integration",
    "lambda-probe",
    "lambda-proxy",
    "lambda-s3",
    "lambda-scheduled",
)


@pytest.mark.parametrize("function", QUIET_FUNCTIONS)
def test_function_answers_a_ping(invoke: Callable[..., requests.Response], function: str) -> None:
    """A ping is answered with `pong` and does nothing else."""
    answer = invoke(function, {"ping": True})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"statusCode": 200, "body": "pong"}
