"""Functions that call functions, waiting for them or not."""

import json

import requests

from esb_e2e_plugin.fixtures.logs import EnvironmentLogs


def test_chain_waits_for_the_childs_answer(esb_gateway: requests.Session, trace_id: str) -> None:
    """A synchronous call returns the child's whole response."""
    request = {"next_target": "lambda-echo", "message": "down the line"}
    answer = esb_gateway.post("/api/lambda", json=request)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["success"], body["trace_id"]) == (True, trace_id)
    assert body["child"]["statusCode"] == 200
    assert json.loads(body["child"]["body"])["message"] == "Echo: down the line"


def test_chain_default_message(esb_gateway: requests.Session) -> None:
    """A caller that says nothing sends `from-chain`."""
    child = esb_gateway.post("/api/lambda", json={"next_target": "lambda-echo"}).json()["child"]
    assert json.loads(child["body"])["message"] == "Echo: from-chain"


def test_chain_does_not_wait_for_an_asynchronous_child(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """An asynchronous call returns at once, and the child runs in the same trace."""
    request = {"next_target": "lambda-echo", "async": True, "message": "meanwhile"}
    answer = esb_gateway.post("/api/lambda", json=request)
    assert answer.status_code == 200, answer.text
    assert answer.json()["child"] == {"status": "async-started", "status_code": 202}
    esb_logs.wait_for(
        trace_id=trace_id, service="function", function="lambda-echo", contains="meanwhile", timeout=20
    )


def test_chain_of_three(esb_gateway: requests.Session, trace_id: str) -> None:
    """A function's child may have a child of its own; one trace spans them all."""
    request = {"action": "chain_invoke", "target": "lambda-integration"}
    answer = esb_gateway.post("/api/connectivity/python", json=request)
    assert answer.status_code == 200, answer.text
    middle = json.loads(answer.json()["child"]["body"])
    assert middle["trace_id"] == trace_id
    assert json.loads(middle["child"]["body"])["message"] == "Echo: from-chain"


def test_chain_to_an_unknown_function_fails_in_the_caller(esb_gateway: requests.Session) -> None:
    """A child that does not exist is an error that the caller sees and reports."""
    answer = esb_gateway.post("/api/lambda", json={"next_target": "no-such-function"})
    assert answer.status_code == 500
    assert answer.json()["success"] is False
    assert "ResourceNotFoundException" in answer.json()["error"]
