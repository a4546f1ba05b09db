"""Exclusive tests on containers: they may end and start services; afterwards all must be well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.e2e_docker_project import DockerProject, making_projects
from tests.run_notes import ALL_COLLECT_FIRST, CONFTEST, run_beside, take_notes

pytestmark = pytest.mark.engine

_RESTARTS = """
import subprocess, pytest
from urllib.request import urlopen

def docker(environment, verb, service):
    name = f"{environment.project}-{service}-1"
    subprocess.run(["docker", verb, name], check=True, capture_output=True, timeout=60)

@pytest.mark.esb_exclusive
def test_restart(esb_environment):
    for service in ("back", "front"):
        docker(esb_environment, "kill", service)
    for service in ("back", "front"):
        docker(esb_environment, "start", service)

def test_hello(esb_gateway_url):
    with urlopen(f"{esb_gateway_url}/", timeout=30) as answer:
        assert answer.read() == b"hello"
"""

_STOPS = """
@pytest.mark.esb_exclusive
def test_stop(esb_environment):
    docker(esb_environment, "kill", "back")

def test_later(esb_gateway_url):
    pass
"""

_MANY = """
import time, pytest
from urllib.request import urlopen

def ask(url):
    with urlopen(f"{url}/", timeout=30) as answer:
        assert answer.read() == b"hello"
    time.sleep(0.05)  # so long that others would run beside it

@pytest.mark.parametrize("number", range(13))
def test_share(esb_gateway_url, number):
    ask(esb_gateway_url)

@pytest.mark.esb_exclusive
@pytest.mark.parametrize("number", range(3))
def test_alone(esb_gateway_url, number):
    ask(esb_gateway_url)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[DockerProject]:
    """A tiny project with one environment of two services."""
    with making_projects(tmp_path) as make:
        yield make("tiny")


def test_two_workers_share_an_environment_except_with_exclusive_tests(project: DockerProject) -> None:
    """It comes up once, each test runs once, both workers run some, and the exclusive ones run alone."""
    project.write("conftest.py", f"{ALL_COLLECT_FIRST}\nWORKERS = 2\n")
    project.write("e2e/scenarios/conftest.py", CONFTEST)
    project.write("e2e/scenarios/test_tiny.py", _MANY)
    result = project.run("-n2")
    assert result.code == 0, result.output + result.log
    assert "16 passed" in result.output
    assert result.log.count("the front door is open") == 1
    ran = take_notes(project.root)
    assert set(Counter(note.test for note in ran).values()) == {1}
    assert len(ran) == 16
    assert {note.worker for note in ran} == {"gw0", "gw1"}
    alone = [note for note in ran if "test_alone" in note.test]
    assert len(alone) == 3
    assert run_beside(alone, ran) == []
    project.check_nothing_left()


def test_what_an_exclusive_test_restarts_is_waited_for_and_followed(project: DockerProject) -> None:
    """The next test finds the front door open, and what it says after its restart is in the log."""
    project.write("e2e/scenarios/test_tiny.py", _RESTARTS)
    result = project.run("-n2")
    assert result.code == 0, result.output + result.log
    assert "2 passed" in result.output
    assert result.log.count("the front door is open") == 2
    project.check_nothing_left()


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_what_an_exclusive_test_leaves_stopped_fails_the_environment(
    project: DockerProject, distribution: str
) -> None:
    """The cause names the test; the tests after it are errors of one line."""
    project.write("e2e/scenarios/test_tiny.py", _RESTARTS + _STOPS)
    result = project.run(distribution, "-k", "stop or later")
    assert result.code == 1, result.output
    assert "1 passed" in result.output
    assert "1 error" in result.output
    stopping = f"e2e/scenarios/test_tiny.py::test_stop[{project.entry['esb_env']}]"
    assert f"cause:     after the esb_exclusive test {stopping}: back exited with status" in result.summary
    project.check_nothing_left()
