"""What the fault tests share: a tiny project, ended on every path."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.engine.e2e_docker_project import DockerProject, making_projects
from tests.engine.images import build_images
from tests.engine.platform_project import Containerd
from tests.faults.project import Project
from tests.ports import own_ports


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The engine has the images of services and runtime-node."""
    build_images(tmp_path_factory.getbasetemp().parent)


@pytest.fixture
def docker_project(images: None, tmp_path: Path) -> Iterator[DockerProject]:  # noqa: ARG001
    """A tiny project with one environment of two services."""
    with making_projects(tmp_path) as make:
        yield make("tiny")


@pytest.fixture
def containerd_project(images: None, tmp_path: Path) -> Iterator[Containerd]:  # noqa: ARG001
    """A copy of the platform's environments with the one that has a containerd."""
    with making_projects(tmp_path) as make:
        project = make("platform", kind=Containerd)
        assert isinstance(project, Containerd)
        yield project


@pytest.fixture
def projects(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """`projects(name, host=None)`: tiny projects that compete for the same ports."""
    with ExitStack() as stack:
        base = stack.enter_context(own_ports())

        def make(name: str, host: Path | None = None) -> Project:
            project = Project(tmp_path / name, base, host)
            stack.callback(project.end)
            return project

        yield make


@pytest.fixture
def project(projects: Callable[..., Project]) -> Project:
    """A tiny project with one environment, one function and two scenarios."""
    return projects("tiny")
