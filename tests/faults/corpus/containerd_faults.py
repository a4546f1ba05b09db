"""Faults of environments whose functions are tasks of a containerd in one of their containers."""

from collections.abc import Callable
from typing import Any

import yaml

from esb_e2e_plugin.failure import Kind
from tests.engine.platform_project import SMOKE, Containerd
from tests.faults.corpus.fault import Corpus

CONTAINERD = Corpus()
COMPOSE_FILE = "e2e/environments/e2e-containerd/docker-compose.yml"
HEALTH = ("--esb-test-target", f"{SMOKE}/test_smoke_health.py")

KILLS_NODE = """
import subprocess

def test_kills_the_node(esb_environment):
    subprocess.run(["docker", "kill", f"{esb_environment.project}-runtime-node-1"], check=True)
"""


def change(project: Containerd, service: str, how: Callable[[dict[str, Any]], object]) -> None:
    """Change a service of the compose file."""
    path = project.root / COMPOSE_FILE
    document = yaml.safe_load(path.read_text())
    how(document["services"][service])
    path.write_text(yaml.safe_dump(document))


@CONTAINERD.fault(
    "a host that cannot run a containerd",
    "compose",
    Kind.ENGINE,
    "runtime-node",
    cause="runtime-node exited with status 3: this host cannot run containerd: ",
    remedy="privileged, cap_add",
    options=HEALTH,
)
def _(project: Containerd) -> None:
    change(project, "runtime-node", lambda node: node.update(privileged=False))


@CONTAINERD.fault(
    "an agent that is told to start functions elsewhere",
    "compose",
    Kind.USER_INPUT,
    "agent",
    cause="environment variable AGENT_NETWORK is ",
    remedy="correct AGENT_NETWORK: env_vars in the matrix, or the env file",
    options=HEALTH,
)
def _(project: Containerd) -> None:
    change(project, "agent", lambda agent: agent["environment"].update(AGENT_RUNTIME="docker"))


@CONTAINERD.fault(
    "a node that is killed under the tests",
    "test",
    Kind.PLATFORM,
    "runtime-node",
    cause="runtime-node exited with status 137",
    remedy="its last lines",
    options=("--esb-test-target", f"{SMOKE}/test_smoke_kills.py"),
)
def _(project: Containerd) -> None:
    project.write(f"{SMOKE}/test_smoke_kills.py", KILLS_NODE)
