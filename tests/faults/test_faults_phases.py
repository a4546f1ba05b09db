"""Each phase made to fail: at the fault, by its cause, with the guilty service's own last lines."""

import re

import pytest

from tests.faults.project import ENVIRONMENT, Project
from tests.faults.run import Result

KILLER = """
import json, os, signal, time
import pytest
from pathlib import Path

STATE = Path(".esb/e2e/state/e2e-local")

def test_kill(esb_environment):
    services = json.loads((STATE / "state.json").read_text())["services"]
    os.kill(services["database"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while '"phase": "cleanup"' not in (STATE / "events.jsonl").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)

@pytest.mark.parametrize("number", range(3))
def test_after(esb_gateway, number):
    pass
"""


def check_failed(project: Project, result: Result, phase: str, cause: str) -> None:
    """Assert that a run ended with one failure in `phase` by `cause`, and removed everything."""
    assert result.code == 1, result.output
    assert re.findall(r"= Failed: (.*?) =", result.output) == [f"{ENVIRONMENT} > {phase}"]
    assert re.search(rf"^cause:     .*{cause}", result.summary, re.MULTILINE), result.summary
    assert f"reproduce: pytest --esb-profile {ENVIRONMENT}" in result.summary
    assert "Traceback (most recent call last)" not in result.output.replace(result.summary, "")
    project.check_nothing_left()


def check_before_deadline(result: Result) -> None:
    """Assert that no deadline had a part in a failure."""
    assert "timed out after" not in result.output + result.log


def last_lines_of(result: Result, service: str) -> str:
    """Return what the summary shows as a service's own last lines."""
    found = re.search(rf"^last lines of {service}:\n((?:  .*\n)+)", result.summary, re.MULTILINE)
    assert found, result.summary
    return found[1]


def test_a_service_that_does_not_start_fails_compose_with_its_own_words(project: Project) -> None:
    """A gateway that refuses its settings fails the phase by its exit status, and is quoted."""
    project.write("e2e/environments/e2e-local/.env", "CIRCUIT_BREAKER_THRESHOLD=nonsense\n")
    result = project.run("-n0")
    check_failed(project, result, "compose", "gateway exited with status 2")
    check_before_deadline(result)
    assert "variable CIRCUIT_BREAKER_THRESHOLD is 'nonsense'; expected" in last_lines_of(result, "gateway")
    assert "tests:     2 ended in this error" in result.summary
    assert result.output.count("\nERROR e2e/scenarios/test_tiny.py::test_") == 2
    assert "= ERRORS =" not in result.output
    assert "2 errors" in result.output


def test_a_failed_environment_is_told_to_every_xdist_worker(project: Project) -> None:
    """With workers as without, each test that needs the environment ends in one line with the cause."""
    project.write("e2e/environments/e2e-local/.env", "LOG_LEVEL=loud\n")
    result = project.run("-n2")
    check_failed(project, result, "compose", "(gateway|agent|database|s3-storage) exited with status 2")
    check_before_deadline(result)
    assert "environment variable LOG_LEVEL is 'LOUD'; expected one of DEBUG" in result.summary
    assert "2 errors" in result.output


@pytest.mark.parametrize(
    ("functions", "cause"),
    [
        ("functions:\n  hello: {image: [\n", "functions.yml:2: is not valid YAML"),
        ("functions:\n- hello\n", "functions.yml:1: functions = a list: expected a mapping"),
    ],
    ids=["not YAML", "another shape"],
)
def test_a_broken_functions_yml_fails_deploy_with_its_line(
    project: Project, functions: str, cause: str
) -> None:
    """The artifact's mistake is told with file and line; the services have no part in it."""
    project.write("e2e/artifact/tiny/config/functions.yml", functions)
    result = project.run("-n0")
    check_failed(project, result, "deploy", cause)
    check_before_deadline(result)


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_service_that_dies_under_the_tests_fails_the_environment_once(
    project: Project, distribution: str
) -> None:
    """Its death is the one cause; tests that come later are errors of one line."""
    project.write("e2e/scenarios/test_tiny.py", KILLER)
    result = project.run(distribution)
    check_failed(project, result, "test", "database was killed by signal 9")
    check_before_deadline(result)
    assert "database listens on" in last_lines_of(result, "database")
    if distribution == "-n0":
        assert "1 passed, 3 errors" in result.output
        assert "tests:     3 ended in this error" in result.summary
        assert result.output.count("\nERROR e2e/scenarios/test_tiny.py::test_after[") == 3
    else:
        assert "passed" in result.output.splitlines()[-1]


def test_a_reset_that_cannot_remove_what_is_there_names_it(project: Project) -> None:
    """A config folder that cannot be told from a user's stays untouched, is named, and nothing is started."""
    listed = project.write(".esb/staging/config/.artifactctl.json", "not a list")
    result = project.run("-n0")
    assert result.code == 1, result.output
    assert f"= Failed: {ENVIRONMENT} > reset =" in result.output
    assert f"cause:     an earlier run left {project.config}: {listed}: is not a list" in result.summary
    assert "remedy:    remove it by hand" in result.summary
    check_before_deadline(result)
    assert "$ " not in result.log
    assert listed.read_text() == "not a list"
