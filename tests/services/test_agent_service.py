"""The agent's service itself: who may call it, what it refuses, what it reports, how it starts and stops."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from esb_services.agent.v1 import agent_pb2 as pb
from esb_services.agent.v1 import agent_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.services.agent_support import (
    INVOKE_PATH,
    OWNER,
    Agent,
    AgentSetup,
    make_certificates,
    worker_request,
)
from tests.services.service_process import PATIENCE, free_port, running


@pytest.fixture
def setup(tmp_path: Path) -> AgentSetup:
    """A folder for agents."""
    return AgentSetup(tmp_path)


@pytest.fixture
def agent(setup: AgentSetup) -> Iterator[Agent]:
    """A running agent."""
    with setup.agent() as agent:
        yield agent
        agent.service.terminate()


def code_of(error: pytest.ExceptionInfo[grpc.RpcError]) -> grpc.StatusCode:
    """Return the status code of a failed call."""
    assert isinstance(error.value, grpc.Call)
    return error.value.code()


@pytest.mark.parametrize(
    "call", ["DestroyContainer", "PauseContainer", "ResumeContainer", "GetContainerMetrics"]
)
def test_a_worker_is_touched_by_its_owner_only(agent: Agent, call: str) -> None:
    """A foreign owner is refused, blank arguments are invalid, and the worker is as before."""
    worker = agent.start()
    method = getattr(agent.stub, call)
    for request, expected in (
        (worker_request(worker, "somebody-else"), grpc.StatusCode.PERMISSION_DENIED),
        (pb.ContainerRequest(container_id=" ", owner_id=OWNER), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.ContainerRequest(container_id=worker.id), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as error:
            method(request, timeout=PATIENCE)
        assert code_of(error) is expected
    assert agent.listed() == {worker.id: "RUNNING"}


@pytest.mark.parametrize("call", ["PauseContainer", "ResumeContainer", "GetContainerMetrics"])
def test_an_unknown_worker_is_not_found(agent: Agent, call: str) -> None:
    """Only destroying an unknown worker succeeds."""
    request = pb.ContainerRequest(container_id="unknown", owner_id=OWNER)
    with pytest.raises(grpc.RpcError) as error:
        getattr(agent.stub, call)(request, timeout=PATIENCE)
    assert code_of(error) is grpc.StatusCode.NOT_FOUND
    assert agent.stub.DestroyContainer(request, timeout=PATIENCE) == pb.Empty()


@pytest.mark.parametrize("field", ["function_name", "image", "owner_id"])
def test_a_start_with_a_blank_argument_is_invalid(agent: Agent, field: str) -> None:
    """Function, image and owner are required, and the message names what is missing."""
    request = pb.EnsureContainerRequest(function_name="f", image="i", owner_id="o")
    setattr(request, field, " ")
    with pytest.raises(grpc.RpcError) as error:
        agent.stub.EnsureContainer(request, timeout=PATIENCE)
    assert code_of(error) is grpc.StatusCode.INVALID_ARGUMENT
    assert f"{field} may not be blank" in str(error.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"container_id": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"owner_id": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"path": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"path": "no-slash"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"path": "/a b HTTP/1.1\r\nX: y"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"timeout_ms": 0}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"headers": {"x": "a\r\nb: c"}}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"headers": {"x": "漢"}}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"container_id": "unknown"}, grpc.StatusCode.NOT_FOUND),
        ({"owner_id": "somebody-else"}, grpc.StatusCode.PERMISSION_DENIED),
    ],
)
def test_a_wrong_invocation_is_refused(
    agent: Agent, change: dict[str, Any], expected: grpc.StatusCode
) -> None:
    """Each wrong argument has its status code, and the worker takes the next invocation."""
    worker = agent.start()
    arguments: dict[str, Any] = {
        "container_id": worker.id,
        "path": INVOKE_PATH,
        "timeout_ms": 5000,
        "owner_id": OWNER,
        **change,
    }
    request = pb.InvokeWorkerRequest(payload=b"{}", **arguments)
    with pytest.raises(grpc.RpcError) as error:
        agent.stub.InvokeWorker(request, timeout=PATIENCE)
    assert code_of(error) is expected
    assert agent.result(worker, {"a": 1})["length"] == 8


def test_the_list_shows_an_owners_workers_only(agent: Agent) -> None:
    """A list needs an owner, and shows its workers with names and times."""
    worker = agent.start()
    agent.start(owner="somebody-else")
    answer = agent.stub.ListContainers(pb.ListContainersRequest(owner_id=OWNER), timeout=PATIENCE)
    (state,) = answer.containers
    assert (state.container_id, state.container_name, state.function_name) == (worker.id, worker.name, "echo")
    assert 0 < state.created_at <= state.last_used_at
    with pytest.raises(grpc.RpcError) as error:
        agent.listed("")
    assert code_of(error) is grpc.StatusCode.INVALID_ARGUMENT


def test_the_engine_is_the_same_for_every_agent_of_a_host(setup: AgentSetup) -> None:
    """The id survives a restart of the agent."""
    answers = []
    for _ in range(2):
        with setup.agent() as agent:
            answers.append(agent.stub.GetEngine(pb.Empty(), timeout=PATIENCE))
            agent.service.terminate()
    assert answers[0] == answers[1]
    assert (answers[0].runtime, bool(answers[0].id)) == ("process", True)


def test_the_standard_health_service_answers(agent: Agent) -> None:
    """The whole server and the agent's service are serving."""
    stub = health_pb2_grpc.HealthStub(agent.channel)
    for name in ("", "esb.agent.v1.AgentService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("client", ["without a certificate", "of another authority", "without TLS"])
def test_a_client_without_a_trusted_certificate_is_refused(agent: Agent, client: str, tmp_path: Path) -> None:
    """Only certificates of the environment's authority may call."""
    target, trusted = f"127.0.0.1:{agent.grpc_port}", agent.setup.certificates
    other = make_certificates(tmp_path / "other")
    channels = {
        "without a certificate": lambda: grpc.secure_channel(
            target, grpc.ssl_channel_credentials(trusted.ca)
        ),
        "of another authority": lambda: grpc.secure_channel(
            target, grpc.ssl_channel_credentials(trusted.ca, other.key, other.certificate)
        ),
        "without TLS": lambda: grpc.insecure_channel(target),
    }
    with channels[client]() as channel:
        stub: Any = agent_pb2_grpc.AgentServiceStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as error:
            stub.GetEngine(pb.Empty(), timeout=PATIENCE)
    assert code_of(error) is grpc.StatusCode.UNAVAILABLE


def test_prometheus_metrics_count_starts_workers_and_invocations(agent: Agent) -> None:
    """The metrics port shows Prometheus text, and nothing else but health."""
    worker = agent.start()
    agent.invoke(worker, {})
    url = f"http://127.0.0.1:{agent.metrics_port}"
    answer = requests.get(f"{url}/metrics", timeout=PATIENCE)
    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        'esb_agent_workers{function="echo",status="RUNNING"} 1.0',
        'esb_agent_worker_starts_total{function="echo",result="started"} 1.0',
        'esb_agent_invocations_total{code="OK",function="echo"} 1.0',
    ):
        assert line in answer.text
    assert requests.get(f"{url}/other", timeout=PATIENCE).status_code == 404


def test_every_line_of_an_invocation_carries_its_trace_and_request_ids(agent: Agent) -> None:
    """Agent and function write the same ids, the trace as the Root part of the header."""
    worker = agent.start()
    agent.invoke(
        worker,
        {"action": "raise"},
        x_amzn_trace_id="Root=1-abc-def;Sampled=1",
        x_amzn_requestid="request-7",
    )
    agent_lines = [record for record in agent.service.records() if record.get("trace_id") == "1-abc-def"]
    assert [(line["message"], line["request_id"]) for line in agent_lines] == [("invoked", "request-7")]
    (line,) = agent.log_of(worker)
    assert (line["service"], line["worker"], line["trace_id"]) == ("function", worker.name, "1-abc-def")
    assert (line["request_id"], line["message"]) == ("request-7", "ValueError: boom")


@pytest.mark.parametrize("taken", ["AGENT_GRPC_PORT", "AGENT_METRICS_PORT"])
def test_a_taken_port_ends_the_agent_with_its_own_status(setup: AgentSetup, taken: str) -> None:
    """Whoever started it learns from exit status 98, and from one line, that the address is in use."""
    with socket.create_server(("127.0.0.1", 0)) as blocker:
        port = blocker.getsockname()[1]
        variables = {**setup.variables(free_port(), free_port()), taken: str(port)}
        with running("esb_services.agent", variables, setup.folder / "out.log") as service:
            assert service.wait() == 98
    (record,) = service.records()
    assert record["level"] == "ERROR"
    assert f"127.0.0.1:{port} is already in use" in record["message"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("AGENT_CERT_FILE", None, "is not set; expected the path of a file that exists"),
        ("AGENT_CA_FILE", "/nowhere/ca.pem", "is '/nowhere/ca.pem'; expected the path of a file that exists"),
        ("AGENT_GRPC_PORT", "many", "is 'many'; expected a whole number from 1 to 65535"),
        ("AGENT_METRICS_PORT", "70000", "is '70000'; expected a whole number from 1 to 65535"),
        ("AGENT_RUNTIME", "vm", "is 'vm'; expected one of process"),
        ("BIND_ADDRESS", "192.0.2.1", "is '192.0.2.1'; expected an address of this machine"),
        ("ESB_PROJECT", " ", "is ' '; expected the compose project's name"),
        ("LOG_LEVEL", "LOUD", "is 'LOUD'; expected one of DEBUG, INFO, WARNING, ERROR"),
    ],
)
def test_a_wrong_variable_is_one_line_that_names_it(
    setup: AgentSetup, name: str, value: str | None, expected: str
) -> None:
    """The agent ends with status 2 before it does anything."""
    given = {**setup.variables(free_port(), free_port()), name: value}
    variables = {key: text for key, text in given.items() if text is not None}
    with running("esb_services.agent", variables, setup.folder / "out.log") as service:
        assert service.wait() == 2
    (record,) = service.records()
    assert record["message"].startswith(f"environment variable {name} {expected}")


def test_a_broken_certificate_is_one_line_that_names_its_files(setup: AgentSetup) -> None:
    """A file that is no certificate ends the agent with status 2, without a traceback."""
    (setup.certificates.folder / "agent.pem").write_text("no certificate")
    variables = setup.variables(free_port(), free_port())
    with running("esb_services.agent", variables, setup.folder / "out.log") as service:
        assert service.wait() == 2
    assert "AGENT_CERT_FILE" in service.messages()
