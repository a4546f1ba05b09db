"""The environment is brought up and taken down by testcontainers, as its documentation shows."""

from collections.abc import Iterator
from typing import Any

import pytest
from testcontainers.compose import DockerCompose

from benchmarks.by_hand import Stack


@pytest.fixture(scope="session")
def esb_environment() -> Iterator[Any]:
    """The facts of the stack, with the artifacts applied."""
    stack = Stack.from_environment()
    with DockerCompose(stack.folder), stack.deployed():
        yield stack.facts()
