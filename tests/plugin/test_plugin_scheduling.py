"""Handing tests to workers that may die at any moment, also between death and its notice."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from esb_e2e_plugin.dispatcher import Work
from esb_e2e_plugin.locks import EnvironmentLock, lock_key
from esb_e2e_plugin.store import make_host_folder
from tests.plugin.esb_project import Project, entries, output, reported

if TYPE_CHECKING:
    from esb_e2e_plugin.scheduling import EnvironmentScheduling

IDS = [f"t.py::test_{number}" for number in range(6)]
PAUSE = len(IDS)


class Worker:
    """As much of xdist's worker as a scheduler sees."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.dead = False
        self.got: list[int] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Take a test and the pause behind it."""
        if self.dead:
            raise OSError("cannot send (already closed?)")
        self.got.append(indices[0])
        assert list(indices[1:]) == [PAUSE]


class Plain:
    """Tests that need no environment."""

    refusal: str | None = None
    stops = False
    late: Sequence[Any] = ()

    def work_of(self, _node: object, ids: Sequence[str]) -> Work:
        """Return one unit per test."""
        units = [[number] for number in range(len(ids))]
        return Work((), [None] * len(ids), units, frozenset(), [0.1] * len(ids))

    def is_open(self, _profile: str) -> bool:
        """Keep nothing back."""
        return True

    def need(self, profile: str) -> None:
        """Expect no call: there is no environment."""
        raise AssertionError(profile)

    def release(self, profile: str) -> None:
        """Expect no call: there is no environment."""
        raise AssertionError(profile)

    def disturb(self, profile: str, test: str) -> None:
        """Expect no call: no test is exclusive."""
        raise AssertionError(profile, test)

    def calm(self, profile: str) -> None:
        """Expect no call: no test is exclusive."""
        raise AssertionError(profile)

    def begin_late(self, unfinished: int) -> None:
        """Do nothing."""

    def ends(self, _node: object) -> bool:
        """Know that no worker was told to end."""
        return False

    def drain(self) -> None:
        """Do nothing."""

    def wake(self) -> None:
        """Do nothing: a test hands out itself."""


@pytest.fixture
def workers() -> tuple[Any, Any]:
    return Worker("gw0"), Worker("gw1")


@pytest.fixture
def schedule(pytester: pytest.Pytester, workers: tuple[Any, Any]) -> EnvironmentScheduling:
    """A scheduler that knows six tests and two workers."""
    pytest.importorskip("xdist")
    from esb_e2e_plugin.scheduling import EnvironmentScheduling

    made = EnvironmentScheduling(pytester.parseconfig("-p", "no:esb_e2e"), Plain())
    for worker in workers:
        made.add_node(worker)
    for worker in workers:
        made.add_node_collection(worker, IDS)
    return made


def test_a_worker_that_died_before_it_got_a_test_crashed_in_none(
    schedule: EnvironmentScheduling, workers: tuple[Any, Any]
) -> None:
    """What could not be handed to it goes to the others, and no test is called crashed."""
    alive, dead = workers
    dead.dead = True
    schedule.schedule()
    assert schedule.remove_node(dead) is None
    while not schedule.tests_finished:
        schedule.mark_test_complete(alive, alive.got[-1])
    assert sorted(alive.got) == list(range(6))


def test_a_worker_that_dies_with_a_test_not_begun_crashed_in_none(
    schedule: EnvironmentScheduling, workers: tuple[Any, Any]
) -> None:
    """The test that it was sent is run by another worker; the one that it had begun is not."""
    alive, dying = workers
    schedule.schedule()
    assert (alive.got, dying.got) == ([0], [1])
    assert schedule.remove_node(dying) is None
    schedule.mark_test_complete(alive, 0)
    assert alive.got == [0, 1]
    schedule.test_started("t.py::test_1")
    assert schedule.remove_node(alive) == "t.py::test_1"


def test_a_worker_that_dies_after_its_tests_last_report_crashed_in_none(
    schedule: EnvironmentScheduling, workers: tuple[Any, Any]
) -> None:
    """A test is reported once: what is reported in full is not called crashed as well."""
    alive, dying = workers
    schedule.schedule()
    schedule.test_started("t.py::test_1")
    report = SimpleNamespace(node=dying, nodeid="t.py::test_1", when="teardown")
    schedule.test_reported(report)  # type: ignore[arg-type]
    assert schedule.remove_node(dying) is None
    while not schedule.tests_finished:
        schedule.mark_test_complete(alive, alive.got[-1])
    assert sorted(alive.got) == [0, 2, 3, 4, 5]


class One(Plain):
    """One environment with one test that is left to run."""

    def __init__(self) -> None:
        self.released: list[str] = []

    def work_of(self, _node: object, ids: Sequence[str]) -> Work:
        """Return the first test."""
        return Work(("one",), [0] * len(ids), [[0]], frozenset(), [0.1] * len(ids))

    def release(self, profile: str) -> None:
        """Note the end."""
        self.released.append(profile)


def test_an_environment_outlives_the_crash_of_its_last_test_until_that_is_told(
    pytester: pytest.Pytester, workers: tuple[Any, Any]
) -> None:
    """By the crash it is one to be kept; and a plugin may have the test run again."""
    pytest.importorskip("xdist")
    from esb_e2e_plugin.scheduling import EnvironmentScheduling

    environments, (first, second) = One(), workers
    schedule = EnvironmentScheduling(pytester.parseconfig("-p", "no:esb_e2e"), environments)
    for worker, crash in ((first, True), (second, False)):
        schedule.add_node(worker)
        schedule.add_node_collection(worker, IDS)
        schedule.schedule()
        schedule.test_started(IDS[0])
        if crash:
            assert schedule.remove_node(worker) == IDS[0]
            assert environments.released == []
            schedule.mark_test_pending(IDS[0])
    assert second.got == [0]
    assert schedule.remove_node(second) == IDS[0]
    assert environments.released == []
    schedule.schedule()
    assert environments.released == ["one"]


CRASHES = """
import os, signal, pytest

@pytest.fixture(scope="module")
def shared(esb_environment):
    yield
    assert esb_environment.urls

@pytest.mark.parametrize("number", range(6))
def test_crash(shared, number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def crashing(project: Project) -> Project:
    """A project whose third test of six crashes its worker."""
    project.matrix(entries("one-local", artifacts=False))
    project.write("e2e/scenarios/test_crash.py", CRASHES)
    return project


def test_a_crashed_test_is_reported_once_and_the_others_run(crashing: Project) -> None:
    """Its environment's other tests go on in a worker that takes the dead one's place."""
    result = crashing.run("--esb-profile", "one-local", "-n", "1", "-rA")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=5, failed=1)
    crashed = "e2e/scenarios/test_crash.py::test_crash[one-local-2]"
    assert output(result).count(f"\nworker 'gw0' crashed while running '{crashed}'") == 1
    assert len(reported(result)) == len(set(reported(result))) == 6
    crashing.assert_removed("one-local")


def test_a_crash_counts_as_a_failure_that_stops_the_run(crashing: Project) -> None:
    """`-x` ends it there: what has not begun is not run by a worker that takes the dead one's place."""
    result = crashing.run("--esb-profile", "one-local", "-n", "1", "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=1)
    crashing.assert_removed("one-local")


STUCK = """
import os, signal, pytest
from pathlib import Path

@pytest.mark.esb_env("one-local")
def test_crash(esb_environment):
    os.kill(os.getpid(), signal.SIGKILL)

@pytest.mark.esb_env("two-local")
def test_never(esb_environment): pass
"""


def test_a_run_without_workers_waits_for_no_environment(project: Project) -> None:
    """One that another run holds is given up: nobody is left who could use it."""
    project.matrix(entries("one-local", "two-local", artifacts=False))
    project.write("e2e/scenarios/test_stuck.py", STUCK)
    state = project.state("two-local")
    make_host_folder(project.host)
    lock = EnvironmentLock(project.host, lock_key(str(state.resolve()), "esb-two-local"))
    lock.acquire(run_id="other", timeout=1, waiting=lambda _: None, check=lambda: None)
    try:
        result = project.run("--esb-profile", "all", "-n", "1", "--max-worker-restart", "0")
    finally:
        lock.release()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"failed": 1}
    assert "[two-local] waiting: held by" in output(result)
    assert "esb: no worker was left to run 1 test(s)" in output(result)
    assert not state.exists()
    project.assert_removed("one-local")


LAST = """
import os, signal, pytest

@pytest.fixture(scope="module")
def shared():
    yield
    os.kill(os.getpid(), signal.SIGKILL)

def test_one(shared, esb_environment):
    pass
"""


def test_tests_that_no_worker_was_left_to_run_fail_the_run(project: Project) -> None:
    """A worker may crash between two tests: then no test failed, and yet the run is not green."""
    project.matrix(entries("one-local", artifacts=False))
    project.write("e2e/scenarios/test_a.py", LAST)
    project.write(
        "e2e/scenarios/test_b.py",
        "def test_two(esb_environment): pass\ndef test_three(esb_environment): pass\n",
    )
    result = project.run("--esb-profile", "one-local", "-n", "1", "--max-worker-restart", "0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=1)
    assert "esb: no worker was left to run 2 test(s)" in output(result)
    project.assert_removed("one-local")


SHARED_TEARDOWNS = """
import os, signal, pytest

@pytest.fixture(scope="{scope}")
def shared():
    yield
    if os.environ["PYTEST_XDIST_WORKER"] == "gw0":
        os.kill(os.getpid(), signal.SIGKILL)

def test_first(shared, esb_environment): pass
def test_last(shared, esb_environment): pass
"""


@pytest.mark.parametrize("scope", ["module", "session"])
def test_a_crash_in_what_tests_share_is_an_error_of_the_last_of_them(project: Project, scope: str) -> None:
    """All tests may have passed, and others go on in another worker: the run is not green."""
    project.matrix(entries("one-local", artifacts=False))
    project.write("e2e/scenarios/test_a.py", SHARED_TEARDOWNS.format(scope=scope))
    after = ["def test_after(esb_environment): pass\n"] if scope == "module" else []
    for text in after:
        project.write("e2e/scenarios/test_b.py", text)
    result = project.run("--esb-profile", "one-local", "-n", "1", "-rA")
    assert result.ret == pytest.ExitCode.TESTS_FAILED, output(result)
    result.assert_outcomes(passed=2 + len(after), errors=1)
    last = "e2e/scenarios/test_a.py::test_last[one-local]"
    assert f"worker 'gw0' crashed in the teardown of what '{last}' shares with other tests" in output(result)
    assert f"ERROR {last}" in output(result)
    project.assert_removed("one-local")


IDLE = """
import os, signal, time, pytest
from pathlib import Path

def wait_for(name):
    deadline = time.monotonic() + 60
    while not Path(name).exists():
        assert time.monotonic() < deadline, name
        time.sleep(0.01)

@pytest.fixture(scope="module")
def shared(esb_environment):
    yield

def test_long(shared):
    wait_for("idle")
    os.kill(int(Path("pid").read_text()), signal.SIGKILL)
    wait_for("noticed")

def test_quick(shared):
    Path("pid").write_text(str(os.getpid()))
"""

NOTICES = """
from pathlib import Path

def pytest_runtest_logfinish(nodeid):
    if "test_quick" in nodeid:
        Path("idle").touch()

def pytest_testnodedown(node, error):
    if error:
        Path("noticed").touch()
"""


def test_the_end_of_a_worker_that_does_nothing_is_no_failure(project: Project) -> None:
    """It is between two tests, and what it shares with others stays up: nothing went wrong."""
    project.matrix(entries("one-local", artifacts=False))
    project.write("conftest.py", NOTICES)
    project.write("e2e/scenarios/test_idle.py", IDLE)
    result = project.run("--esb-profile", "one-local", "-n", "2")
    assert result.ret == 0, output(result)
    result.assert_outcomes(passed=2)
    assert "replacing crashed worker" in output(result)
    project.assert_removed("one-local")


STOPS = """
def pytest_sessionstart(session):
    global running
    running = session

def pytest_runtest_logreport(report):
    if report.when == "call" and not hasattr(running.config, "workerinput"):
        running.shouldstop = "budget used up"
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_that_a_plugin_stops_is_not_green(project: Project, workers: str) -> None:
    """With workers or not: what has not run is not called passed, and the reason is shown."""
    project.matrix(entries("one-local", artifacts=False))
    project.write("conftest.py", STOPS)
    project.write("e2e/scenarios/test_b.py", CRASHES.replace("number == 2", "False"))
    result = project.run("--esb-profile", "one-local", "-n", workers)
    assert result.ret == pytest.ExitCode.INTERRUPTED, output(result)
    result.assert_outcomes(passed=1)
    assert "budget used up" in output(result)
    project.assert_removed("one-local")


def test_a_worker_that_ends_before_it_has_collected_fails_the_run(project: Project) -> None:
    """That nothing was collected is no answer to what was asked for."""
    project.matrix(entries("one-local", artifacts=False))
    project.write("e2e/scenarios/test_a.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    result = project.run("--esb-profile", "one-local", "-n", "1", "--max-worker-restart", "0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {}
    assert "esb: no worker was left to collect the tests" in output(result)
