"""What a gateway tells of its requests to a client of the real process: traces, ids, logs and metrics."""

import json
import re

import pytest

from tests.services.gateway_support import Stack
from tests.waiting import eventually

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
TRACE = f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=0"


def test_a_trace_header_is_carried_on_logged_and_returned(esb: Stack) -> None:
    """A given trace goes to the function and back unchanged, and its root is in the request's log lines."""
    answer = esb.gateway.post("/echo", headers={"x-amzn-trace-id": TRACE})
    call = esb.agent.calls[0]
    assert answer.headers["x-amzn-trace-id"] == TRACE
    assert call.headers["x-amzn-trace-id"] == TRACE
    assert call.event["headers"]["x-amzn-trace-id"] == TRACE
    assert eventually(lambda: esb.gateway.log(trace_id=ROOT, path="/echo", status=200), "the log line")


@pytest.mark.parametrize("given", [None, "nonsense", "Root=1-xyz;Sampled=1", f"Root={ROOT}\x7f"])
def test_a_missing_or_garbled_trace_is_made(esb: Stack, given: str | None) -> None:
    """Without a usable trace the gateway makes one, a new one for each request."""
    headers = {"x-amzn-trace-id": given} if given else {}
    made = [esb.gateway.post("/echo", headers=headers).headers["x-amzn-trace-id"] for _ in range(2)]
    assert all(
        re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=1", m) for m in made
    )
    assert made[0] != made[1]


def test_a_trace_with_only_a_root_keeps_it(esb: Stack) -> None:
    """Missing parts are added to a given root."""
    answer = esb.gateway.post("/echo", headers={"x-amzn-trace-id": f"Root={ROOT}"})
    assert answer.headers["x-amzn-trace-id"].startswith(f"Root={ROOT};Parent=")


def test_each_request_has_an_id_of_its_own(esb: Stack) -> None:
    """The id is new even if the client sends one, and the function gets the one that the client sees."""
    first = esb.gateway.post("/echo", headers={"x-amzn-requestid": "mine"}).headers["x-amzn-requestid"]
    second = esb.gateway.post("/echo").headers["x-amzn-requestid"]
    assert len({first, second, "mine"}) == 3
    assert [call.headers["x-amzn-requestid"] for call in esb.agent.calls] == [first, second]


def test_each_request_has_one_access_log_line(esb: Stack) -> None:
    """The line tells method, path without query, status, duration and function."""
    request_id = esb.gateway.get("/items/7?secret=1").headers["x-amzn-requestid"]
    lines = eventually(
        lambda: [r for r in esb.gateway.log(request_id=request_id) if "duration_ms" in r], "the access log"
    )
    assert len(lines) == 1
    expected = {"method": "GET", "path": "/items/7", "status": 200, "function": "echo", "service": "gateway"}
    assert expected.items() <= lines[0].items()
    assert "secret" not in json.dumps(lines[0])


def test_prometheus_metrics_need_no_token(esb: Stack) -> None:
    """Requests, durations and pools are there for a scraper."""
    esb.gateway.post("/echo")
    answer = esb.gateway.get("/metrics", headers={"authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert re.search(
        r'esb_gateway_requests_total\{function="echo",method="POST",status="200"\} [1-9]', answer.text
    )
    assert 'esb_gateway_pool_workers{function="echo",state="idle"} 1.0' in answer.text


def test_pool_metrics_have_the_figures_of_each_function(esb: Stack) -> None:
    """Every function of the config is listed, busy or not."""
    esb.gateway.post("/echo")
    body = esb.gateway.get("/metrics/pools").json()
    assert body["collected_at"]
    expected = {
        "function_name": "echo",
        "total_workers": 1,
        "idle": 1,
        "busy": 0,
        "provisioning": 0,
        "max_capacity": 4,
        "min_capacity": 0,
        "acquire_timeout": 10.0,
    }
    assert [expected.items() <= pool.items() for pool in body["pools"]] == [True]


def test_container_metrics_list_workers_and_those_that_could_not_be_measured(esb: Stack) -> None:
    """A worker without figures is a failure with its reason, not a failed request."""
    esb.gateway.post("/echo")
    worker = esb.agent.calls[0].worker
    body = esb.gateway.get("/metrics/containers").json()
    assert body["failures"] == []
    (figures,) = body["containers"]
    assert (figures["function_name"], figures["container_id"]) == ("echo", worker.id)
    assert (figures["state"], figures["memory_current"], figures["memory_max"]) == (
        "RUNNING",
        1 << 20,
        128 << 20,
    )
    assert figures["cpu_usage_ns"] == 5
    worker.image = "unmeasurable"
    body = esb.gateway.get("/metrics/containers").json()
    worker.image = "echo:1"
    assert body["containers"] == []
    failure = {"function_name": "echo", "container_id": worker.id, "error": "no figures"}
    assert body["failures"] == [failure]
