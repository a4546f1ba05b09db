"""An agent on a real Docker engine: an image with the function runtime, and a network of its own."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors

from artifactctl import base_images, packages
from artifactctl.commands import Commands
from artifactctl.docker_engine import DockerEngine
from artifactctl.host_cache import HostCache
from tests.services.agent_support import Agent, AgentSetup
from tests.services.service_process import PATIENCE
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
BASE = f"{base_images.PYTHON_BASE}:latest"
REPOSITORY = "esb-test-worker"
BUILD_SECONDS = 600.0
SOCKET = "/var/run/docker.sock"
NEEDED = ("awslambdaric", "simplejson", "snapshot-restore-py")

FUNCTION = """
import json, os, subprocess, sys, time

def handler(event, context):
    action = event.get("action")
    if action == "exit":
        os._exit(3)
    if action == "sleep":
        print("asleep", flush=True)
        time.sleep(event["seconds"])
    if action == "allocate":
        bytearray(event["mib"] * 1024 * 1024)
    if action == "environ":
        return dict(os.environ)
    if action == "bytes":
        return "x" * (event["size"] - 2)
    return {"length": len(json.dumps(event)), "pid": os.getpid()}
"""
GREEDY = "block = bytearray(300 * 1024 * 1024)\ndef handler(event, context):\n    return None\n"
SLOW = "import time\nprint('importing', flush=True)\ntime.sleep(600)\n"

DOCKERFILE = f"""
FROM {BASE}
COPY packages/ /opt/python/
COPY task/ /var/task/
RUN python3 -m compileall -q /opt/python /var/task
ENV PYTHONPATH=/var/task:/opt/python _HANDLER=app.handler
WORKDIR /var/task
USER 65534
ENTRYPOINT ["python3", "-m", "esb_services.function_runtime"]
"""


def build_worker_image(folder: Path) -> str:
    """Return an image whose functions are in app.py, greedy.py and slow.py; it stays for the next run.

    Args:
        folder: an empty folder for the build's context.
    """
    commands = Commands(os.environ, None, BUILD_SECONDS)
    engine, cache = DockerEngine(commands), HostCache(os.environ)
    with cache.lock("image", REPOSITORY, commands):
        base = base_images.obtain(BASE, engine, commands, cache)
        (folder / "pins.txt").write_text(_pins())
        wheels = packages.site_packages(folder / "pins.txt", engine.interpreter(BASE), commands, cache)
        context = folder / "context"
        shutil.copytree(wheels, context / "packages")
        _copy_runtime(context / "packages")
        (context / "task").mkdir()
        for name, code in (("app", FUNCTION), ("greedy", GREEDY), ("slow", SLOW)):
            (context / "task" / f"{name}.py").write_text(code)
        (context / "Dockerfile").write_text(DOCKERFILE)
        reference = f"{REPOSITORY}:{_digest(context, base)}"
        if reference not in engine.inspect([reference]):
            _drop_older_images()
            engine.build(context, reference, label="worker", labels={}, arguments={}, no_cache=False)
    return reference


def _pins() -> str:
    """Return the pins of the runtime client and what it needs."""
    lines = (ROOT / "requirements" / "dev.txt").read_text().replace("\\\n", "")
    found = [line for line in lines.splitlines() if line.partition("==")[0] in NEEDED]
    assert len(found) == len(NEEDED), found
    return "\n".join(found) + "\n"


def _copy_runtime(target: Path) -> None:
    source = ROOT / "services" / "esb_services"
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        source / "function_runtime", target / "esb_services" / "function_runtime", ignore=no_caches
    )
    for module in source.glob("*.py"):
        shutil.copy(module, target / "esb_services")


def _digest(context: Path, base: str) -> str:
    digest = hashlib.sha256(base.encode())
    for path in sorted(context.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(context)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _drop_older_images() -> None:
    client = docker.from_env()
    for image in client.images.list(REPOSITORY):
        for tag in image.tags:
            # one that another run uses stays
            with contextlib.suppress(docker.errors.APIError):
                client.images.remove(tag)
    client.close()


@contextlib.contextmanager
def docker_setup(folder: Path, image: str) -> Iterator["DockerSetup"]:
    """Make a project with a network of its own, and remove all of it at the end."""
    client = docker.from_env(timeout=int(PATIENCE))
    project = f"esb-test-{secrets.token_hex(4)}"
    labels = {"com.esb.managed": "true", "com.esb.project": project}
    network = client.networks.create(f"{project}-runtime", driver="bridge", labels=labels)
    setup = DockerSetup(folder, client, project, str(network.name), image)
    try:
        yield setup
    finally:
        for container in setup.containers():
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        network.remove()
        client.close()


class DockerSetup(AgentSetup):
    """Everything an agent on the engine needs; several agents may be started on it in turn.

    Args:
        folder: for certificates and the agent's log.
        client: the test's own way to the engine.
        project: of all that is made.
        network: the name of the workers' network.
        image: of the workers.
    """

    def __init__(
        self, folder: Path, client: docker.DockerClient, project: str, network: str, image: str
    ) -> None:
        super().__init__(folder)
        self.client = client
        self.project = project
        self.image = image
        self.environment = {
            "AGENT_RUNTIME": "docker",
            "AGENT_NETWORK": network,
            "ESB_PROJECT": project,
            "ESB_ENV": "e2e-docker",
            "ESB_RUN_ID": "run-1",
        }

    def containers(self) -> list[Any]:
        """Return all containers of the project."""
        return self.client.containers.list(
            all=True, filters={"label": f"com.esb.project={self.project}"}, ignore_removed=True
        )

    def container(self, name: str) -> Any:
        """Return a container as it is now."""
        return self.client.containers.get(name)


def output_of(container: Any) -> str:
    """Return what a container wrote."""
    return bytes(container.logs()).decode()


def begin_sleep(agent: Agent, worker: Any, setup: DockerSetup) -> Any:
    """Invoke a worker with an event that it sleeps on, and return the call once it does."""
    call = agent.begin(worker, {"action": "sleep", "seconds": 600})
    container = setup.container(worker.id)
    eventually(lambda: "asleep" in output_of(container), "the function sleeps")
    return call


def messages_of(container: Any) -> list[str]:
    """Return the messages of the JSON lines that a worker wrote."""
    return [str(json.loads(line)["message"]) for line in output_of(container).splitlines()]


class EngineProxy:
    """A way to the engine that can be cut and joined again.

    Args:
        path: of its unix socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pairs: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.join()

    @property
    def host(self) -> str:
        """What `DOCKER_HOST` is for it."""
        return f"unix://{self._path}"

    def join(self) -> None:
        """Take connections."""
        self._server = _Server(str(self._path), self._connect)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def cut(self) -> None:
        """Close all connections, and take no more."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        self._path.unlink()
        with self._lock:
            for end in self._pairs:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        server.server_close()

    def _connect(self, client: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(SOCKET)
            with self._lock:
                self._pairs |= {client, engine}
            back = threading.Thread(target=_pump, args=(engine, client))
            back.start()
            _pump(client, engine)
            back.join()
            with self._lock:
                self._pairs -= {client, engine}


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, path: str, connect: Any) -> None:
        self._connect = connect
        super().__init__(path, socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        self._connect(request)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def is_worker_name(name: str, project: str, function: str) -> bool:
    """Return whether a worker is named after its project and function."""
    return re.fullmatch(rf"{project}-{function}-[0-9a-f]{{8}}", name) is not None
