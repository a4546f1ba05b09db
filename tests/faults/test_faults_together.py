"""Runs at the same time: of two copies of a project, and of one project twice."""

from collections.abc import Callable

import pytest

from tests.faults.project import ENVIRONMENT, Project
from tests.faults.run import Run
from tests.waiting import eventually


def held_port(project: Project) -> int:
    """Return the gateway's port in the environment of a run that holds."""
    return int(project.held.read_text().split()[1])


@pytest.fixture
def holding(project: Project) -> Run:
    """A run in the middle of its tests."""
    project.hold.touch()
    run = project.start("-n0")
    run.reach("test")
    return run


@pytest.mark.parametrize("host", ["one host folder", "two host folders"])
def test_two_copies_of_a_project_run_at_the_same_time(projects: Callable[..., Project], host: str) -> None:
    """Both are up at once with ports of their own, and green, even where they know nothing of each other."""
    one = projects("one")
    two = projects("two", host=one.host if host == "one host folder" else None)
    for project in (one, two):
        project.hold.touch()
    runs = [project.start("-n0") for project in (one, two)]
    for run in runs:
        run.reach("test")
    assert held_port(one) != held_port(two)
    for project in (one, two):
        project.hold.unlink()
    for run in runs:
        result = run.wait()
        assert result.code == 0, result.output
    for project in (one, two):
        project.check_nothing_left()


def test_a_second_run_of_a_project_waits_for_the_first(project: Project, holding: Run) -> None:
    """It says whom it waits for, and is green afterwards, as is the first."""
    second = project.start("-n0")
    waiting = f"[{ENVIRONMENT}] waiting: held by pid {holding.pid} in {project.root}, run "
    eventually(lambda: waiting in second.output(), "the second run says whom it waits for")
    project.hold.unlink()
    for run in (holding, second):
        result = run.wait()
        assert result.code == 0, result.output
        assert "2 passed" in result.output
    assert second.output().count("waiting: held by") == 1
    project.check_nothing_left()


def test_a_second_run_that_may_not_wait_names_the_holder(project: Project, holding: Run) -> None:
    """It ends with exit code 1, and does no harm to the first."""
    result = project.run("-n0", "--esb-lock-timeout=1")
    assert result.code == 1, result.output
    assert f"= Failed: {ENVIRONMENT} > reset =" in result.output
    held = f"the environment is held by pid {holding.pid} in {project.root}, run "
    assert held in result.summary
    assert "was not free within 1 s" in result.summary
    assert "--esb-lock-timeout" in result.summary
    project.hold.unlink()
    first = holding.wait()
    assert first.code == 0, first.output
    project.check_nothing_left()
