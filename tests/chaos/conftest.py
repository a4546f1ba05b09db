"""What the chaos tests share: projects with ports of their own, ended on every path."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.project import Project
from tests.ports import own_ports


@pytest.fixture
def making(tmp_path: Path) -> Iterator[Callable[[type[Project]], Project]]:
    """`making(kind)`: a project of that kind."""
    with ExitStack() as stack:
        base = stack.enter_context(own_ports())

        def make(kind: type[Project]) -> Project:
            project = kind(tmp_path / "chaos", base)
            stack.callback(project.end)
            return project

        yield make
