"""What a Java function knows about itself and its surroundings."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import requests

from esb_e2e_plugin.environment import Environment

pytestmark = pytest.mark.usefixtures("java")


@pytest.fixture
def probe(esb_gateway: requests.Session) -> Callable[..., Any]:
    """`probe(action, …)`: what `lambda-probe-java` answers."""

    def ask(action: str, **request: Any) -> Any:
        answer = esb_gateway.post("/api/probe-java", json={"action": action, **request})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def test_java_context_describes_the_function(probe: Callable[..., Any]) -> None:
    """The context carries name, version, memory limit and ARN of the function, and the time that is left."""
    context = probe("context")
    assert context["function_name"] == "lambda-probe-java"
    assert context["function_version"] == "$LATEST"
    assert context["memory_limit_in_mb"] == 256
    assert context["invoked_function_arn"].startswith("arn:aws:lambda:")
    assert context["invoked_function_arn"].endswith(":function:lambda-probe-java")
    assert 0 < context["remaining_ms"] <= 10_000


def test_java_context_has_the_ids_of_the_response(esb_gateway: requests.Session, trace_id: str) -> None:
    """Request id and trace of a function are what its caller was told."""
    answer = esb_gateway.post("/api/probe-java", json={"action": "context"})
    assert answer.json()["aws_request_id"] == answer.headers["x-amzn-RequestId"]
    assert f"Root={trace_id}" in answer.json()["trace_header"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TABLE_NAME", "e2e-test-table"),
        ("PROBE_TEXT", "a value with spaces, ünïcode and = signs"),
        ("PROBE_NUMBER", "042"),
        ("AWS_LAMBDA_FUNCTION_NAME", "lambda-probe-java"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("_HANDLER", "esb.probe.Handler"),
    ],
)
def test_java_environment_is_what_the_template_says(probe: Callable[..., Any], name: str, value: str) -> None:
    """Variables of the template and of AWS Lambda reach the function to the letter."""
    assert probe("environment", names=[name])["environment"] == {name: value}


def test_java_execution_environment_is_named(probe: Callable[..., Any]) -> None:
    """A library that asks where it runs is told the language and its version."""
    name = "AWS_EXECUTION_ENV"
    assert probe("environment", names=[name])["environment"][name].startswith("AWS_Lambda_java")


def test_java_function_is_not_told_the_platforms_secrets(
    probe: Callable[..., Any], esb_environment: Environment
) -> None:
    """A function is not told what the gateway needs to know."""
    names = ["JWT_SECRET_KEY", "AUTH_USER", "AUTH_PASS", "X_API_KEY", "TLS_KEY_FILE", "AGENT_KEY_FILE"]
    found = probe("environment", names=[*names, "PATH"])["environment"]
    assert [found.get(name) for name in names] == [None] * len(names)
    assert esb_environment.credentials.jwt_secret_key not in str(found)


def test_java_class_state_lives_as_long_as_its_worker(probe: Callable[..., Any]) -> None:
    """What a class keeps outlives an invocation: of four calls to at most three workers, two meet."""
    seen = defaultdict[str, list[int]](list)
    for _ in range(4):
        state = probe("state")
        seen[state["worker"]].append(state["calls"])
    assert max(len(calls) for calls in seen.values()) > 1
    assert all(calls == sorted(set(calls)) for calls in seen.values())
