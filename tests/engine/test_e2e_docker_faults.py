"""Docker environments made to fail: at the fault, by its cause, with the guilty one's lines, nothing left."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.e2e_docker_project import (
    BACK,
    ENVIRONMENT,
    DockerProject,
    check_green,
    docker,
    front_door,
    making_projects,
    service,
)
from tests.faults.run import Result
from tests.waiting import eventually

pytestmark = pytest.mark.engine

REFUSES = service("sh", "-c", "echo the reason is here >&2; exit 3")
DEADLINE = "timed out after"


def health(command: str, **more: Any) -> dict[str, Any]:
    """Return a service whose health is what a shell command says."""
    check = {"test": ["CMD-SHELL", command], "interval": "1s", "start_interval": "200ms", **more}
    return service(healthcheck=check, init=True)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[DockerProject]:
    """A tiny project with one environment of two services."""
    with making_projects(tmp_path) as make:
        yield make("tiny")


def check_failed(result: Result, phase: str, cause: str, remedy: str, *, at_the_fault: bool = True) -> None:
    """Assert that a run ended with one failure in `phase`, by `cause`, and not at a deadline."""
    assert result.code == 1, result.output
    assert re.findall(r"= Failed: (.*?) =", result.output) == [f"{ENVIRONMENT} > {phase}"]
    assert re.search(rf"^cause:     .*{cause}", result.summary, re.MULTILINE), result.summary
    assert not remedy or re.search(rf"^remedy:    .*{remedy}", result.summary, re.MULTILINE), result.summary
    assert f"reproduce: pytest --esb-profile {ENVIRONMENT}" in result.summary
    assert "Traceback" not in result.output
    assert at_the_fault != (DEADLINE in result.output + result.log)


def check_usage_error(project: DockerProject, shown: str, distribution: str = "-n0") -> None:
    """Assert that a run ended with one line that matches, before anything was started or written."""
    result = project.run(distribution)
    assert result.code == 4, result.output
    (line,) = [line for line in result.output.splitlines() if line.strip()]
    assert re.search(rf"^ERROR: .*{shown}", line), line
    assert not project.log.exists()
    assert not project.state.exists()
    project.check_nothing_left()


def last_lines_of(result: Result, service: str) -> str:
    """Return what the summary shows as a service's own last lines."""
    found = re.search(rf"^last lines of {service}:\n((?:  .*\n)+)", result.summary, re.MULTILINE)
    assert found, result.summary
    return found[1]


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_service_that_exits_at_start_is_named_and_quoted(project: DockerProject, distribution: str) -> None:
    """Its exit status is the cause; the log tells how every container was when it happened."""
    late = health("test -e /tmp/late", start_period="600s", retries=1000)
    late["command"] = ["sh", "-c", "sleep 2; touch /tmp/late; sleep infinity"]
    project.write_compose({"front": front_door(), "back": BACK, "broken": REFUSES, "late": late})
    result = project.run(distribution)
    check_failed(result, "compose", "broken exited with status 3", "its last lines say why")
    assert "the reason is here" in last_lines_of(result, "broken")
    assert "broken-1: exited: Exited (3)" in result.log
    assert "2 errors" in result.output
    project.check_nothing_left()


def test_a_service_that_turns_unhealthy_fails_at_once_with_what_its_check_says(
    project: DockerProject,
) -> None:
    """The engine's verdict ends the phase; what the check wrote is in the log."""
    sick = health("echo the check says no; exit 1", retries=1)
    project.write_compose({"front": front_door(), "back": BACK, "sick": sick})
    result = project.run("-n0")
    check_failed(
        result, "compose", "sick turned unhealthy", "its last lines, and what its check says in the log"
    )
    assert "exit 1: the check says no" in result.log
    project.check_nothing_left()


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
@pytest.mark.parametrize(
    ("back", "shown"),
    [
        (
            {**BACK, "container_name": "mine"},
            "container_name: 'mine' .* expected no container_name.*remove it",
        ),
        ({"imagine": "x"}, "Additional property imagine is not allowed; did you mean 'image'"),
        ({**BACK, "image": "${BACK_IMAGE:?}"}, "required variable BACK_IMAGE is missing a value.*env_vars"),
    ],
    ids=["container_name", "unknown key", "variable without a value"],
)
def test_a_compose_file_that_cannot_work_is_a_usage_error(
    project: DockerProject, back: dict[str, Any], shown: str, distribution: str
) -> None:
    """File, line and what to write instead, in one line; nothing was started or written."""
    project.write_compose({"front": front_door(), "back": back})
    check_usage_error(project, rf"docker-compose.yml:\d+: .*{shown}", distribution)


def test_a_compose_file_that_is_no_yaml_is_a_usage_error(project: DockerProject) -> None:
    """The line is the parser's."""
    path = f"e2e/environments/{ENVIRONMENT}/docker-compose.yml"
    project.write(path, "services:\n  front:\n    image: [\n")
    check_usage_error(project, rf"{path}:\d+: did not find expected")


def test_a_front_door_that_is_not_there_is_a_usage_error(project: DockerProject) -> None:
    """The matrix names the service and the port, so its line is shown, with the services that there are."""
    project.write_compose({"fronts": front_door(), "back": BACK})
    shown = r"test_matrix.yaml:\d+: e2e-docker: gateway.service: .* no service 'front'.*did you mean 'fronts'"
    check_usage_error(project, shown)
    project.write_compose({"front": {**front_door(), "expose": ["9000"]}, "back": BACK})
    shown = r"test_matrix.yaml:\d+: e2e-docker: gateway.port: .* has no port 8080; expected one of 9000"
    check_usage_error(project, shown)


def test_a_bind_mount_is_a_usage_error_for_a_remote_engine(project: DockerProject) -> None:
    """An engine behind the network is asked nothing before that is said."""
    project.write_compose({"front": front_door(), "back": {**BACK, "volumes": ["./data:/data"]}})
    project.more["DOCKER_HOST"] = "tcp://127.0.0.1:1"
    check_usage_error(project, r"docker-compose.yml:\d+: services.back.volumes: .*/data .*named volumes")


def test_nobody_asks_compose_where_nothing_runs(project: DockerProject) -> None:
    """Listing tests or a setup plan says nothing of a compose file, and starts no docker command."""
    project.write_compose({"front": front_door(), "back": {"imagine": "x"}})
    for question in ("--collect-only", "--setup-plan"):
        result = project.run("-n0", question)
        assert result.code == 0, result.output
    project.check_nothing_left()


def test_a_fixed_host_port_is_replaced_with_a_warning(project: DockerProject) -> None:
    """The run is green; the port that was asked for stays free."""
    project.write_compose({"front": front_door(), "back": {**BACK, "ports": ["127.0.0.1:8080:80"]}})
    result = project.run("-n0")
    check_green(result)
    assert "compose: warning: services.back: host port 8080 is replaced by " in result.output
    project.check_nothing_left()


@pytest.mark.parametrize(
    ("command", "cause", "remedy"),
    [
        (("kill",), "back exited with status 137", "its last lines say why"),
        (("pause",), "back was paused", "docker unpause"),
        (
            ("rm", "-f"),
            "(back exited with status 137|the container of back was removed)",
            "(its last lines say why|somebody or something removed it)",
        ),
    ],
    ids=["killed", "paused", "removed"],
)
def test_a_service_that_is_disturbed_under_the_tests_fails_the_environment_once(
    project: DockerProject, command: tuple[str, ...], cause: str, remedy: str
) -> None:
    """What was done to it is the one cause, and comes before the test that holds has ended."""
    project.hold.touch()
    run = project.start("-n0")
    run.reach("test")
    docker(*command, f"{project.name}-{ENVIRONMENT}-back-1")
    eventually(lambda: "test: FAILED" in project.log.read_text(), "it is told while a test still runs")
    project.hold.unlink()
    result = run.wait()
    check_failed(result, "test", cause, remedy)
    assert "2 passed" in result.output
    project.check_nothing_left()


def test_a_service_that_ends_with_the_last_test_fails_the_environment(project: DockerProject) -> None:
    """A run is green only if every service outlived its tests, however quick these are."""
    container = f"{project.name}-{ENVIRONMENT}-back-1"
    project.write(
        "e2e/scenarios/test_tiny.py",
        "import subprocess\n\n"
        "def test_last_breath(esb_environment):\n"
        f"    subprocess.run(['docker', 'kill', '{container}'], check=True)\n",
    )
    result = project.run("-n0")
    check_failed(result, "test", "back exited with status 137", "its last lines say why")
    assert "1 passed" in result.output
    project.check_nothing_left()


def test_a_service_that_dies_in_an_environment_left_running_is_noticed(project: DockerProject) -> None:
    """A run that only tests minds the services as the one that started them."""
    assert project.run("-n0", "--esb-build-only").code == 0
    project.hold.touch()
    run = project.start("-n0", "--esb-test-only")
    run.reach("test")
    docker("kill", f"{project.name}-{ENVIRONMENT}-back-1")
    eventually(lambda: "test: FAILED" in project.log.read_text(), "the death is told while a test still runs")
    project.hold.unlink()
    result = run.wait()
    assert result.code == 1, result.output
    assert "cause:     back exited with status 137" in result.summary
    check_green(project.run("-n0"))
    project.check_nothing_left()


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_an_interrupt_while_it_comes_up_leaves_nothing(project: DockerProject, distribution: str) -> None:
    """Ctrl-C reaches pytest and its workers only; what Compose had begun is removed."""
    project.write_compose(
        {"front": front_door(), "back": BACK, "slow": health("exit 1", start_period="600s")}
    )
    run = project.start(distribution)
    eventually(lambda: run.process.poll() is not None or len(project.there()["container"]) == 3, "containers")
    run.signal_group(signal.SIGINT)
    result = run.wait()
    assert result.code == 2, result.output
    project.check_nothing_left()


def test_a_one_shot_service_may_end_with_success(project: DockerProject) -> None:
    """A service that does its work and exits with status 0 is no failure, before the tests and under them."""
    once: Callable[[str], dict[str, Any]] = lambda command: service("sh", "-c", command)  # noqa: E731
    project.write_compose({"front": front_door(), "back": BACK, "seeds": once("echo seeded")})
    result = project.run("-n0")
    check_green(result)
    assert "seeded" in result.log
    project.check_nothing_left()


@pytest.mark.parametrize("created", [1, 3])
def test_what_a_killed_group_leaves_on_the_engine_is_removed_by_its_reaper(
    project: DockerProject, created: int
) -> None:
    """While Compose makes containers, or when all are there: a killed run and Compose leave nothing."""
    project.write_compose(
        {"front": front_door(), "back": BACK, "slow": health("exit 1", start_period="600s")}
    )
    run = project.start("-n2")
    eventually(
        lambda: run.process.poll() is not None or len(project.there()["container"]) >= created, "containers"
    )
    run.signal_group(signal.SIGKILL)
    assert run.process.wait(30) == -signal.SIGKILL
    project.check_nothing_left()
    assert "its owner is gone: the reaper removes it" in project.log.read_text()
