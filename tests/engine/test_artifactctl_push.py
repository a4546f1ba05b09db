"""`prepare-images` with a registry in play, on a real engine."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.artifact_project import ArtifactProject, docker
from tests.waiting import eventually

pytestmark = [pytest.mark.engine, pytest.mark.registry]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """An image registry on loopback; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = tmp_path / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\nhttp: {{addr: '{address}'}}\n"
    )
    run = subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _answers(address), "the registry answers")
        yield address
    finally:
        run.kill()
        run.wait()


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def test_images_are_pushed_once_where_a_registry_is_in_play(project: ArtifactProject, registry: str) -> None:
    """The runtime pulls by one name what this host pushes by another; the second run pushes nothing."""
    environ = {"CONTAINER_REGISTRY": "registry:5010", "HOST_REGISTRY_ADDR": registry}
    project.base = f"{project.base}"
    for function in ("pay", "ship"):
        project.add_function(function, f"FROM registry:5010/{project.base}\nCOPY src/ /\n")
    project.add_function("named", image=f"registry:5010/{project.name}-named:v1")
    project.write("functions/named/Dockerfile", f"FROM registry:5010/{project.base}\nCOPY src/ /\n")

    def pushed() -> dict[str, str | None]:
        done = project.run("prepare-images", "--json", environ=environ)
        assert done.returncode == 0, done.stderr
        return {image["reference"]: image["pushed"] for image in json.loads(done.stdout)["images"]}

    assert pushed() == {
        f"registry:5010/{project.base}": f"{registry}/{project.base}",
        project.images["pay"]: f"{registry}/{project.images['pay']}",
        project.images["ship"]: f"{registry}/{project.images['ship']}",
        project.images["named"]: f"{registry}/{project.name}-named:v1",
    }
    assert set(pushed().values()) == {None}
    (project.root / "functions/pay/src/app.py").write_text("changed")
    assert {name for name, target in pushed().items() if target} == {project.images["pay"]}
    docker("image", "pull", "--quiet", f"{registry}/{project.images['ship']}")


def test_an_image_of_another_registry_cannot_be_pushed(project: ArtifactProject) -> None:
    """It is told before anything is built."""
    done = project.run("prepare-images", environ={"CONTAINER_REGISTRY": "registry:5010"})
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "names another registry than CONTAINER_REGISTRY (registry:5010)" in line
