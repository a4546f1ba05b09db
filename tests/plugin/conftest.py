"""A project per test, shielded from the run that it is tested by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from esb_e2e_plugin.processes import end_marked
from tests.plugin.esb_project import Project, clean_environment, entries
from tests.plugin.shop import ECHO_TEST, HOOKS


@pytest.fixture
def project(
    pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """A project without a matrix; whatever a run of it leaves behind is ended."""
    host: Path = tmp_path_factory.mktemp("host") / "esb"
    for name in clean_environment(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("ESB_HOST_DIR", str(host))
    yield (made := Project(pytester, host))
    for state in (made.path / ".esb" / "e2e" / "state").glob("*"):
        end_marked(str(state.resolve()), 10)


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with one environment, one function and its test, and a conftest that notes each hook."""
    project.matrix(entries("one-local"))
    project.artifact("one-local")
    project.write("conftest.py", HOOKS)
    project.write("e2e/scenarios/test_echo.py", ECHO_TEST)
    return project
