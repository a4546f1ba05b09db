"""An agent on a real containerd: a runtime-node, a registry and a network of a test's own."""

import contextlib
import io
import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import grpc
from esb_services.agent.v1 import agent_pb2 as pb

from artifactctl import base_images
from artifactctl.docker_engine import DockerEngine
from artifactctl.host_cache import HostCache
from esb_e2e_plugin.lifecycle.archive import archive_of
from tests.engine.images import build_commands, node_image_reference, services_image_reference
from tests.services.agent_support import LIMIT, OWNER, Agent, AgentSetup
from tests.services.service_process import PATIENCE
from tests.waiting import eventually

START_PATIENCE = 90.0
"""A first pull takes long on a busy machine."""
REGISTRY = "registry:5010"
NAME = "worker:latest"
"""The image of the workers in the registry."""
GRPC_PORT = 50051
METRICS_PORT = 9091
CERTIFICATES = {
    "AGENT_CERT_FILE": "agent.pem",
    "AGENT_KEY_FILE": "agent-key.pem",
    "AGENT_CA_FILE": "ca.pem",
}
_REGISTRY_FILE = "/tmp/registry.yml"  # noqa: S108 - in a container
_REGISTRY_CONFIG = (
    'version: 0.1\nstorage: {filesystem: {rootdirectory: /tmp/registry}}\nhttp: {addr: ":5010"}\n'
)


class Node:
    """A runtime-node and a registry on a network; everything carries the project's label.

    Args:
        client: the test's own way to the engine.
        subnet: of the workers.
    """

    def __init__(self, client: docker.DockerClient, subnet: str) -> None:
        self.client = client
        self.subnet = subnet
        self.project = f"esb-test-{secrets.token_hex(4)}"
        self.labels = {"com.esb.managed": "true", "com.esb.project": self.project}
        self._remove: contextlib.ExitStack = contextlib.ExitStack()

    def start(self) -> None:
        """Make network and volumes, and start registry and node."""
        self.network = self.client.networks.create(
            f"{self.project}-runtime", driver="bridge", labels=self.labels
        )
        self._remove.callback(self.network.remove)
        self.images, self.shared = (self._make_volume(name) for name in ("images", "node"))
        self._remove.callback(self._remove_containers)
        self.registry = self._start_registry()
        self.container = self._start_node()
        self._wait_healthy()

    def _wait_healthy(self) -> None:
        probe = ("python3", "-S", "-m", "esb_services.health_probe", "9092")
        deadline = time.monotonic() + START_PATIENCE
        while self.execute(*probe)[0] != 0:
            assert time.monotonic() < deadline, self.container.logs().decode()

    def remove(self) -> None:
        """Remove all that was made."""
        self._remove.close()

    def _make_volume(self, name: str) -> Any:
        volume = self.client.volumes.create(f"{self.project}-{name}", labels=self.labels)
        self._remove.callback(volume.remove)
        return volume

    def _remove_containers(self) -> None:
        for container in self.containers():
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)

    def _start_registry(self) -> Any:
        commands = build_commands()
        image = f"{base_images.REGISTRY}:latest"
        base_images.obtain(image, DockerEngine(commands), commands, HostCache(commands.environ))
        configure = f"printf '%s' '{_REGISTRY_CONFIG}' > {_REGISTRY_FILE}"
        serve = f"{configure}; exec docker-registry serve {_REGISTRY_FILE}"
        container = self.client.containers.create(
            image, ["sh", "-c", serve], labels=self.labels, ports={"5010/tcp": ("127.0.0.1", 0)}
        )
        self.network.connect(container, aliases=["registry"])
        container.start()
        return container

    def _start_node(self) -> Any:
        container = self.client.containers.create(
            node_image_reference(),
            labels=self.labels,
            init=True,
            privileged=True,
            cgroupns="private",
            tmpfs={"/run": ""},
            environment={"CNI_SUBNET": self.subnet, "ESB_RUN_ID": "run-1"},
            volumes={
                self.images.name: {"bind": "/var/lib/containerd", "mode": "rw"},
                self.shared.name: {"bind": "/run/esb", "mode": "rw"},
            },
            network=self.network.name,
        )
        container.start()
        return container

    @property
    def address(self) -> str:
        """The node's address on the engine's network."""
        self.container.reload()
        return str(self.container.attrs["NetworkSettings"]["Networks"][self.network.name]["IPAddress"])

    def containers(self) -> list[Any]:
        """Return all containers of the project."""
        return self.client.containers.list(
            all=True, filters={"label": f"com.esb.project={self.project}"}, ignore_removed=True
        )

    def execute(self, *command: str) -> tuple[int, str]:
        """Run a command inside the node; return its exit status and what it wrote."""
        # Not exec_run: docker-py loses what comes in one piece with the head of the engine's answer.
        done = subprocess.run(
            ["docker", "exec", str(self.container.id), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout

    def ctr(self, *arguments: str) -> str:
        """Ask containerd, in the project's namespace, and return what it says."""
        code, output = self.execute("ctr", "--namespace", self.project, *arguments)
        assert code == 0, output
        return output

    def quiet(self, kind: str) -> list[str]:
        """Return the ids of all tasks or containers."""
        return self.ctr(kind, "ls", "-q").split()

    def snapshots(self) -> dict[str, str]:
        """Return the kind of each snapshot."""
        lines = self.ctr("snapshots", "ls").splitlines()[1:]
        return {fields[0]: fields[-1] for fields in (line.split() for line in lines)}

    def push(self, image: str, name: str) -> None:
        """Put an image of the engine into the registry."""
        self.registry.reload()
        port = self.registry.attrs["NetworkSettings"]["Ports"]["5010/tcp"][0]["HostPort"]
        reference = f"127.0.0.1:{port}/{name}"
        eventually(lambda: self._pushed(image, reference), f"{reference} is pushed")

    def _pushed(self, image: str, reference: str) -> bool:
        self.client.images.get(image).tag(reference)
        try:
            said = self.client.images.push(reference)
        finally:
            self.client.images.remove(reference)
        return '"error"' not in said

    def messages(self) -> list[str]:
        """Return the messages of all lines that the node wrote, which all have to be JSON objects."""
        return messages_of(self.container)

    def build(self, dockerfile: str, reference: str) -> None:
        """Build an image of the engine."""
        self.client.images.build(
            fileobj=io.BytesIO(dockerfile.encode()), tag=reference, labels=self.labels, rm=True
        )


@contextlib.contextmanager
def running_node(subnet: str) -> Iterator[Node]:
    """Start a node, and remove all of it at the end."""
    client = docker.from_env(timeout=int(START_PATIENCE))
    try:
        node = Node(client, subnet)
        try:
            node.start()
            yield node
        finally:
            node.remove()
    finally:
        client.close()


class ContainerdSetup(AgentSetup):
    """Everything an agent beside a node needs; several agents may be started in turn.

    Args:
        folder: for certificates.
        node: where it runs.
        image: of the workers, as the registry names it.
    """

    def __init__(self, folder: Path, node: Node, image: str) -> None:
        super().__init__(folder)
        self.node = node
        self.image = image

    @contextlib.contextmanager
    def agent(self) -> Iterator[Agent]:
        """Start an agent in the node's network, and remove it at the end."""
        variables = {
            **self.variables(GRPC_PORT, METRICS_PORT),
            "BIND_ADDRESS": "0.0.0.0",  # noqa: S104 - in a container
            "ESB_PROJECT": self.node.project,
            "ESB_ENV": "e2e-containerd",
            "ESB_RUN_ID": "run-1",
            "AGENT_RUNTIME": "containerd",
            "CONTAINER_REGISTRY": REGISTRY,
            "CNI_SUBNET": self.node.subnet,
            **self.environment,
        }
        for name, file in CERTIFICATES.items():
            variables[name] = f"/certificates/{file}"
        files = {
            f"certificates/{path.name}": path.read_bytes() for path in self.certificates.folder.iterdir()
        }
        service = AgentContainer(self.node, variables, archive_of(files, uid=0, gid=0))
        try:
            service.wait_healthy()
            target = f"{self.node.address}:{GRPC_PORT}"
            options = [
                ("grpc.max_receive_message_length", LIMIT),
                ("grpc.max_send_message_length", LIMIT),
                ("grpc.ssl_target_name_override", "localhost"),
            ]
            with grpc.secure_channel(target, self.certificates.channel, options) as channel:
                yield Agent(self, service, channel, GRPC_PORT, METRICS_PORT)  # type: ignore[arg-type]
        finally:
            service.remove()


class AgentContainer:
    """An agent in a container of the services' image."""

    def __init__(self, node: Node, variables: dict[str, str], files: bytes) -> None:
        self._container = node.client.containers.create(
            services_image_reference(),
            ["python3", "-m", "esb_services.agent"],
            labels=node.labels,
            init=True,
            user="0:0",
            environment=variables,
            network_mode=f"container:{node.container.id}",
            volumes={node.shared.name: {"bind": "/run/esb", "mode": "rw"}},
        )
        self._container.put_archive("/", files)
        self._container.start()

    def wait_healthy(self) -> None:
        """Wait until the agent serves; fail at once if it ends."""

        def healthy() -> bool:
            self._container.reload()
            assert self._container.status == "running", self.records()
            probe = ["python3", "-S", "-m", "esb_services.health_probe", str(METRICS_PORT)]
            return self._container.exec_run(probe).exit_code == 0

        eventually(healthy, "the agent is healthy")

    def records(self) -> list[dict[str, Any]]:
        """Return the lines it wrote, which all have to be JSON objects."""
        return [json.loads(line) for line in self._container.logs().decode().splitlines()]

    def messages(self) -> str:
        """Return the messages of all its lines."""
        return "\n".join(messages_of(self._container))

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self._container.kill()
        self._container.wait(timeout=PATIENCE)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        self._container.kill("SIGTERM")
        return int(self._container.wait(timeout=PATIENCE)["StatusCode"])

    def remove(self) -> None:
        """Remove it."""
        self._container.remove(force=True, v=True)


def messages_of(container: Any) -> list[str]:
    """Return the messages of the JSON lines that a container wrote."""
    return [str(json.loads(line)["message"]) for line in container.logs().decode().splitlines()]


def first_pull(agent: Agent) -> None:
    """Start a worker; on a busy machine, the pull may take longer than a worker's start may take."""
    request = pb.EnsureContainerRequest(function_name="first", image=NAME, owner_id=OWNER)
    for _ in range(3):
        with contextlib.suppress(grpc.RpcError):
            agent.stub.EnsureContainer(request, timeout=START_PATIENCE)
            return
    raise AssertionError(agent.service.messages())


def assert_nothing_is_left(node: Node) -> None:
    """Fail if anything of a worker is still there."""
    assert (node.quiet("tasks"), node.quiet("containers")) == ([], [])
    assert set(node.snapshots().values()) <= {"Committed"}
    assert node.execute("ls", "/run/esb/workers") == (0, "")
    assert node.execute("ip", "link", "show", "master", "esb0") == (0, "")
    assert node.execute("find", "/sys/fs/cgroup", "-mindepth", "3", "-path", "*/esb/*", "-type", "d") == (
        0,
        "",
    )
