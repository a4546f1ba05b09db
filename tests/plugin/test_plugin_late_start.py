"""Workers of `-n auto` that begin late: of four on one processor, one begins at once."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.distribution import fitting
from tests.lean import LEAN
from tests.plugin.esb_project import Project, entries, output
from tests.plugin.pseudo_terminal import run
from tests.waiting import eventually

AUTO = ("--esb-profile", "all", "-n", "auto")

CONFTEST = f"""
import os, sys, time
from pathlib import Path

sys.path.append({str(Path(__file__).parents[2])!r})
from tests.waiting import eventually

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "controller")
NOTES = Path(__file__).with_name("notes")
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})

from esb_e2e_plugin import late_start
late_start._LONGEST_WAIT_SECONDS = 600

def note(name):
    NOTES.mkdir(exist_ok=True)
    (NOTES / name).write_text(str(time.monotonic()))

def wait_for(pattern, count):
    eventually(lambda: len(list(NOTES.glob(pattern))) >= count, f"{{count}} notes {{pattern}}", 60)

note("begun-" + WORKER)
"""

READY = """
def pytest_esb_environment_ready(environment):
    note("ready-" + environment.name)
"""

MEET = """
import pytest
from conftest import WORKER, note, wait_for

@pytest.mark.parametrize("number", range(2))
def test_meet(esb_environment, number):
    note("met-" + WORKER)
    wait_for("met-*", 4)
"""


@pytest.fixture
def two(project: Project) -> Project:
    """Two environments, whose tests end when four workers have met."""
    project.matrix(entries("one-local", "two-local", artifacts=False))
    project.write("conftest.py", CONFTEST + READY)
    project.write("e2e/scenarios/test_meet.py", MEET)
    return project


def notes(project: Project, pattern: str) -> dict[str, float]:
    """Return when each thing was noted, by what stands behind the dash."""
    found = (project.path / "notes").glob(pattern)
    return {path.name.partition("-")[2]: float(path.read_text()) for path in found}


def test_workers_beyond_the_processors_begin_when_nothing_comes_up(two: Project) -> None:
    """The first one collects; the others load nothing until both environments are ready, and then take part.

    On a terminal xdist does not write their state over the line of results.
    """
    seen = run(two.path, [*LEAN, *fitting(AUTO)])
    text = "\n".join(seen.lines)
    assert seen.code == 0, text
    begun, ready = notes(two, "begun-gw*"), notes(two, "ready-*")
    assert set(begun) == set(notes(two, "met-*")) == {"gw0", "gw1", "gw2", "gw3"}
    assert begun.pop("gw0") < min(ready.values())
    assert min(begun.values()) > max(ready.values())
    assert re.findall(r"^4 workers.*$", text, re.MULTILINE) == ["4 workers [4 items]"]
    # An environment may say that it is removed between the last dot and that.
    assert re.search(r"^\.* +\[100%\]$", text, re.MULTILINE)


def test_workers_do_not_wait_for_a_bring_up_that_takes_long(two: Project) -> None:
    """Here the environment becomes ready when four workers have run tests that need none."""
    two.write(
        "conftest.py",
        CONFTEST.replace("SECONDS = 600", "SECONDS = 0.1") + READY + '    wait_for("met-*", 4)\n',
    )
    plain = MEET.replace("esb_environment, ", "").replace("range(2)", "range(4)")
    two.write("e2e/scenarios/test_meet.py", plain)
    two.write("e2e/scenarios/test_one.py", "def test_one(esb_environment): pass\n")
    result = two.run(*AUTO)
    assert result.ret == 0, output(result)
    result.assert_outcomes(passed=6)


OUTPUT = """
def pytest_collection_finish():
    note("collected-" + WORKER)

def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["mine"] = WORKER

def pytest_testnodedown(node):
    note("ended-" + node.workeroutput["mine"])
"""

ONE = """
from conftest import note, wait_for

def test_one(esb_environment):
    wait_for("ready-*", 2)
    wait_for("begun-gw*", 2)
    note("tested-" + esb_environment.name)
"""


def test_workers_that_are_not_needed_begin_at_the_end_and_collect_nothing(two: Project) -> None:
    """What plugins have every worker hand over at its end, these do too; there is one worker for each test.

    On a quiet terminal, too, xdist does not write over the line of results.
    """
    two.write("conftest.py", CONFTEST + READY + OUTPUT)
    two.write("e2e/scenarios/test_meet.py", "")
    two.write("e2e/scenarios/test_one.py", ONE)
    seen = run(two.path, [*LEAN, *fitting(AUTO), "-q"])
    text = "\n".join(seen.lines)
    assert seen.code == 0, text
    assert re.search(r"^\.+ +\[100%\]$", text, re.MULTILINE)
    begun = notes(two, "begun-gw*")
    assert set(begun) == set(notes(two, "ended-*")) == {"gw0", "gw1", "gw2", "gw3"}
    assert set(notes(two, "collected-gw*")) == {"gw0", "gw1"}
    assert min(begun["gw2"], begun["gw3"]) > max(notes(two, "tested-*").values())


KILLS = """
import os, signal

PIDS = {}

def pytest_configure_node(node):
    PIDS[node.gateway.id] = node.gateway.remote_exec("import os; channel.send(os.getpid())").receive(30)

def pytest_esb_environment_ready(environment):
    if environment.name == "one-local":
        os.kill(PIDS["%s"], signal.SIGKILL)
    wait_for("down-%s", 1)  # no test may have begun

def pytest_testnodedown(node, error):
    if error:
        note("down-" + node.gateway.id)
"""


@pytest.mark.parametrize("worker", ["gw0", "gw3"], ids=["begun", "waiting"])
def test_a_killed_worker_is_replaced_whether_it_had_begun_or_not(two: Project, worker: str) -> None:
    """Four workers meet all the same, and every test runs once."""
    two.write("conftest.py", CONFTEST + KILLS % (worker, worker))
    result = two.run(*AUTO)
    assert result.ret == 0, output(result)
    result.assert_outcomes(passed=4)
    survivors = {"gw0", "gw1", "gw2", "gw3", "gw4"} - {worker}
    assert set(notes(two, "met-*")) == survivors
    assert f"replacing crashed worker {worker}" in output(result)
    assert (worker in notes(two, "begun-gw*")) == (worker == "gw0")


EXITS = """
def pytest_collection(session):
    if WORKER != "controller":
        import pytest
        pytest.exit("enough", returncode=3)
"""


def test_workers_that_wait_follow_those_that_end_before_they_have_collected(two: Project) -> None:
    """Until none is left, which ends the run: it does not wait for those that nobody lets begin."""
    two.write("conftest.py", CONFTEST + EXITS)
    result = two.run(*AUTO)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "no active workers available" in output(result)
    assert set(notes(two, "begun-gw*")) == {"gw0", "gw1", "gw2", "gw3"}


NOTES_PIDS = """
def pytest_configure_node(node):
    pid = node.gateway.remote_exec("import os; channel.send(os.getpid())").receive(30)
    note(f"pid-{pid}")
"""


def expect_the_end_of_workers(project: Project) -> None:
    """Expect that one of four workers had begun, and that all of them end."""
    assert set(notes(project, "begun-gw*")) == {"gw0"}
    pids = notes(project, "pid-*")
    assert len(pids) == 4
    eventually(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "the workers end")


def test_ctrl_c_ends_workers_that_wait_without_a_word(two: Project) -> None:
    """They hear it too, as all of a terminal's processes do."""
    two.write("conftest.py", CONFTEST + NOTES_PIDS)
    seen = run(two.path, [*LEAN, *fitting(AUTO)], interrupt_at="one-local compose")
    text = "\n".join(seen.lines)
    assert seen.code == pytest.ExitCode.INTERRUPTED, text
    assert "[one-local] removed in" in text
    assert not re.search("Traceback|Error", text)
    expect_the_end_of_workers(two)


def test_workers_that_wait_end_with_a_controller_that_is_killed(two: Project) -> None:
    """Without a word, too; what the reaper removes, they do not keep it from."""
    two.write("conftest.py", CONFTEST + NOTES_PIDS + READY + "    os.kill(os.getpid(), 9)\n")
    result = two.run(*AUTO)
    assert result.ret == -signal.SIGKILL
    expect_the_end_of_workers(two)
    assert "Traceback" not in output(result)
    eventually(lambda: not two.processes("one-local") + two.processes("two-local"), "the reaper removes both")
