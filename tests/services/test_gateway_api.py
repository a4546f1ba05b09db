"""The gateway's own endpoints and routed requests, seen by a client of the real process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.gateway_support import Call, Stack, stack


@pytest.fixture
def esb(tmp_path: Path) -> Iterator[Stack]:
    """A gateway, not started yet, beside its fake agent."""
    with stack(tmp_path) as esb:
        yield esb


def test_a_routed_request_reaches_the_function_as_a_proxy_event(esb: Stack) -> None:
    """The function gets method, path, headers, query, body and user; the client gets its answer."""

    def echo(call: Call) -> dict[str, object]:
        return {"statusCode": 201, "headers": {"X-Own": "1"}, "body": call.event["body"]}

    esb.agent.handlers["echo"] = echo
    esb.serve(echo={})
    answer = esb.gateway.post("/echo?a=1&a=2", data="hällo".encode())
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (201, "hällo", "1")
    event = esb.agent.calls[0].event
    assert event["httpMethod"] == "POST"
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert event["requestContext"]["authorizer"]["cognito:username"] == "tester"
