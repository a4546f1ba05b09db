"""The reaper beside other runs, and environments that are kept whatever the end of their run."""

import json
import os
import signal

import pytest

from tests.faults.project import ENVIRONMENT, Project
from tests.faults.run import Run
from tests.waiting import eventually, until_it_ends

SLOW_REAPER = """
import sys

if "esb_e2e_plugin.lifecycle.reaper" in sys.orig_argv:
    import time
    from pathlib import Path
    from esb_e2e_plugin.lifecycle.process import ProcessDriver

    reset = ProcessDriver.reset

    def hold_and_reset(self, deadline):
        end = time.monotonic() + 60
        while Path("hold").exists() and time.monotonic() < end:
            time.sleep(0.02)
        reset(self, deadline)

    ProcessDriver.reset = hold_and_reset
"""

HALF_RESET = """
import os
import time
from pathlib import Path
from esb_e2e_plugin.lifecycle.process import ProcessDriver
from esb_e2e_plugin.processes import marked

def half_reset(self, deadline):
    os.kill(next(marked(self._mark)), 9)
    Path("held").touch()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.02)

ProcessDriver.reset = half_reset
"""

FAILING = """
import time
from pathlib import Path

def test_fail(esb_environment):
    raise AssertionError("as it should")

def test_hold(esb_environment):
    if (hold := Path("hold")).exists():
        Path("held").touch()
    deadline = time.monotonic() + 120
    while hold.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
"""

BROKEN = "CIRCUIT_BREAKER_THRESHOLD=nonsense\n"


def status(project: Project) -> str | None:
    """Return what the state file says of the environment; None where there is none."""
    path = project.state / "state.json"
    return str(json.loads(path.read_text())["status"]) if path.exists() else None


def kill_and_wait_for_the_reaper(run: Run) -> None:
    """Kill pytest, and return when its reaper has done its work."""
    with until_it_ends(run.reaper()):
        os.kill(run.pid, signal.SIGKILL)
        run.process.wait(30)


def check_kept(project: Project) -> None:
    """Assert that the environment is left, written down as kept, and nobody's."""
    assert status(project) == "kept"
    left = project.left_over()
    assert [line for line in left if line.endswith(" is held")] == []
    assert any(line.startswith("process ") and "esb_services.gateway" in line for line in left)
    assert any(line.startswith("lease of ") for line in left)


def check_usable(project: Project) -> None:
    """Assert that tests can be run in what is left, which stays, and that the next full run removes it."""
    project.write("e2e/scenarios/test_tiny.py", "def test_nothing(esb_gateway):\n    pass\n")
    entered = project.run("-n0", "--esb-test-only")
    assert entered.code == 0, entered.output
    check_kept(project)
    removed = project.run("-n0")
    assert removed.code == 0, removed.output
    project.check_nothing_left()


def test_a_run_that_starts_while_a_reaper_works_waits_for_it(project: Project) -> None:
    """It names the reaper and the run that was killed, and is green afterwards."""
    project.write("sitecustomize.py", SLOW_REAPER)
    project.hold.touch()
    run = project.start("-n0")
    run.reach("test")
    reaper = run.reaper()
    os.kill(run.pid, signal.SIGKILL)
    run.process.wait(30)
    eventually(lambda: "the reaper removes it" in project.log.read_text(), "the reaper has begun")
    second = project.start("-n0")
    waiting = f"[{ENVIRONMENT}] waiting: held by pid {reaper} in {project.root}, run "
    eventually(lambda: waiting in second.output(), "the second run says whom it waits for")
    assert ": the reaper of run " in second.output()
    project.hold.unlink()
    result = second.wait()
    assert result.code == 0, result.output
    project.check_nothing_left()


def test_an_environment_to_be_kept_outlives_its_killed_run(project: Project) -> None:
    """With --esb-keep the reaper takes nothing away, and writes down that it is kept."""
    project.hold.touch()
    run = project.start("-n0", "--esb-keep")
    run.reach("test")
    kill_and_wait_for_the_reaper(run)
    assert "left running, as it is to be kept" in project.log.read_text()
    check_kept(project)
    project.hold.unlink()
    check_usable(project)


def test_a_kept_environment_that_a_killed_run_was_removing_does_not_stay(project: Project) -> None:
    """Half of it is of no use to anybody, and nobody would ever remove it."""
    kept = project.run("-n0", "--esb-build-only")
    assert kept.code == 0, kept.output
    check_kept(project)
    project.write("conftest.py", HALF_RESET)
    run = project.start("-n0", "--esb-keep")
    run.reach("test")
    kill_and_wait_for_the_reaper(run)
    project.check_nothing_left()


@pytest.mark.parametrize("end", ["by itself", "killed"])
def test_an_environment_that_failed_under_tests_is_kept_where_all_are(project: Project, end: str) -> None:
    """Whatever the end of the run, with --esb-keep what is left of it stays."""
    project.hold.touch()
    run = project.start("-n0", "--esb-keep")
    run.reach("test")
    services = json.loads((project.state / "state.json").read_text())["services"]
    os.kill(services["agent"]["pid"], signal.SIGKILL)
    eventually(lambda: status(project) == "failed", "the failure is in the state")
    if end == "killed":
        kill_and_wait_for_the_reaper(run)
    else:
        project.hold.unlink()
        result = run.wait()
        assert result.code == 1, result.output
        assert f"= Failed: {ENVIRONMENT} > test =" in result.output
    check_kept(project)


@pytest.mark.parametrize("end", ["by itself", "interrupted", "killed"])
def test_an_environment_whose_test_failed_is_kept_where_failed_ones_are(project: Project, end: str) -> None:
    """Whatever the end of the run, with --esb-keep-failed one can enter it and see."""
    project.write("e2e/scenarios/test_tiny.py", FAILING)
    if end != "by itself":
        project.hold.touch()
    run = project.start("-n0", "--esb-keep-failed")
    if end != "by itself":
        run.reach("test")
        recorded = lambda: "as it should" in (project.state / "state.json").read_text()  # noqa: E731
        eventually(recorded, "the failed test is in the state")
    if end == "killed":
        kill_and_wait_for_the_reaper(run)
    else:
        if end == "interrupted":
            run.signal_group(signal.SIGINT)
        result = run.wait()
        assert result.code == (1 if end == "by itself" else 2), result.output
        assert f"[{ENVIRONMENT}] left running: https://" in result.output
        assert (
            f"[{ENVIRONMENT}] enter it: pytest --esb-profile {ENVIRONMENT} --esb-test-only" in result.output
        )
        assert f"[{ENVIRONMENT}] remove it: esb down --env {ENVIRONMENT}\n" in result.output
    check_kept(project)


def test_an_environment_without_a_failure_is_removed_where_failed_ones_are_kept(project: Project) -> None:
    """A killed run has not failed: with --esb-keep-failed its reaper removes what was well."""
    project.hold.touch()
    run = project.start("-n0", "--esb-keep-failed")
    run.reach("test")
    kill_and_wait_for_the_reaper(run)
    project.check_nothing_left()


def test_an_environment_that_did_not_come_up_is_kept_where_failed_ones_are(project: Project) -> None:
    """What still runs can be looked at; no test may use it, and the next full run begins anew."""
    env_file = project.write("e2e/environments/e2e-local/.env", BROKEN)
    result = project.run("-n0", "--esb-keep-failed")
    assert result.code == 1, result.output
    assert f"= Failed: {ENVIRONMENT} > compose =" in result.output
    assert (
        f"[{ENVIRONMENT}] left as it failed in compose: what it wrote is in {project.state}" in result.output
    )
    assert status(project) == "kept"
    refused = project.run("-n0", "--esb-test-only")
    assert refused.code == 1, refused.output
    assert "was left as it failed in compose: gateway exited with status 2" in refused.summary
    env_file.unlink()
    repaired = project.run("-n0")
    assert repaired.code == 0, repaired.output
    project.check_nothing_left()
