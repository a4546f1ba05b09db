"""The registry that the containerd environments of an engine share, and what it means where it fails."""

import contextlib
import http.client
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifactctl.commands import Commands
from esb_e2e_plugin.lifecycle.registry import CONTAINER, PORT, Registry
from esb_e2e_plugin.store import make_host_folder
from tests.engine.artifact_project import ArtifactProject
from tests.engine.e2e_docker_project import docker
from tests.waiting import eventually

pytestmark = pytest.mark.engine

SECONDS = 300.0


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """The engine's registry, for a user of its own."""
    host = tmp_path / "host"
    make_host_folder(host)
    return Registry(host, "this engine", Commands(os.environ, None, SECONDS))


@pytest.fixture
def network() -> Iterator[str]:
    """A network of an environment that is none."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    docker("network", "create", "--label", "com.esb.test=registry", "--subnet", "10.99.251.0/24", name)
    yield name
    docker("network", "rm", name)


@pytest.fixture
def full(registry: Registry) -> Iterator[str]:
    """The address of a registry of the same kind that has no room."""
    registry.ensure()
    image = docker("container", "inspect", "--format", "{{.Config.Image}}", CONTAINER)
    config = docker("container", "exec", CONTAINER, "cat", "/run/registry.yml")
    name = f"test-{uuid.uuid4().hex[:12]}"
    serve = 'printf %s "$CONFIG" >/run/registry.yml && exec docker-registry serve /run/registry.yml'
    options = [
        "--detach",
        "--init",
        "--name",
        name,
        "--publish",
        f"127.0.0.1::{PORT}",
        "--env",
        f"CONFIG={config}",
    ]
    room = ["--tmpfs", "/var/lib/registry:size=16k"]
    docker("container", "run", *options, *room, image, "sh", "-c", serve)
    try:
        address = docker("container", "port", name, str(PORT))
        eventually(lambda: answers(address), f"{name} answers")
        yield address
    finally:
        docker("container", "rm", "--force", "--volumes", name)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ArtifactProject]:
    """An artifact project whose images are removed with it."""
    project = ArtifactProject(tmp_path / "project")
    for function in ("pay", "ship"):
        project.add_function(function, f"FROM registry:{PORT}/{project.base}\nCOPY src/ /\n")
    yield project
    project.remove_images()


def answers(address: str) -> bool:
    """Tell whether a registry serves there."""
    try:
        with contextlib.closing(http.client.HTTPConnection(address, timeout=5)) as connection:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def test_runs_that_start_at_once_share_one_registry(registry: Registry) -> None:
    """Whoever comes first makes it; everybody gets its address, and it belongs to no environment."""
    with ThreadPoolExecutor(3) as pool:
        addresses = list(pool.map(lambda _: registry.ensure(), range(3)))
    port = docker("container", "port", CONTAINER, str(PORT))
    assert addresses == [port] * 3
    assert port.startswith("127.0.0.1:")
    infra = docker("container", "ls", "--quiet", "--no-trunc", "--filter", "label=com.esb.infra=registry")
    assert len(infra.split()) == 1
    labels = docker("container", "inspect", "--format", "{{json .Config.Labels}}", CONTAINER)
    assert "com.esb.project" not in labels
    assert "com.esb.env" not in labels


def test_an_environment_knows_it_by_its_usual_name(registry: Registry, network: str) -> None:
    """In the network of an environment it answers as registry:5010; it is let go with the network."""
    registry.ensure()
    registry.attach(network)
    try:
        registry.attach(network)  # again is no mistake
        aliases = f'{{{{(index .NetworkSettings.Networks "{network}").Aliases}}}}'
        assert "registry" in docker("container", "inspect", "--format", aliases, CONTAINER)
    finally:
        docker("network", "disconnect", "--force", network, CONTAINER)
    assert registry.ensure() == docker("container", "port", CONTAINER, str(PORT))


def prepare(project: ArtifactProject, address: str) -> str:
    """Return the one line of a `prepare-images` that fails."""
    done = project.run(
        "prepare-images", environ={"CONTAINER_REGISTRY": f"registry:{PORT}", "HOST_REGISTRY_ADDR": address}
    )
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.splitlines()
    return str(line)


def test_a_registry_without_room_is_named_with_the_image_and_the_step(
    project: ArtifactProject, full: str
) -> None:
    """What cannot be pushed fails the preparation, not the first call of a function."""
    line = prepare(project, full)
    assert f"cannot push {full}/" in line
    assert project.name in line


def test_a_registry_that_is_stopped_is_named_with_the_image_and_the_step(project: ArtifactProject) -> None:
    """Nobody answers at the address; the error says what to check."""
    line = prepare(project, "127.0.0.1:9")
    assert "cannot push 127.0.0.1:9/" in line
    assert project.name in line
    assert "check CONTAINER_REGISTRY and HOST_REGISTRY_ADDR" in line
