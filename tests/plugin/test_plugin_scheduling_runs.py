"""Runs with real workers: who brings what up, who runs what where, and what a user sees of it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.plugin.esb_project import Project, entries, output, reported
from tests.run_notes import ALL_COLLECT_FIRST, CONFTEST, run_beside, take_notes

HOOKS = """
import json
from pathlib import Path

def pytest_esb_environment_ready(environment):
    with Path(__file__).with_name("ready.txt").open("a") as file:
        file.write(environment.name + "\\n")
"""


def make(project: Project, *environments: str, **files: str) -> Project:
    """Fill a project with environments that have no artifact, and with tests that note their runs."""
    project.matrix(entries(*environments, artifacts=False))
    project.write("conftest.py", HOOKS)
    project.write("e2e/scenarios/conftest.py", CONFTEST)
    for name, text in files.items():
        project.write(f"e2e/scenarios/{name}.py", text)
    return project


SHARED = """
import pytest, urllib.request

@pytest.fixture(scope="session")
def answers(esb_environment):
    yield esb_environment.name
    import requests
    assert requests.get(
        esb_environment.urls.gateway + "/health", verify=str(esb_environment.paths.ca_certificate), timeout=5
    ).ok

@pytest.mark.parametrize("number", range(14))
def test_share(answers, number):
    import time
    time.sleep(0.02)

@pytest.mark.esb_exclusive
@pytest.mark.parametrize("number", range(2))
def test_alone(answers, number):
    import time
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("workers", "environments"), [(1, 2), (2, 1), (4, 3)], ids=["one-two", "two-one", "four-three"]
)
def test_each_environment_comes_up_once_and_each_test_runs_once(
    project: Project, workers: int, environments: int
) -> None:
    """Exclusive tests run alone, all others shared; what fixtures hold ends before the environment does."""
    names = ["one-local", "two-local", "three-local"][:environments]
    make(project, *names, test_shared=SHARED)
    project.write("conftest.py", f"{HOOKS}{ALL_COLLECT_FIRST}\nWORKERS = {workers}\n")
    result = project.run("--esb-profile", "all", "-n", str(workers))
    assert result.ret == 0, output(result)
    result.assert_outcomes(passed=16 * environments)
    assert sorted((project.path / "ready.txt").read_text().split()) == sorted(names)
    ran = take_notes(project.path)
    assert Counter(note.test for note in ran).most_common(1)[0][1] == 1
    assert len(ran) == 16 * environments
    assert {note.worker for note in ran} == {f"gw{number}" for number in range(workers)}
    for name in names:
        mine = [note for note in ran if f"[{name}-" in note.test]
        alone = [note for note in mine if "test_alone" in note.test]
        assert run_beside(alone, mine) == []
        project.assert_removed(name)


STOPS = """
import os, signal, pytest
from pathlib import Path
from esb_e2e_plugin.processes import marked

@pytest.mark.esb_exclusive
def test_stops_a_service(esb_environment):
    pids = marked(str(esb_environment.paths.state.resolve()))
    (gateway,) = [pid for pid in pids if b"esb_services.gateway" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(gateway, signal.SIGKILL)

def test_afterwards(esb_environment):
    pass
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_service_that_an_exclusive_test_has_ended_must_come_back(
    project: Project, options: tuple[str, ...]
) -> None:
    """The test itself may end it; if it is gone afterwards, the environment fails and names the test."""
    make(project, "one-local", test_stops=STOPS)
    result = project.run("--esb-profile", "one-local", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    assert result.parseoutcomes()["passed"] == 1
    stopping = "e2e/scenarios/test_stops.py::test_stops_a_service[one-local]"
    assert f"cause:     after the esb_exclusive test {stopping}: gateway was killed by signal 9" in text
    assert [note.test for note in take_notes(project.path)][:1] == [stopping]
    project.assert_removed("one-local")


FAILING = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test_number(esb_environment, number):
    assert number != 2
"""


def test_failures_stop_and_select_as_in_pytest(project: Project) -> None:
    """`-x` hands out nothing more, `--lf` runs the failed test alone, `--ff` first, `-k` what it names."""
    make(project, "one-local", test_numbers=FAILING)
    profile = ("--esb-profile", "one-local")
    built = project.run(*profile, "--esb-build-only")
    assert built.ret == 0
    run = (*profile, "--esb-test-only", "-n", "1", "-rA")
    stopped = project.run(*run, "-x")
    assert stopped.ret == pytest.ExitCode.INTERRUPTED
    stopped.assert_outcomes(passed=2, failed=1)
    assert len(take_notes(project.path)) == 3
    failed = project.run(*run, "--lf")
    failed.assert_outcomes(failed=1)
    first = project.run(*run, "--ff", "--maxfail", "2")
    first.assert_outcomes(passed=5, failed=1)
    assert [note.test[-2] for note in take_notes(project.path)][1:] == ["2", "0", "1", "3", "4", "5"]
    stepped = project.run(*run, "--stepwise")
    stepped.assert_outcomes(passed=2, failed=1)
    again = project.run(*run, "--stepwise")
    again.assert_outcomes(failed=1)
    named = project.run(*run, "-k", "3 or 4")
    named.assert_outcomes(passed=2)


UNITS = """
import pytest

class TestOne:
    def test_a(self, esb_environment): pass
    def test_b(self, esb_environment): pass

class TestTwo:
    @pytest.mark.xdist_group("x")
    def test_a(self, esb_environment): pass
    @pytest.mark.xdist_group("y")
    def test_b(self, esb_environment): pass

@pytest.mark.xdist_group("x")
def test_c(esb_environment): pass
@pytest.mark.xdist_group(name="y")
def test_d(esb_environment): pass
"""


def _unit(test: str, dist: str) -> str:
    path, _, name = test.removesuffix("[one-local]").partition("::")
    groups = {"TestTwo::test_a": "x", "test_c": "x", "TestTwo::test_b": "y", "test_d": "y"}
    return {"loadscope": test.rpartition("::")[0], "loadfile": path, "loadgroup": groups.get(name, test)}[
        dist
    ]


def test_units_of_other_distributions_stay_on_one_worker(project: Project) -> None:
    """`loadscope`, `loadfile` and `loadgroup` keep together what they say; ids stay plain."""
    make(project, "one-local", test_units=UNITS, test_more=UNITS)
    profile = ("--esb-profile", "one-local")
    assert project.run(*profile, "--esb-build-only").ret == 0
    for dist in ("loadscope", "loadfile", "loadgroup"):
        result = project.run(*profile, "--esb-test-only", "-n", "2", "--dist", dist, "-rA")
        result.assert_outcomes(passed=12)
        ran = take_notes(project.path)
        assert sorted(note.test for note in ran) == reported(result)
        workers: dict[str, set[str | None]] = {}
        for note in ran:
            workers.setdefault(_unit(note.test, dist), set()).add(note.worker)
        assert {len(used) for used in workers.values()} == {1}, dist


MODULE = """
import pytest

@pytest.fixture(scope="module")
def shared(esb_environment, request):
    with open("shared.txt", "a") as file:
        file.write(request.module.__name__.rpartition(".")[2] + "\\n")
    yield
    assert request.module.__name__.endswith("first"), "left behind"

def test_a(shared): pass
def test_b(shared): pass
"""


def test_what_tests_of_a_module_share_lives_as_long_as_in_pytest(project: Project) -> None:
    """It is set up once for a worker's tests, and a failure of its end is one of the last of them."""
    make(project, "one-local", test_first=MODULE, test_second=MODULE)
    result = project.run("--esb-profile", "one-local", "-n", "1", "-rA")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=4, errors=1)
    assert (project.path / "shared.txt").read_text().split() == ["test_first", "test_second"]
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_b[[]one-local[]]*", "*left behind*"])
    assert "ERROR e2e/scenarios/test_second.py::test_b[one-local]" in result.stdout.str()


SPEAKING = """
import logging, sys, pytest

@pytest.fixture(scope="module")
def shared(esb_environment):
    yield
    print("printed at the end")
    print("complained at the end", file=sys.stderr)
    logging.getLogger("fixture").warning("logged at the end")
    assert "quiet" in __name__, "left behind"

def test_a(shared): pass
"""


def test_what_a_shared_teardown_writes_is_shown_with_its_failure_only(project: Project) -> None:
    """It is captured as in every other teardown, and reaches no terminal in between."""
    make(project, "one-local", test_a_quiet=SPEAKING, test_loud=SPEAKING)
    result = project.run("--esb-profile", "one-local", "-n", "1")
    result.assert_outcomes(passed=2, errors=1)
    kinds = {"stdout": "printed", "stderr": "complained", "log": "*logged"}
    for kind, text in kinds.items():
        result.stdout.fnmatch_lines([f"*Captured {kind} teardown*", f"{text} at the end*"])
    assert sum(line.endswith(" at the end") for line in output(result).splitlines()) == len(kinds)


ONE = "def test_one(esb_environment): pass\n"


def test_environments_in_series_are_never_there_together(project: Project) -> None:
    """`--esb-max-environments 1`: the next one begins when the one before is gone, with workers or not."""
    make(project, "one-local", "two-local", test_one=ONE)
    for options in ((), ("-n", "2")):
        result = project.run("--esb-profile", "all", "--esb-max-environments", "1", *options)
        assert result.ret == 0, output(result)
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["esb: at most * environments come up at once, 1 there at once"])
        spans = [[event["t"] for event in project.events(name)] for name in ("one-local", "two-local")]
        (_, *_, first_end), (second_begin, *_) = sorted(spans)
        assert first_end <= second_begin
    refused = project.run("--esb-profile", "all", "--esb-max-environments", "1", "--esb-keep")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "--esb-max-environments (command line) allows 1 at once, "
        "but --esb-keep (command line) leaves 2 running" in output(refused)
    )


def test_auto_means_workers_for_each_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios wait: two workers for each environment; the header says so, xdist's variable still wins."""
    make(project, *(f"{name}-local" for name in ("one", "two", "three", "four", "five")), test_one=ONE)
    project.write("tests/test_plain.py", "def test_plain(): pass\n")
    result = project.run("--esb-profile", "all", "-n", "auto", "tests")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["esb: -n auto means 8 workers: *", "created: 8/8 workers"])
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "1")
    result = project.run("--esb-profile", "all", "-n", "auto", "tests")
    result.stdout.fnmatch_lines(["created: 1/1 worker"])
    result.stdout.no_fnmatch_line("esb: -n auto*")


LONELY = {
    "test_lonely": "@pytest.mark.esb_exclusive\ndef test_lonely(): pass\n",
    "test_lonely[1]": (
        "@pytest.mark.parametrize('number', [0, pytest.param(1, marks=pytest.mark.esb_exclusive)])\n"
        "def test_lonely(number): pass\n"
    ),
    "Case::test_lonely": (
        "class Case(unittest.TestCase):\n    @pytest.mark.esb_exclusive\n    def test_lonely(self): pass\n"
    ),
}


@pytest.mark.parametrize(
    ("test", "text"),
    [(test, f"import pytest, unittest\n{text}") for test, text in LONELY.items()],
    ids=["function", "parameter", "unittest"],
)
def test_an_exclusive_test_without_an_environment_is_a_collection_error(
    project: Project, test: str, text: str
) -> None:
    """It has nothing to be alone in: the error names the test."""
    make(project, "one-local", test_lonely=text)
    result = project.run("--esb-profile", "one-local")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert f"\ne2e/scenarios/test_lonely.py::{test}: esb_exclusive, but the test asks" in output(result)
    assert not (project.path / ".esb").exists()


def test_a_worker_with_another_matrix_ends_the_run_with_one_line(project: Project) -> None:
    """It runs nothing, and the run is a usage error."""
    make(project, "one-local", test_one=ONE)
    change = (
        "import os\nfrom pathlib import Path\n"
        "if os.environ.get('PYTEST_XDIST_WORKER') == 'gw0':\n"
        "    with Path('e2e/environments/test_matrix.yaml').open('a') as file:\n"
        "        file.write('# another one\\n')\n"
    )
    project.write("conftest.py", change)
    result = project.run("--esb-profile", "one-local", "-n", "1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    path = project.path / "e2e/environments/test_matrix.yaml"
    assert output(result).count("another matrix") == 1
    assert f"ERROR: worker gw0 has another matrix than the controller: {path}" in output(result)


DIFFERENT = """
import os, time, pytest
from pathlib import Path

WORKER = os.environ["PYTEST_XDIST_WORKER"]

@pytest.mark.parametrize("worker", [WORKER])
def test_differs(worker):
    deadline = time.monotonic() + 60
    while len(list(Path().glob("*.collected"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)

@pytest.mark.parametrize("number", range(100))
def test_more(number):
    pass
"""

COLLECTED = """
import os, pytest
from pathlib import Path

@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop():
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        Path(f"{worker}.collected").touch()
"""


def test_workers_that_collect_different_tests_end_the_run(project: Project) -> None:
    """As in xdist, the error shows the difference, and nothing more is handed out."""
    make(project, "one-local", test_different=DIFFERENT)
    project.write("conftest.py", COLLECTED)
    result = project.run("--esb-profile", "one-local", "-n", "2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["Different tests were collected between gw* and gw*"])
    assert len(take_notes(project.path)) < 101
