"""Runs that are killed or interrupted in any phase, and the same command again."""

import os
import re
import signal

import pytest

from tests.faults.project import ENVIRONMENT, Project
from tests.faults.run import Run
from tests.waiting import eventually

PHASES = ("reset", "compose", "deploy", "test")

KILLED_BEFORE_A_RENAME = """
import os, signal
from pathlib import Path

kill_at = Path("kill_at")
renames = []

def before(real):
    def rename(source, target, **folders):
        renames.append(source)
        if kill_at.exists() and len(renames) == int(kill_at.read_text()):
            os.kill(os.getpid(), signal.SIGKILL)
        real(source, target, **folders)
    return rename

os.replace, os.rename = before(os.replace), before(os.rename)
"""

SLOW_CLEANUP = """
import time
from pathlib import Path
from esb_e2e_plugin.lifecycle.process import ProcessDriver

down = ProcessDriver.down

def hold_and_down(self, timeout):
    deadline = time.monotonic() + 60
    Path("held").touch()
    while Path("hold").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return down(self, timeout)

ProcessDriver.down = hold_and_down
"""

NOTED_FINISH = """
from esb_e2e_plugin.owner import Owner

finish = Owner.finish

def note_and_finish(self):
    Path("finishing").touch()
    finish(self)

Owner.finish = note_and_finish
"""


def kill(run: Run, victim: str) -> None:
    """Kill a part of a run outright."""
    if victim == "group":
        run.signal_group(signal.SIGKILL)
    else:
        os.kill(run.pid, signal.SIGKILL)
    assert run.process.wait(30) == -signal.SIGKILL


def check_repaired(project: Project) -> None:
    """Assert that the same command is green after a kill, and that nothing is left then."""
    project.hold.unlink(missing_ok=True)
    result = project.run("-n0")
    assert result.code == 0, result.output
    assert "2 passed" in result.output
    project.check_nothing_left()


@pytest.mark.parametrize(
    ("victim", "phase"),
    [
        *(("process", phase) for phase in PHASES),
        *(("controller", phase) for phase in PHASES),
        ("group", "deploy"),
        ("group", "test"),
    ],
)
def test_what_a_killed_run_leaves_is_removed_by_its_reaper(project: Project, victim: str, phase: str) -> None:
    """`kill -9` of pytest in any phase: nothing is left over, and the log says who has removed it."""
    project.hold.touch()
    run = project.start("-n0" if victim == "process" else "-n2")
    run.reach(phase)
    kill(run, victim)
    project.check_nothing_left()
    assert "[esb] its owner is gone: the reaper removes it" in project.log.read_text()
    assert [event["kind"] for event in run.events()].count("run.finished") == 1


@pytest.mark.parametrize("phase", ["compose", "test"])
def test_what_a_killed_run_leaves_without_a_reaper_is_removed_by_the_next(
    project: Project, phase: str
) -> None:
    """Whoever kills everything gets a green run from the same command all the same."""
    project.hold.touch()
    run = project.start("-n0")
    run.reach(phase)
    os.kill(run.reaper(), signal.SIGKILL)
    kill(run, "process")
    check_repaired(project)


def test_runs_killed_one_after_the_other_pile_nothing_up(project: Project) -> None:
    """A run is killed while its reset repairs what the one before has left, and so on."""
    project.hold.touch()
    for phase in reversed(PHASES):
        run = project.start("-n0")
        run.reach(phase)
        kill(run, "process")
    check_repaired(project)


def test_files_that_a_killed_run_was_about_to_put_in_place_do_not_stay(project: Project) -> None:
    """What was written and not yet renamed (state, ports, configuration) is gone after the next run."""
    project.write("conftest.py", KILLED_BEFORE_A_RENAME)
    for number in (1, 2, 6, 10):
        project.write("kill_at", str(number))
        run = project.start("-n0")
        assert run.process.wait(60) == -signal.SIGKILL, run.output()
    project.write("kill_at", "0")
    check_repaired(project)


@pytest.mark.parametrize("phase", ["compose", "test"])
def test_a_killed_xdist_worker_costs_no_more_than_its_test(project: Project, phase: str) -> None:
    """The run goes on with another worker, removes its environment, and the next one is green."""
    project.hold.touch()
    run = project.start("-n2")
    run.reach(phase)
    victim = int(project.held.read_text().split()[0]) if phase == "test" else run.xdist_workers()[0]
    os.kill(victim, signal.SIGKILL)
    project.hold.unlink()
    result = run.wait()
    assert result.code in ((1,) if phase == "test" else (0, 1)), result.output
    assert "INTERNALERROR" not in result.output
    project.check_nothing_left()
    check_repaired(project)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("distribution", "phase"), [*(("-n0", phase) for phase in PHASES), ("-n2", "compose"), ("-n2", "test")]
)
def test_an_interrupted_run_cleans_up_itself(
    project: Project, number: signal.Signals, distribution: str, phase: str
) -> None:
    """Ctrl-C, which reaches the whole group, and SIGTERM, which reaches pytest only, end with exit code 2."""
    project.hold.touch()
    run = project.start(distribution)
    run.reach(phase)
    if number is signal.SIGINT:
        run.signal_group(number)
    else:
        os.kill(run.pid, number)
    result = run.wait()
    assert result.code == pytest.ExitCode.INTERRUPTED, result.output
    assert "INTERNALERROR" not in result.output
    assert "= Failed: " not in result.output
    assert project.left_over() == []


def test_a_run_under_nohup_outlives_its_terminal(project: Project) -> None:
    """A hangup that the caller has decided to ignore interrupts nothing."""
    project.hold.touch()
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = project.start("-n0")
    finally:
        signal.signal(signal.SIGHUP, earlier)
    run.reach("test")
    run.signal_group(signal.SIGHUP)
    project.hold.unlink()
    result = run.wait()
    assert result.code == 0, result.output
    assert project.left_over() == []


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_run_whose_reader_has_gone_away_cleans_up(project: Project, distribution: str) -> None:
    """`pytest | head` breaks pytest's own output, but leaves no environment behind."""
    pipe = project.folder / "output-0.txt"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        project.hold.touch()
        run = project.start(distribution)
        eventually(project.held.exists, "a test runs", timeout=30)
    finally:
        os.close(reader)
    project.hold.unlink()
    assert run.process.wait(30) != 0
    project.check_nothing_left()


def test_an_interrupt_while_the_environment_is_removed_does_not_keep_it(project: Project) -> None:
    """The first Ctrl-C ends the run, not its clean-up."""
    project.write("conftest.py", SLOW_CLEANUP + NOTED_FINISH)
    project.hold.touch()
    project.write("e2e/scenarios/test_tiny.py", "def test_nothing(esb_environment):\n    pass\n")
    run = project.start("-n0")
    for note in (project.root / "finishing", project.held):
        eventually(note.exists, "the run waits for its clean-up")
    run.signal_group(signal.SIGINT)
    eventually(lambda: "interrupted" in run.output(), "the interrupt is answered")
    project.hold.unlink()
    result = run.wait()
    assert result.code == pytest.ExitCode.INTERRUPTED, result.output
    assert project.left_over() == []


def test_a_second_interrupt_leaves_the_clean_up_to_the_reaper(project: Project) -> None:
    """Who cannot wait is told what is left, the commands that remove it, and who does so meanwhile."""
    project.write("conftest.py", SLOW_CLEANUP)
    project.hold.touch()
    run = project.start("-n0")
    run.reach("compose")
    run.signal_group(signal.SIGINT)
    eventually(project.held.exists, "the clean-up has begun")
    run.signal_group(signal.SIGINT)
    result = run.wait()
    assert result.code == pytest.ExitCode.INTERRUPTED, result.output
    assert "interrupted again: what is left is removed by the reaper (pid " in result.output
    assert re.search(rf"^\[{ENVIRONMENT}\] left: process \d+ \(kill -9 \d+\)$", result.output, re.MULTILINE)
    assert f"[{ENVIRONMENT}] left: {project.state} (rm -rf {project.state})" in result.output
    project.check_nothing_left()
