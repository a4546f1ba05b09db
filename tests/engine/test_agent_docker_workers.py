"""The docker runtime, seen through the agent's gRPC API: real containers, real kills."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from esb_services.agent.v1 import agent_pb2 as pb

from tests.engine.agent_docker_support import (
    DockerSetup,
    begin_sleep,
    build_worker_image,
    docker_setup,
    is_worker_name,
    messages_of,
    output_of,
)
from tests.services.agent_support import OWNER, Agent, worker_request
from tests.services.service_process import PATIENCE
from tests.waiting import eventually

pytestmark = pytest.mark.engine

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of the workers."""
    return build_worker_image(tmp_path_factory.mktemp("worker-image"))


@pytest.fixture
def setup(tmp_path: Path, image: str) -> Iterator[DockerSetup]:
    """A project on the engine."""
    with docker_setup(tmp_path, image) as setup:
        yield setup


@pytest.fixture
def agent(setup: DockerSetup) -> Iterator[Agent]:
    """A running agent; stopped, it leaves no container."""
    with setup.agent() as agent:
        yield agent
        assert agent.service.terminate() == 0
    eventually(lambda: not setup.containers(), "no container is left")


def failure(error: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[grpc.StatusCode, str]:
    """Return status code and message of a failed call."""
    assert isinstance(error.value, grpc.Call)
    return error.value.code(), error.value.details() or ""


def test_a_started_worker_is_a_labelled_container_on_the_network(agent: Agent, setup: DockerSetup) -> None:
    """Name, labels, address and memory limit follow the contract, and the handler answers."""
    worker = agent.start("My_Function", AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
    assert is_worker_name(worker.name, setup.project, "my-function")
    found = setup.container(worker.id)
    network = found.attrs["NetworkSettings"]["Networks"][setup.environment["AGENT_NETWORK"]]
    assert (worker.ip_address, worker.port) == (network["IPAddress"], 8080)
    assert found.name == worker.name
    assert {name: value for name, value in found.labels.items() if name.startswith("com.esb.")} == {
        "com.esb.managed": "true",
        "com.esb.project": setup.project,
        "com.esb.env": "e2e-docker",
        "com.esb.run": "run-1",
        "com.esb.kind": "function",
        "com.esb.function": "My_Function",
        "com.esb.owner": OWNER,
    }
    assert found.attrs["HostConfig"]["Memory"] == found.attrs["HostConfig"]["MemorySwap"] == 256 * MIB
    first, second = agent.result(worker, {"a": 1}), agent.result(worker, {"a": 12})
    assert (first["length"], second["length"]) == (8, 9)
    assert first["pid"] == second["pid"]


def test_log_lines_of_a_worker_carry_its_name_and_its_requests_ids(agent: Agent, setup: DockerSetup) -> None:
    """The engine keeps JSON lines that name function, worker, request and trace."""
    worker = agent.start("talker")
    agent.invoke(
        worker,
        {"action": "sleep", "seconds": 0},
        x_amzn_trace_id="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        x_amzn_requestid="request-1",
    )
    container = setup.container(worker.id)
    # The engine takes a line in some time after the function has answered.
    eventually(lambda: "asleep" in messages_of(container), "the engine has the line")
    lines = map(json.loads, output_of(container).splitlines())
    line = next(line for line in lines if line["message"] == "asleep")
    assert (line["service"], line["function"], line["worker"]) == ("function", "talker", worker.name)
    assert (line["request_id"], line["trace_id"]) == (
        "request-1",
        "1-5759e988-bd862e3fe1be46a994272793",
    )


def test_a_function_sees_the_requests_variables_and_none_of_the_agent(setup: DockerSetup) -> None:
    """Nothing of the agent's environment reaches a container, not even the mark of processes."""
    setup.environment |= {"AGENT_SECRET": "hidden", "ESB_PROCESS_MARK": "run-1"}
    with setup.agent() as agent:
        seen = agent.result(agent.start(TABLE_NAME="t", AWS_REGION="eu-1"), {"action": "environ"})
        agent.service.terminate()
    lambdas = {name for name in seen if name.startswith(("AWS_", "LAMBDA_"))}
    assert seen.keys() - lambdas <= {
        "PATH", "HOME", "HOSTNAME", "TABLE_NAME", "_HANDLER", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE",
        "LC_CTYPE",
    }  # fmt: skip
    assert (seen["TABLE_NAME"], seen["AWS_REGION"], seen["AWS_LAMBDA_FUNCTION_NAME"]) == ("t", "eu-1", "echo")


def test_several_workers_start_at_the_same_time(agent: Agent) -> None:
    """Starts do not wait for each other, and every worker has an address of its own."""
    request = pb.EnsureContainerRequest(function_name="echo", image=agent.setup.image, owner_id=OWNER)
    calls = [agent.stub.EnsureContainer.future(request, timeout=PATIENCE) for _ in range(4)]
    workers = [call.result() for call in calls]
    assert len({worker.ip_address for worker in workers}) == 4
    assert [agent.result(worker, {})["length"] for worker in workers] == [2] * 4


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"_HANDLER": "missing.handler"}, "No module named 'missing'"),
        ({"_HANDLER": "app.missing"}, "missing"),
    ],
)
def test_a_function_that_cannot_be_initialised_fails_with_its_own_lines(
    agent: Agent, setup: DockerSetup, variables: dict[str, str], expected: str
) -> None:
    """The start fails as soon as the container exits, the message says why, and nothing is left."""
    with pytest.raises(grpc.RpcError) as error:
        agent.start(**variables)
    code, message = failure(error)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "exited with status 1 before it was ready" in message.splitlines()[0]
    assert expected in message.splitlines()[0]
    assert agent.listed() == {}
    assert setup.containers() == []


@pytest.mark.parametrize(
    ("image_name", "memory", "expected"),
    [
        ("esb-test-worker:unknown", "128", "No such image: esb-test-worker:unknown"),
        (None, "1", "Minimum memory limit"),
        (None, "much", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE is 'much'"),
    ],
)
def test_what_the_engine_refuses_is_a_failed_start(
    agent: Agent, setup: DockerSetup, image_name: str | None, memory: str, expected: str
) -> None:
    """The engine's own reason reaches the caller, and no container is left."""
    with pytest.raises(grpc.RpcError) as error:
        agent.start(image=image_name, AWS_LAMBDA_FUNCTION_MEMORY_SIZE=memory)
    code, message = failure(error)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert expected in message
    assert setup.containers() == []


def test_a_crash_during_an_invocation_is_unavailable_with_its_cause(agent: Agent, setup: DockerSetup) -> None:
    """The caller learns the exit status, later calls too, and the container stays until it is destroyed."""
    worker = agent.start()
    for event in ({"action": "exit"}, {}):
        with pytest.raises(grpc.RpcError) as error:
            agent.invoke(worker, event)
        assert failure(error) == (grpc.StatusCode.UNAVAILABLE, f"worker {worker.name} exited with status 3")
    assert agent.listed() == {worker.id: "EXITED"}
    container, cause = setup.container(worker.id), "exited with status 3 during an invocation"
    eventually(lambda: cause in "".join(messages_of(container)[-1:]), "the engine has the last line")
    agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
    assert setup.containers() == []


@pytest.mark.parametrize(
    ("how", "expected"), [("kill", "exited with status 137 (SIGKILL)"), ("remove", "SIGKILL")]
)
def test_a_worker_that_somebody_kills_or_removes_ends_its_invocation(
    agent: Agent, setup: DockerSetup, how: str, expected: str
) -> None:
    """The call in flight ends with the signal's name."""
    worker = agent.start()
    call = begin_sleep(agent, worker, setup)
    container = setup.container(worker.id)
    if how == "kill":
        container.kill()
    else:
        container.remove(force=True)
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert expected in call.details()
    assert agent.listed() == {worker.id: "EXITED"}
    agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.listed() == {}


def test_an_idle_worker_that_dies_is_listed_as_exited(agent: Agent, setup: DockerSetup) -> None:
    """The agent notices a death without being asked to use the worker, and says so."""
    worker = agent.start()
    setup.container(worker.id).kill()
    eventually(lambda: agent.listed() == {worker.id: "EXITED"}, "the worker is listed as exited")
    assert f"worker {worker.name} exited with status 137 (SIGKILL)" in agent.service.messages()
    metrics = agent.stub.GetContainerMetrics(worker_request(worker), timeout=PATIENCE)
    assert (metrics.state, metrics.memory_current, metrics.cpu_usage_ns) == ("EXITED", 0, 0)


def test_a_worker_beyond_its_memory_limit_is_killed(agent: Agent) -> None:
    """The kernel's kill is told as what it is."""
    worker = agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="64")
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {"action": "allocate", "mib": 300})
    assert failure(error) == (
        grpc.StatusCode.UNAVAILABLE,
        f"worker {worker.name} exceeded its memory limit of 64 MiB and was killed",
    )
    assert agent.listed() == {worker.id: "EXITED"}


def test_a_function_that_exceeds_its_memory_while_it_is_imported_fails_to_start(agent: Agent) -> None:
    """A kill for memory before the worker is ready names the limit, too."""
    with pytest.raises(grpc.RpcError) as error:
        agent.start(_HANDLER="greedy.handler", AWS_LAMBDA_FUNCTION_MEMORY_SIZE="64")
    code, message = failure(error)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "exceeded its memory limit of 64 MiB and was killed before it was ready" in message


def test_an_invocation_that_takes_too_long_exceeds_its_deadline(agent: Agent, setup: DockerSetup) -> None:
    """The call ends with DEADLINE_EXCEEDED; the worker stays busy until it is destroyed."""
    worker = agent.start()
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {"action": "sleep", "seconds": 600}, timeout_ms=1500)
    assert failure(error) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        f"worker {worker.name} did not answer within 1.5 s",
    )
    assert agent.invoke(worker, {}).status_code == 429
    agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
    assert setup.containers() == []


def test_metrics_tell_what_a_worker_uses(agent: Agent) -> None:
    """Memory, its limit, processor time and state of a container are measured, also when it is paused."""
    worker = agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
    unlimited = agent.start()
    agent.result(worker, {})
    for state in ("RUNNING", "PAUSED"):
        metrics = agent.stub.GetContainerMetrics(worker_request(worker), timeout=PATIENCE)
        assert (metrics.function_name, metrics.container_name, metrics.state) == ("echo", worker.name, state)
        assert 1 * MIB < metrics.memory_current < metrics.memory_max == 256 * MIB
        assert metrics.cpu_usage_ns > 0
        agent.stub.PauseContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.stub.GetContainerMetrics(worker_request(unlimited), timeout=PATIENCE).memory_max == 0


def test_a_paused_worker_is_frozen_until_it_is_resumed(agent: Agent, setup: DockerSetup) -> None:
    """The engine freezes the container, it is not invoked meanwhile, and both calls may be repeated."""
    worker = agent.start()
    for _ in range(2):
        agent.stub.PauseContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.listed() == {worker.id: "PAUSED"}
    assert setup.container(worker.id).status == "paused"
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {})
    assert failure(error) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        f"worker {worker.name} is paused; resume it first",
    )
    for _ in range(2):
        agent.stub.ResumeContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.listed() == {worker.id: "RUNNING"}
    assert agent.result(worker, {"a": 1})["length"] == 8


def test_a_paused_worker_can_be_destroyed_and_an_ended_one_not_paused(
    agent: Agent, setup: DockerSetup
) -> None:
    """Removal does not wait for a frozen container; a dead one says why it cannot be paused."""
    frozen, dead = agent.start(), agent.start()
    agent.stub.PauseContainer(worker_request(frozen), timeout=PATIENCE)
    agent.stub.DestroyContainer(worker_request(frozen), timeout=PATIENCE)
    setup.container(dead.id).kill()
    eventually(lambda: agent.listed() == {dead.id: "EXITED"}, "the worker is listed as exited")
    with pytest.raises(grpc.RpcError) as error:
        agent.stub.PauseContainer(worker_request(dead), timeout=PATIENCE)
    assert failure(error) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        f"worker {dead.name} exited with status 137 (SIGKILL)",
    )


def test_large_payloads_pass_and_larger_answers_are_refused(agent: Agent) -> None:
    """6 MiB in and 10 MiB out are fine; one byte more is RESOURCE_EXHAUSTED."""
    worker = agent.start()
    assert agent.result(worker, {"padding": "x" * 6 * MIB})["length"] > 6 * MIB
    assert len(agent.invoke(worker, {"action": "bytes", "size": 10 * MIB}).body) == 10 * MIB
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {"action": "bytes", "size": 10 * MIB + 1})
    assert failure(error)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_start_that_its_caller_gives_up_leaves_no_container(agent: Agent, setup: DockerSetup) -> None:
    """Cancelling EnsureContainer removes the container, before and after its process runs."""

    def begin() -> Any:
        request = pb.EnsureContainerRequest(
            function_name="slow", image=setup.image, owner_id=OWNER, env={"_HANDLER": "slow.handler"}
        )
        return agent.stub.EnsureContainer.future(request, timeout=PATIENCE)

    call = begin()
    eventually(setup.containers, "the container is created")
    call.cancel()
    eventually(lambda: not setup.containers(), "the container is gone")
    call = begin()
    eventually(
        lambda: any("importing" in messages_of(found) for found in setup.containers()), "the function loads"
    )
    call.cancel()
    eventually(lambda: not setup.containers(), "the container is gone")
    assert agent.listed() == {}


def test_a_restarted_agent_adopts_the_workers_of_a_killed_one(setup: DockerSetup) -> None:
    """Workers outlive a SIGKILL of their agent; the next one lists, invokes and resumes them by their ids."""
    with setup.agent() as agent:
        running = agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
        paused, dead, foreign = agent.start(), agent.start(), agent.start(owner="somebody-else")
        agent.stub.PauseContainer(worker_request(paused), timeout=PATIENCE)
        created = {
            found.container_id: found.created_at
            for found in agent.stub.ListContainers(pb.ListContainersRequest(owner_id=OWNER)).containers
        }
        agent.service.process.kill()
        agent.service.wait()
    setup.container(dead.id).kill()
    with setup.agent() as agent:
        assert agent.listed() == {running.id: "RUNNING", paused.id: "PAUSED", dead.id: "EXITED"}
        assert agent.listed("somebody-else") == {foreign.id: "RUNNING"}
        listed = agent.stub.ListContainers(pb.ListContainersRequest(owner_id=OWNER)).containers
        for found in listed:
            assert int(created[found.container_id]) <= found.created_at + 1 <= time.time() + 1
            assert found.function_name == "echo"
        assert agent.result(running, {"a": 1})["length"] == 8
        metrics = agent.stub.GetContainerMetrics(worker_request(running), timeout=PATIENCE)
        assert metrics.memory_max == 256 * MIB
        with pytest.raises(grpc.RpcError) as error:
            agent.invoke(dead, {})
        assert "exited with status 137 (SIGKILL)" in failure(error)[1]
        agent.stub.ResumeContainer(worker_request(paused), timeout=PATIENCE)
        assert agent.result(paused, {"a": 1})["length"] == 8
        assert agent.service.terminate() == 0
    eventually(lambda: not setup.containers(), "no container is left")


def test_an_agent_leaves_the_workers_of_other_projects_alone(
    setup: DockerSetup, image: str, tmp_path: Path
) -> None:
    """What carries another project's label is neither listed nor removed with the agent."""
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    with docker_setup(other_folder, image) as other, other.agent() as other_agent:
        worker = other_agent.start()
        with setup.agent() as agent:
            assert agent.listed() == {}
            agent.service.terminate()
        assert other_agent.result(worker, {"a": 1})["length"] == 8
        other_agent.service.terminate()


def test_an_agent_that_is_told_to_stop_removes_its_workers(setup: DockerSetup) -> None:
    """SIGTERM ends an agent with status 0; calls in flight, starts and containers end with it."""
    with setup.agent() as agent:
        call = begin_sleep(agent, agent.start(), setup)
        agent.start()
        request = pb.EnsureContainerRequest(
            function_name="slow", image=setup.image, owner_id=OWNER, env={"_HANDLER": "slow.handler"}
        )
        start = agent.stub.EnsureContainer.future(request, timeout=PATIENCE)
        eventually(lambda: len(setup.containers()) == 3, "the third worker is created")
        assert agent.service.terminate() == 0
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert not start.done() or start.code() is not grpc.StatusCode.OK
    eventually(lambda: not setup.containers(), "no container is left")
