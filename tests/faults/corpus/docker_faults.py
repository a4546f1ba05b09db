"""Faults of environments whose services are containers of an engine."""

import contextlib
import shutil
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from esb_e2e_plugin.failure import Kind
from esb_e2e_plugin.lifecycle.certificates import write_certificates
from tests.engine.e2e_docker_project import (
    BACK,
    ENVIRONMENT,
    DockerProject,
    docker,
    front_door,
    remove_labelled,
    service,
)
from tests.engine.images import IMAGE
from tests.faults.corpus.fault import Corpus

DOCKER = Corpus()

TLS_FRONT_DOOR = """
import http.server, os, pathlib, ssl

for name in ("CERTIFICATE", "KEY"):
    pathlib.Path("/tmp", name).write_text(os.environ[name])
server = http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/CERTIFICATE", "/tmp/KEY")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""

DOCKER_IN_TEST = """
import subprocess

def test_disturbs(esb_environment):
    subprocess.run({command}, check=True)
"""


NEVER = {"test": ["CMD-SHELL", "exit 1"], "interval": "1s", "start_period": "600s"}
"""A health check that the environment waits for: whatever happens meanwhile is a fault of `compose`."""


def shell(command: str, **more: Any) -> dict[str, Any]:
    """Return a service that runs a shell command, and is awaited for as long as it lives."""
    return service("sh", "-c", command, **{"healthcheck": NEVER, **more})


def checked_by(command: str, **more: Any) -> dict[str, Any]:
    """Return a service whose health is what a shell command says."""
    check = {"test": ["CMD-SHELL", command], "interval": "1s", "start_interval": "200ms", **more}
    return service(healthcheck=check)


def add(project: DockerProject, **services: dict[str, Any]) -> None:
    """Write the compose file with more services than front door and back."""
    project.write_compose({"front": front_door(), "back": BACK, **services})


def disturb(project: DockerProject, *command: str) -> None:
    """Let the one test of a project run a docker command on its service `back`."""
    argv = ["docker", *command, f"{project.name}-{ENVIRONMENT}-back-1"]
    project.write("e2e/scenarios/test_tiny.py", DOCKER_IN_TEST.format(command=argv))


@DOCKER.fault(
    "an engine that does not run",
    "reset",
    Kind.ENGINE,
    "engine",
    cause="the engine does not answer: No such file or directory",
    remedy="start it .make engine., or name another one",
    is_outside=True,
)
def _(project: DockerProject) -> None:
    project.more["DOCKER_HOST"] = f"unix://{project.folder}/nobody.sock"


@DOCKER.fault(
    "a docker context that does not exist",
    "reset",
    Kind.USER_INPUT,
    "docker_context",
    cause="docker context 'nowhere' cannot be used",
    remedy="docker context ls",
    is_outside=True,
)
def _(project: DockerProject) -> None:
    project.write_matrix(docker_context="nowhere")


@DOCKER.fault(
    "an exhausted pool of subnets",
    "compose",
    Kind.ENGINE,
    "subnet_pool",
    cause="no pair of free /24 subnets is left for environment e2e-docker",
    remedy="docker network prune",
)
@contextlib.contextmanager
def _(project: DockerProject) -> Iterator[None]:
    *_, pool = IPv4Network(project.subnet_pool).subnets(new_prefix=23)
    label = f"com.esb.test={project.name}"
    docker("network", "create", "--label", label, "--subnet", str(pool), f"{project.name}.stranger")
    try:
        project.write_matrix(subnet_pool=str(pool))
        yield
    finally:
        remove_labelled(label)


@DOCKER.fault(
    "a step of an image that fails",
    "compose",
    Kind.IMAGE_BUILD,
    "made",
    cause="compose-build exited with status",
    remedy="its last lines",
    shows=r"the step says no[\s\S]*exit code: 7",
)
def _(project: DockerProject) -> None:
    dockerfile = f"FROM {IMAGE}\nRUN echo the step says no && exit 7\n"
    project.write(f"e2e/environments/{ENVIRONMENT}/Dockerfile", dockerfile)
    add(project, made={"build": {"context": ".", "network": "none"}})


@DOCKER.fault(
    "a base image that cannot be had in any way",
    "compose",
    Kind.IMAGE_BUILD,
    "esb-python-base:nowhere",
    cause="is not in the engine; .*cannot be pulled.*; .*Debian packages: .*mmdebstrap is not installed",
    remedy="build or pull it once by hand, or name another image in PYTHON_BASE_IMAGE",
)
def _(project: DockerProject) -> None:
    for name in ("Dockerfile", "packages.Dockerfile"):
        project.write(f"services/images/{name}", "ARG PYTHON_BASE_IMAGE\nFROM ${PYTHON_BASE_IMAGE}\n")
    project.write("services/images/requirements.txt", "")
    project.write("services/esb_services/__init__.py", "")
    project.write_matrix(env_vars={"PYTHON_BASE_IMAGE": "esb-python-base:nowhere"})
    programs = project.folder / "bin"
    programs.mkdir()
    for name in ("docker", "git"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    project.more["PATH"] = str(programs)
    (project.folder / "home" / ".cache").symlink_to(Path.home() / ".cache")  # where locks of images are


@DOCKER.fault(
    "a registry that nobody can reach",
    "compose",
    Kind.IMAGE_BUILD,
    "missing",
    cause="127.0.0.1:1",
    remedy="check that the registry answers",
)
def _(project: DockerProject) -> None:
    add(project, missing={"image": "127.0.0.1:1/nothing:1"})


@DOCKER.fault(
    "a service that ends at its start",
    "compose",
    Kind.SERVICE_START,
    "broken",
    cause="broken exited with status 3",
    remedy="its last lines say why",
    shows="the reason is here",
)
def _(project: DockerProject) -> None:
    add(project, broken=shell("echo the reason is here >&2; exit 3"))


@DOCKER.fault(
    "a service that others wait for and that ends",
    "compose",
    Kind.SERVICE_START,
    "broken",
    cause="broken exited with status 3",
    remedy="its last lines say why",
)
def _(project: DockerProject) -> None:
    broken = shell("exit 3", healthcheck={"test": "true", "interval": "1s"})
    waiting = {**front_door(), "depends_on": {"broken": {"condition": "service_healthy"}}}
    project.write_compose({"front": waiting, "back": BACK, "broken": broken})


@DOCKER.fault(
    "a database that dies before the service that needs it turns unhealthy",
    "compose",
    Kind.SERVICE_START,
    "store",
    cause="store exited with status 0, then api turned unhealthy: exit 1: no store",
    remedy="service_completed_successfully",
)
def _(project: DockerProject) -> None:
    api = checked_by("echo no store; exit 1", retries=2)
    add(project, store=service("true"), api={**api, "depends_on": ["store"]})


@DOCKER.fault(
    "a one-shot that ends with success where something waits for its health",
    "compose",
    Kind.SERVICE_START,
    "seeds",
    cause="seeds exited with status 0",
    remedy="service_completed_successfully|its last lines",
)
def _(project: DockerProject) -> None:
    seeds = shell("echo seeded", healthcheck={"test": "true", "interval": "1s"})
    waiting = {**front_door(), "depends_on": {"seeds": {"condition": "service_healthy"}}}
    project.write_compose({"front": waiting, "back": BACK, "seeds": seeds})


@DOCKER.fault(
    "a command that is not in the image",
    "compose",
    Kind.SERVICE_START,
    "wrong",
    cause="executable file not found",
    remedy="correct the command or entrypoint",
)
def _(project: DockerProject) -> None:
    add(project, wrong={**service("no-such-program"), "init": False})


@DOCKER.fault(
    "a service that uses too much memory",
    "compose",
    Kind.SERVICE_START,
    "greedy",
    cause="greedy was killed for exceeding its memory limit",
    remedy="mem_limit",
)
def _(project: DockerProject) -> None:
    grows = "python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 22))'"
    add(project, greedy={**shell(f"exec {grows}"), "init": False, "mem_limit": "32m", "memswap_limit": "32m"})


@DOCKER.fault(
    "a service whose disk is full",
    "compose",
    Kind.ENGINE,
    "writer",
    cause="writer exited with status 1",
    remedy="make room on the disk",
)
def _(project: DockerProject) -> None:
    add(project, writer=shell("cat /dev/zero >/full/file", tmpfs=["/full:size=64k"]))


@DOCKER.fault(
    "a service without the privilege that it needs",
    "compose",
    Kind.ENGINE,
    "mounts",
    cause="mounts exited with status",
    remedy="privileged, cap_add",
)
def _(project: DockerProject) -> None:
    add(project, mounts=shell("python3 -c 'import socket; socket.sethostname(\"other\")'", user="0"))


@DOCKER.fault(
    "a service that turns unhealthy",
    "compose",
    Kind.HEALTH,
    "sick",
    cause="sick turned unhealthy: exit 1: the check says no",
    remedy="what its check says",
)
def _(project: DockerProject) -> None:
    add(project, sick=checked_by("echo the check says no; exit 1", retries=1))


@DOCKER.fault(
    "a service that never gets healthy",
    "compose",
    Kind.HEALTH,
    "slow",
    cause="timed out after 8 s waiting for .*slow.* to become healthy",
    remedy="--esb-timeout-compose allows more",
    options=("--esb-timeout-compose=8",),
)
def _(project: DockerProject) -> None:
    add(project, slow=checked_by("exit 1", start_period="600s"))


@DOCKER.fault(
    "a front door whose certificate nobody has signed",
    "compose",
    Kind.HEALTH,
    "front",
    cause="TLS: CERTIFICATE_VERIFY_FAILED",
    remedy="let it serve gateway.crt and gateway.key",
    options=("--esb-timeout-compose=8",),
)
def _(project: DockerProject) -> None:
    folder = project.folder / "stranger"
    folder.mkdir()
    write_certificates(folder, "stranger", ("localhost", "127.0.0.1"))
    variables = {"CERTIFICATE": text(folder / "gateway.crt"), "KEY": text(folder / "gateway.key")}
    front = service("python3", "-c", TLS_FRONT_DOOR, environment=variables)
    project.write_compose({"front": front, "back": BACK})
    gateway = {"service": "front", "port": 8080, "scheme": "https", "health_path": "/"}
    project.write_matrix(gateway=gateway)


@DOCKER.fault(
    "a service that is killed under the tests",
    "test",
    Kind.PLATFORM,
    "back",
    cause="back exited with status 137",
    remedy="its last lines",
)
def _(project: DockerProject) -> None:
    disturb(project, "kill")


@DOCKER.fault(
    "a service that is paused under the tests",
    "test",
    Kind.PLATFORM,
    "back",
    cause="back was paused",
    remedy="docker unpause",
)
def _(project: DockerProject) -> None:
    disturb(project, "pause")


@DOCKER.fault(
    "a volume that a stranger uses",
    "cleanup",
    Kind.ENGINE,
    "volume {name}-e2e-docker_data",
    cause="still there: volume .* .docker volume rm ",
    remedy="run the commands given",
    leaves=True,
)
@contextlib.contextmanager
def _(project: DockerProject) -> Iterator[None]:
    label, volume = f"com.esb.test={project.name}", f"{project.name}-{ENVIRONMENT}_data"
    stranger = ["docker", "run", "--detach", "--label", label, "--volume", f"{volume}:/data"]
    stranger += ["--network", "none", IMAGE, "sleep", "infinity"]
    project.write("e2e/scenarios/test_tiny.py", DOCKER_IN_TEST.format(command=stranger))
    try:
        yield
    finally:
        remove_labelled(label)


def text(path: Path) -> str:
    """Return the text of a file, as Compose takes it."""
    return path.read_text().replace("$", "$$")
