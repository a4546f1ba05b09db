"""`--stepwise` with several workers: it stops at the first failure, and goes on there the next time."""

from __future__ import annotations

import pytest

from tests.plugin.esb_project import Project, entries, output

TESTS = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_number(esb_environment, number):
    assert number not in {failing}
"""


def make(project: Project, failing: tuple[int, ...] = ()) -> Project:
    """Fill a project: the second environment has more tests, and is the more expensive one."""
    project.matrix(entries("one-local", "two-local", artifacts=False))
    project.write("e2e/scenarios/test_numbers.py", TESTS.format(count=4, failing=failing))
    more = TESTS.format(count=8, failing=()).replace(
        "@pytest.mark.parametrize", "@pytest.mark.esb_env('two-local')\n@pytest.mark.parametrize"
    )
    project.write("e2e/scenarios/test_numbers_more.py", more)
    return project


@pytest.mark.parametrize("options", [(), ("--ff",)], ids=["in-order", "failed-first"])
def test_environments_come_up_for_the_test_that_is_next(project: Project, options: tuple[str, ...]) -> None:
    """With one place for an environment the one comes up that the next test needs: no run waits for ever."""
    make(project)
    run = ("--esb-profile", "all", "--esb-max-environments", "1", "-n", "2", "--stepwise", *options)
    result = project.run(*run)
    assert result.ret == 0, output(result)
    result.assert_outcomes(passed=16)
    for name in ("one-local", "two-local"):
        project.assert_removed(name)


def test_an_environment_is_not_waited_for_in_vain(project: Project) -> None:
    """Failed tests of both environments come first: their order is no longer one of environments."""
    make(project, failing=(3,))
    everything = ("--esb-profile", "all", "-n", "2")
    project.run(*everything).assert_outcomes(passed=14, failed=2)
    make(project)
    bound = ("--esb-max-environments", "1", "--stepwise", "--ff")
    result = project.run(*everything, *bound)
    assert result.ret == 0, output(result)
    result.assert_outcomes(passed=16)


CRASH = """
import os, signal, pytest

def test_first(esb_environment):
    os.kill(os.getpid(), signal.SIGKILL)

def test_second(esb_environment):
    assert False
"""


def test_a_crash_is_a_failure_to_go_on_from(project: Project) -> None:
    """Nothing runs after it, although another worker is there."""
    make(project)
    project.write("e2e/scenarios/test_numbers.py", CRASH)
    run = ("--esb-profile", "one-local", "-n", "2", "--stepwise", "e2e/scenarios/test_numbers.py")
    for _ in range(2):
        result = project.run(*run)
        assert result.ret == pytest.ExitCode.INTERRUPTED
        result.assert_outcomes(failed=1)
        assert "crashed while running 'e2e/scenarios/test_numbers.py::test_first[one-local]'" in output(
            result
        )


def test_no_test_runs_beside_one_that_may_fail(project: Project) -> None:
    """Else the later failure would be the one to go on from, and the earlier one be forgotten."""
    for failing, passed, failed in (((1, 2), 1, 1), ((2,), 1, 1), ((), 2, 0)):
        make(project, failing)
        result = project.run("--esb-profile", "one-local", "-n", "2", "--stepwise")
        result.assert_outcomes(passed=passed, failed=failed)
