"""The containerd runtime, seen through the agent's gRPC API: real tasks, real kills."""

import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from esb_services.agent.v1 import agent_pb2 as pb

from tests.engine.agent_containerd_support import (
    NAME,
    REGISTRY,
    ContainerdSetup,
    Node,
    assert_nothing_is_left,
    first_pull,
    running_node,
)
from tests.engine.agent_docker_support import build_worker_image, is_worker_name
from tests.services.agent_support import OWNER, Agent, worker_request
from tests.services.service_process import PATIENCE
from tests.waiting import eventually

pytestmark = pytest.mark.engine

MIB = 1024 * 1024
SUBNET = "10.231.77.0/26"
RESOLVE = (
    "import socket, urllib.request;"
    f"print(urllib.request.urlopen('http://{REGISTRY}/v2/', timeout=10).status, socket.gethostname(),"
    " socket.gethostbyname(socket.gethostname()))"
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of the workers, in the engine."""
    return build_worker_image(tmp_path_factory.mktemp("worker-image"))


@pytest.fixture(scope="module")
def node(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose registry has the image of the workers, which an agent has pulled once."""
    with running_node(SUBNET) as node:
        node.push(image, NAME)
        with ContainerdSetup(tmp_path_factory.mktemp("first-agent"), node, NAME).agent() as agent:
            first_pull(agent)
            assert agent.service.terminate() == 0
        yield node


@pytest.fixture
def setup(tmp_path: Path, node: Node) -> ContainerdSetup:
    """What an agent on the node needs."""
    return ContainerdSetup(tmp_path, node, NAME)


@pytest.fixture
def agent(setup: ContainerdSetup, node: Node) -> Iterator[Agent]:
    """A running agent; stopped, it leaves nothing of its workers."""
    with setup.agent() as agent:
        yield agent
        assert agent.service.terminate() == 0
    assert_nothing_is_left(node)


def failure(error: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[grpc.StatusCode, str]:
    """Return status code and message of a failed call."""
    assert isinstance(error.value, grpc.Call)
    return error.value.code(), error.value.details() or ""


def begin_sleep(agent: Agent, worker: pb.WorkerInfo) -> Any:
    """Invoke a worker with an event that it sleeps on, and return the call once it does."""
    call = agent.begin(worker, {"action": "sleep", "seconds": 600})
    eventually(lambda: "asleep" in agent.service.messages(), "the function sleeps")
    return call


def test_a_started_worker_is_a_labelled_task_in_the_workers_subnet(agent: Agent, node: Node) -> None:
    """Name, labels, address and memory limit follow the contract, and the engine has no such container."""
    worker = agent.start("My_Function", AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
    assert is_worker_name(worker.name, node.project, "my-function")
    assert worker.id == worker.name
    assert ipaddress.ip_address(worker.ip_address) in ipaddress.ip_network(SUBNET)
    assert node.quiet("tasks") == [worker.id]
    found = json.loads(node.ctr("containers", "info", worker.id))
    assert found["Labels"] == {
        "com.esb.managed": "true",
        "com.esb.project": node.project,
        "com.esb.env": "e2e-containerd",
        "com.esb.run": "run-1",
        "com.esb.kind": "function",
        "com.esb.function": "My_Function",
        "com.esb.owner": OWNER,
        "com.esb.address": worker.ip_address,
    }
    assert found["Spec"]["linux"]["resources"]["memory"]["limit"] == 256 * MIB
    first, second = agent.result(worker, {"a": 1}), agent.result(worker, {"a": 12})
    assert (first["length"], second["length"]) == (8, 9)
    assert first["pid"] == second["pid"]
    assert [
        one.name
        for one in node.client.containers.list(all=True, ignore_removed=True)
        if worker.name in str(one.name)
    ] == []
    engine = agent.stub.GetEngine(pb.Empty(), timeout=PATIENCE)
    assert (engine.runtime, engine.id in node.ctr("version")) == ("containerd", True)


def test_a_worker_resolves_and_reaches_what_its_environment_has(agent: Agent, node: Node) -> None:
    """Names of the engine's network are resolved, and reached through the node's address."""
    worker = agent.start()
    said = node.ctr("tasks", "exec", "--exec-id", "resolve", worker.id, "python3", "-c", RESOLVE).split()
    assert said == ["200", worker.name, worker.ip_address]
    rules = node.execute("iptables", "-t", "nat", "-S", "POSTROUTING")[1]
    assert f"-A POSTROUTING -s {SUBNET} ! -o esb0 -j MASQUERADE" in rules


def test_an_address_that_another_had_a_moment_ago_leads_to_its_new_worker(
    setup: ContainerdSetup, node: Node
) -> None:
    """The node still knows where the address was; it would send there until that is half a minute old."""
    with setup.agent() as agent:
        worker = agent.start()
        (route,) = json.loads(node.execute("ip", "-json", "route", "get", worker.ip_address)[1])
        agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
    gone = ("lladdr", "02:00:00:00:00:01", "nud", "reachable", "dev", route["dev"])
    with setup.agent() as agent:
        assert node.execute("ip", "neigh", "replace", worker.ip_address, *gone) == (0, "")
        heir = agent.start()
        assert heir.ip_address == worker.ip_address
        assert agent.result(heir, {})["pid"]


def test_lines_of_a_worker_are_on_the_agents_output(agent: Agent) -> None:
    """Each is passed on as it was written: with the function, the worker and the ids of its request."""
    worker = agent.start()
    begin_sleep(agent, worker)
    (line,) = (record for record in agent.service.records() if record["message"] == "asleep")
    assert (line["service"], line["function"], line["worker"]) == ("function", "echo", worker.name)
    assert "request_id" in line


def test_a_function_that_cannot_be_initialised_fails_with_its_own_lines(agent: Agent) -> None:
    """The error of a start tells what the function wrote."""
    with pytest.raises(grpc.RpcError) as error:
        agent.start("broken", _HANDLER="missing.handler")
    code, message = failure(error)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "before it was ready" in message
    assert "missing" in message


def test_a_crash_during_an_invocation_is_unavailable_with_its_cause(agent: Agent) -> None:
    """The exit status is told, and the worker is listed as exited."""
    worker = agent.start()
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {"action": "exit"})
    code, message = failure(error)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert f"worker {worker.name} exited with status 3" in message
    assert agent.listed() == {worker.id: "EXITED"}


def test_a_worker_that_somebody_kills_ends_its_invocation(agent: Agent, node: Node) -> None:
    """A task that is gone is noticed at once."""
    worker = agent.start()
    call = begin_sleep(agent, worker)
    node.ctr("tasks", "kill", "--signal", "SIGKILL", worker.id)
    with pytest.raises(grpc.RpcError) as error:
        call.result()
    code, message = failure(error)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "SIGKILL" in message


def test_a_worker_beyond_its_memory_limit_is_killed(agent: Agent) -> None:
    """The caller learns that it was the limit."""
    worker = agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128")
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {"action": "allocate", "mib": 300})
    code, message = failure(error)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "exceeded its memory limit of 128 MiB" in message


def test_a_worker_is_measured_frozen_resumed_and_destroyed_while_frozen(agent: Agent, node: Node) -> None:
    """Metrics are those of the task; a frozen worker takes no invocation, and dies all the same."""
    worker = agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
    usage = agent.stub.GetContainerMetrics(worker_request(worker), timeout=PATIENCE)
    assert (usage.state, usage.memory_max) == ("RUNNING", 256 * MIB)
    assert 5 * MIB < usage.memory_current < 256 * MIB
    assert usage.cpu_usage_ns > 0
    agent.stub.PauseContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.listed() == {worker.id: "PAUSED"}
    assert "PAUSED" in node.ctr("tasks", "ls")
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {})
    assert failure(error)[0] is grpc.StatusCode.FAILED_PRECONDITION
    agent.stub.ResumeContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.result(worker, {"a": 1})["length"] == 8
    agent.stub.PauseContainer(worker_request(worker), timeout=PATIENCE)
    agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
    assert (agent.listed(), node.quiet("containers")) == ({}, [])


def test_several_workers_start_at_the_same_time(agent: Agent) -> None:
    """Each has an address of its own."""
    request = pb.EnsureContainerRequest(function_name="echo", image=NAME, owner_id=OWNER)
    calls = [agent.stub.EnsureContainer.future(request, timeout=PATIENCE) for _ in range(4)]
    workers = [call.result() for call in calls]
    assert len({worker.ip_address for worker in workers}) == 4
    assert {agent.result(worker, {"a": 1})["length"] for worker in workers} == {8}


def test_a_start_that_its_caller_gives_up_leaves_nothing(agent: Agent, node: Node) -> None:
    """What was launched for a call that was cancelled is removed."""
    request = pb.EnsureContainerRequest(
        function_name="slow", image=NAME, owner_id=OWNER, env={"_HANDLER": "slow.handler"}
    )
    call = agent.stub.EnsureContainer.future(request, timeout=PATIENCE)
    eventually(lambda: "importing" in agent.service.messages(), "the worker imports its function")
    call.cancel()
    eventually(lambda: not node.quiet("containers"), "the container is removed")
    assert agent.listed() == {}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (
            "absent:1",
            f"image {REGISTRY}/absent:1 could not be pulled: manifest: the registry {REGISTRY} answered 404",
        ),
        (
            "elsewhere:5000/worker:1",
            "image elsewhere:5000/worker:1 could not be pulled: name: expected the name",
        ),
    ],
)
def test_an_image_that_cannot_be_had_is_named_with_the_step(
    agent: Agent, reference: str, expected: str
) -> None:
    """A caller learns which image failed, and where."""
    with pytest.raises(grpc.RpcError) as error:
        agent.start(image=reference)
    code, message = failure(error)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert message.startswith(expected)


def test_a_pulled_image_needs_no_registry_and_another_one_says_so(agent: Agent, node: Node) -> None:
    """A cached image is not asked for again; one that is not there fails with the registry's name."""
    agent.start()
    node.registry.stop(timeout=0)
    try:
        worker = agent.start()
        with pytest.raises(grpc.RpcError) as error:
            agent.start(image="absent:1")
    finally:
        node.registry.start()
    assert agent.result(worker, {"a": 1})["length"] == 8
    assert (
        f"image {REGISTRY}/absent:1 could not be pulled: manifest: the registry {REGISTRY} does not answer"
        in (failure(error)[1])
    )


def test_a_tag_that_moved_is_followed_where_that_is_asked_for(
    setup: ContainerdSetup, node: Node, image: str
) -> None:
    """With the pull policy `always`, a new worker runs what the tag stands for now."""
    commands = ["ENV MOVED=no", "ENV MOVED=yes"]
    setup.environment["AGENT_PULL_POLICY"] = "always"
    found = []
    with setup.agent() as agent:
        for number, command in enumerate(commands):
            local = f"{node.project}:moved-{number}"
            node.build(f"FROM {image}\n{command}\n", local)
            node.push(local, "moved:latest")
            node.client.images.remove(local)
            worker = agent.start(image="moved:latest")
            found.append(agent.result(worker, {"action": "environ"})["MOVED"])
    assert found == ["no", "yes"]
