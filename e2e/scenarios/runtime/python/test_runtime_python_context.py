"""What a Python function knows about itself and its surroundings."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import requests

from esb_e2e_plugin.environment import Environment


@pytest.fixture
def probe(esb_gateway: requests.Session) -> Callable[..., Any]:
    """`probe(action, …)`: what `lambda-probe` answers."""

    def ask(action: str, **request: Any) -> Any:
        answer = esb_gateway.post("/api/probe", json={"action": action, **request})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def test_context_describes_the_function(probe: Callable[..., Any]) -> None:
    """The context carries name, version, memory limit and ARN of the function, and the time that is left."""
    context = probe("context")
    assert context["function_name"] == "lambda-probe"
    assert context["function_version"] == "$LATEST"
    assert int(context["memory_limit_in_mb"]) == 256
    assert context["invoked_function_arn"].startswith("arn:aws:lambda:")
    assert context["invoked_function_arn"].endswith(":function:lambda-probe")
    assert 0 < context["remaining_ms"] <= 10_000


def test_context_has_the_request_id_of_the_response(esb_gateway: requests.Session) -> None:
    """What a function logs as its request id is what its caller was told."""
    answer = esb_gateway.post("/api/probe", json={"action": "context"})
    assert answer.json()["aws_request_id"] == answer.headers["x-amzn-RequestId"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TABLE_NAME", "e2e-test-table"),
        ("PROBE_TEXT", "a value with spaces, ünïcode and = signs"),
        ("PROBE_NUMBER", "042"),
        ("AWS_LAMBDA_FUNCTION_NAME", "lambda-probe"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("_HANDLER", "app.handler"),
    ],
)
def test_environment_is_what_the_template_says(probe: Callable[..., Any], name: str, value: str) -> None:
    """Variables of the template and of AWS Lambda reach the function to the letter."""
    assert probe("environment", names=[name])["environment"] == {name: value}


def test_the_last_layer_lies_above_the_others(probe: Callable[..., Any]) -> None:
    """What only the lower one has is found there, and what both have is that of the upper one."""
    assert probe("layers")["layers"] == ["base", "top"]


def test_trace_header_is_in_the_environment(probe: Callable[..., Any]) -> None:
    """The trace is where AWS's own tools look for it."""
    found = probe("environment", names=["_X_AMZN_TRACE_ID"])["environment"]["_X_AMZN_TRACE_ID"]
    assert found.startswith("Root=1-")


def test_secrets_of_the_platform_stay_outside(
    probe: Callable[..., Any], esb_environment: Environment
) -> None:
    """A function is not told what the gateway needs to know."""
    names = ["JWT_SECRET_KEY", "AUTH_USER", "AUTH_PASS", "X_API_KEY", "TLS_KEY_FILE", "AGENT_KEY_FILE"]
    assert probe("environment", names=names)["environment"] == dict.fromkeys(names)
    assert esb_environment.credentials.jwt_secret_key not in str(probe("environment", names=["PATH", "HOME"]))


def test_module_state_lives_as_long_as_its_worker(probe: Callable[..., Any]) -> None:
    """What a module keeps outlives an invocation: of four calls to at most three workers, two meet."""
    seen = defaultdict[str, list[int]](list)
    for _ in range(4):
        state = probe("state")
        seen[state["worker"]].append(state["calls"])
    assert max(len(calls) for calls in seen.values()) > 1
    assert all(calls == sorted(set(calls)) for calls in seen.values())
