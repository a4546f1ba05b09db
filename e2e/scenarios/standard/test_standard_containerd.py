"""Where functions run: as tasks of the environment's own containerd, and nowhere else."""

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import docker
import pytest
import requests

from esb_e2e_plugin.environment import Environment

pytestmark = pytest.mark.esb_mode("containerd")

LABELS = "com.esb"
OF_ECHO = re.compile(r"-lambda-echo-[0-9a-f]{8}$")


class Node:
    """The service that has the containerd."""

    def __init__(self, engine: docker.DockerClient, project: str) -> None:
        """Find its container."""
        self.project = project
        labels = [f"{LABELS}.project={project}", "com.docker.compose.service=runtime-node"]
        (self._container,) = engine.containers.list(filters={"label": labels})

    def run(self, *command: str) -> str:
        """Return what a command in it writes."""
        code, output = self._container.exec_run(list(command))
        assert isinstance(output, bytes)
        assert code == 0, (command, output)
        return output.decode()

    def ctr(self, *arguments: str) -> str:
        """Return what containerd's own command line writes about the environment's namespace."""
        return self.run("ctr", "--namespace", self.project, *arguments)

    def labels_of(self, worker: str) -> dict[str, str]:
        """Return the labels of a worker."""
        labels: dict[str, str] = json.loads(self.ctr("containers", "info", worker))["Labels"]
        return labels


@pytest.fixture
def node(engine: docker.DockerClient, esb_environment: Environment) -> Node:
    """The service that has the containerd."""
    return Node(engine, esb_environment.project)


def test_functions_are_tasks_with_addresses_of_the_environments_own_subnet(
    node: Node,
    engine: docker.DockerClient,
    esb_environment: Environment,
    invoke: Callable[..., requests.Response],
    eventually: Callable[..., Any],
) -> None:
    """A worker is a running task in the environment's namespace; the engine knows of no function."""
    subnet = IPv4Network(node.run("printenv", "CNI_SUBNET").strip())

    def labels() -> dict[str, str]:
        assert invoke("lambda-echo", {"ping": True}).status_code == 200
        tasks = [line.split() for line in node.ctr("tasks", "ls").splitlines()[1:]]
        running = [name for name, _, status in tasks if status == "RUNNING" and OF_ECHO.search(name)]
        assert running, tasks
        return node.labels_of(running[0])

    found = eventually(labels)
    assert found[f"{LABELS}.project"] == found[f"{LABELS}.owner"] == esb_environment.project
    assert found[f"{LABELS}.function"] == "lambda-echo"
    assert IPv4Address(found[f"{LABELS}.address"]) in subnet
    engines_own = [
        IPv4Network(config["Subnet"])
        for network in engine.networks.list()
        for config in (network.attrs["IPAM"] or {}).get("Config") or ()
        if ":" not in config["Subnet"]
    ]
    assert not [other for other in engines_own if other.overlaps(subnet)]
    functions = [f"{LABELS}.project={esb_environment.project}", f"{LABELS}.kind=function"]
    assert engine.containers.list(all=True, filters={"label": functions}) == []


def test_functions_reach_the_environment_through_address_translation(node: Node) -> None:
    """What leaves the functions' subnet does so by an address of the node, and may come back."""
    subnet = node.run("printenv", "CNI_SUBNET").strip()
    rules = node.run("iptables", "-t", "nat", "-S", "POSTROUTING").splitlines()
    assert [rule for rule in rules if f"-s {subnet}" in rule and rule.endswith("-j MASQUERADE")]
    forwarded = node.run("iptables", "-S", "FORWARD").splitlines()
    assert [rule for rule in forwarded if rule.endswith("-j ACCEPT")], forwarded


def test_the_functions_gateway_keeps_its_hardware_address(node: Node) -> None:
    """Their bridge has one of its own: with a worker's, the others would lose it when that one ends."""
    worker = IPv4Network(node.run("printenv", "CNI_SUBNET").strip())[2]
    route = node.run("ip", "-json", "route", "get", str(worker))
    bridge = f"/sys/class/net/{json.loads(route)[0]['dev']}"
    set_by_hand = "3"
    assert node.run("cat", f"{bridge}/addr_assign_type").strip() == set_by_hand


def test_images_come_from_the_registry(
    node: Node, invoke: Callable[..., requests.Response], eventually: Callable[..., Any]
) -> None:
    """The images that workers run from are known by the name of the shared registry."""

    def pulled() -> None:
        assert invoke("lambda-echo", {"ping": True}).status_code == 200
        names = node.ctr("images", "ls", "--quiet").split()
        assert [name for name in names if name.startswith("registry:5010/esb-lambda-echo:")], names

    eventually(pulled)
