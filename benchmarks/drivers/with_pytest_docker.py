"""The environment is brought up and taken down by pytest-docker, as its documentation shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.by_hand import Stack


@pytest.fixture(scope="session")
def docker_compose_file() -> Path:
    """Where the compose file is."""
    return Stack.from_environment().folder / "docker-compose.yml"


@pytest.fixture(scope="session")
def docker_compose_project_name() -> str:
    """The name under which this run's containers are found."""
    return Stack.from_environment().name


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    """The library's own command, told not to wait for services to end."""
    return ["down --volumes --timeout 0"]


@pytest.fixture(scope="session")
def esb_environment(docker_services: object) -> Iterator[Any]:  # noqa: ARG001
    """The facts of the stack, with the artifacts applied."""
    stack = Stack.from_environment()
    with stack.deployed():
        yield stack.facts()
