"""One trace id from the client to the last function's log line, one request id for each request."""

import re

import requests

from esb_e2e_plugin.fixtures.logs import EnvironmentLogs


def test_trace_of_the_client_is_returned(esb_gateway: requests.Session, trace_id: str) -> None:
    """A trace id that a client brings comes back with the response."""
    answer = esb_gateway.post("/api/echo", json={})
    assert f"Root={trace_id}" in answer.headers["X-Amzn-Trace-Id"]


def test_trace_is_made_where_the_client_brings_none(
    anonymous: requests.Session, esb_gateway_url: str, esb_token: str
) -> None:
    """Without one from the client, each request gets a trace of its own."""
    url, bearer = f"{esb_gateway_url}/api/echo", {"Authorization": f"Bearer {esb_token}"}
    headers = [anonymous.post(url, json={}, headers=bearer, timeout=30).headers for _ in range(2)]
    roots = [re.findall(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})", entry["X-Amzn-Trace-Id"]) for entry in headers]
    assert all(len(found) == 1 for found in roots)
    assert roots[0] != roots[1]


def test_request_id_is_new_for_each_request(esb_gateway: requests.Session) -> None:
    """Two requests of one trace have two request ids."""
    ids = {esb_gateway.post("/api/echo", json={}).headers["x-amzn-RequestId"] for _ in range(3)}
    assert len(ids) == 3


def test_logs_of_all_services_share_the_trace(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """By its trace id a request is found in the logs of gateway, agent and function, in full."""
    esb_gateway.post("/api/echo", json={"message": "find me"})
    gateway = esb_logs.wait_for(trace_id=trace_id, service="gateway")
    agent = esb_logs.wait_for(trace_id=trace_id, service="agent")
    function = esb_logs.wait_for(
        trace_id=trace_id, service="function", function="lambda-echo", contains="find me"
    )
    for record in (*gateway, *agent, *function):
        assert record["trace_id"] == trace_id
        assert record["timestamp"]
        assert record["level"]
        assert record["message"]
    assert {record["service"] for record in function} == {"function"}
    assert all(record["worker"] for record in function)


def test_echo_logs_one_line_of_each_level(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """A function's levels survive on their way into the log."""
    esb_gateway.post("/api/echo", json={"message": "levels"})
    records = esb_logs.wait_for(
        count=2, trace_id=trace_id, service="function", function="lambda-echo", contains="echo "
    )
    assert sorted(record["level"] for record in records) == ["DEBUG", "INFO"]


def test_logs_carry_the_request_id(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """The request id of a response leads to that request's lines, and to no other's."""
    answers = [esb_gateway.post("/api/echo", json={"message": f"request {index}"}) for index in range(2)]
    for index, answer in enumerate(answers):
        records = esb_logs.wait_for(
            trace_id=trace_id,
            service="function",
            function="lambda-echo",
            contains=f"echo answers: request {index}",
        )
        assert [record["request_id"] for record in records] == [answer.headers["x-amzn-RequestId"]]


def test_trace_is_carried_through_a_chain(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """An SDK call made inside a function takes the trace along."""
    esb_gateway.post("/api/lambda", json={"next_target": "lambda-echo", "message": "along"})
    esb_logs.wait_for(
        trace_id=trace_id, service="function", function="lambda-integration", contains="invoking lambda-echo"
    )
    esb_logs.wait_for(trace_id=trace_id, service="function", function="lambda-echo", contains="along")


def test_log_of_a_trace_is_no_one_elses(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """What another test's functions write is not among this test's records."""
    esb_gateway.post("/api/echo", json={"message": "mine"})
    esb_logs.wait_for(trace_id=trace_id, service="function", function="lambda-echo", contains="mine")
    assert {record["trace_id"] for record in esb_logs.records(trace_id=trace_id)} == {trace_id}
