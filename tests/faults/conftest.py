"""What the fault tests share: a tiny project, ended on every path."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.project import Project, own_ports


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
