"""What becomes of workers when containerd, the agent or the node is killed: real kills."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.engine.agent_containerd_support import (
    NAME,
    ContainerdSetup,
    Node,
    assert_nothing_is_left,
    first_pull,
    running_node,
)
from tests.engine.agent_docker_support import build_worker_image
from tests.engine.images import node_image_reference
from tests.services.agent_support import worker_request
from tests.services.service_process import PATIENCE
from tests.waiting import eventually

pytestmark = pytest.mark.engine

SUBNET = "10.231.78.0/26"
CRASHES = 3


@pytest.fixture
def node() -> Iterator[Node]:
    """A node whose registry is empty."""
    with running_node(SUBNET) as node:
        yield node


def kill_containerd(node: Node) -> None:
    """Kill containerd, and wait until another one runs or the node has ended."""
    before = node.execute("pidof", "containerd")[1]
    node.execute("sh", "-c", "kill -9 $(pidof containerd)")

    def replaced() -> bool:
        node.container.reload()
        if node.container.status != "running":
            return True
        # it may end between the two questions
        with contextlib.suppress(docker.errors.APIError):
            code, said = node.execute("pidof", "containerd")
            return code == 0 and said != before
        return False

    eventually(replaced, "containerd is started again")


def test_workers_outlive_the_crash_of_containerd_and_of_the_agent(
    node: Node, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A worker serves on, new ones start, and the next agent takes all of them over and can remove them."""
    image = build_worker_image(tmp_path_factory.mktemp("worker-image"))
    node.push(image, NAME)
    setup = ContainerdSetup(tmp_path, node, NAME)
    with setup.agent() as agent:
        first_pull(agent)
        worker = agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
        pid = agent.result(worker, {})["pid"]
        kill_containerd(node)
        assert agent.result(worker, {})["pid"] == pid
        eventually(lambda: node.execute("ctr", "version")[0] == 0, "containerd answers again")
        second = agent.start()
        again = "it is started again, and its tasks go on"
        eventually(lambda: any(again in message for message in node.messages()), "the node says what it did")
        node.ctr("tasks", "kill", "--signal", "SIGKILL", second.id)
        eventually(lambda: agent.listed()[second.id] == "EXITED", "the end is noticed by the new containerd")
        agent.service.kill()  # type: ignore[attr-defined]
    with setup.agent() as agent:
        assert agent.listed()[worker.id] == "RUNNING"
        eventually(lambda: agent.listed()[second.id] == "EXITED", "the end is known")
        assert agent.result(worker, {})["pid"] == pid
        usage = agent.stub.GetContainerMetrics(worker_request(worker), timeout=PATIENCE)
        assert usage.memory_max == 256 * 1024 * 1024
        third = agent.start()
        assert third.ip_address not in (worker.ip_address, second.ip_address)
        agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
        assert worker.id not in node.quiet("containers")
        assert agent.service.terminate() == 0
    assert_nothing_is_left(node)


def test_containerd_that_keeps_crashing_ends_the_node_with_that_cause(node: Node) -> None:
    """The environment fails with the reason instead of limping on; the host keeps nothing of the node."""
    identity = str(node.container.id)
    for _ in range(CRASHES - 1):
        kill_containerd(node)
    # the last one ends the node, and with it the command that does this
    with contextlib.suppress(docker.errors.APIError):
        node.execute("sh", "-c", "kill -9 $(pidof containerd)")
    assert node.container.wait(timeout=PATIENCE)["StatusCode"] == 1
    assert "containerd ended with status -9, 3 times within 30 s" in node.messages()[-1]
    node.container.remove(v=True)
    assert identity not in Path("/proc/mounts").read_text()
    assert list(Path("/sys/fs/cgroup").glob(f"*/docker/{identity}")) == []


def test_a_node_that_is_told_to_stop_ends_at_once(node: Node) -> None:
    """SIGTERM is no failure."""
    node.container.kill("SIGTERM")
    assert node.container.wait(timeout=PATIENCE)["StatusCode"] == 0


def test_a_node_without_privileges_says_what_is_missing_in_one_line() -> None:
    """It ends before containerd is started, and names capabilities and control groups."""
    client = docker.from_env()
    container = client.containers.create(
        node_image_reference(), environment={"CNI_SUBNET": SUBNET}, init=True
    )
    try:
        container.start()
        assert container.wait(timeout=PATIENCE)["StatusCode"] == 3
        (line,) = container.logs().decode().splitlines()
    finally:
        container.remove(force=True)
        client.close()
    said = json.loads(line)
    assert (said["level"], said["service"]) == ("ERROR", "runtime-node")
    assert said["message"].startswith(
        "this host cannot run containerd: the capability CAP_NET_ADMIN is missing;"
    )
    assert "cgroup controllers" in said["message"]
