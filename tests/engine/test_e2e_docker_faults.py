"""Docker environments made to fail: at the fault, by its cause, with the guilty one's lines, nothing left."""

import re
import signal
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
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
    remove_labelled,
    service,
)
from tests.faults.project import Result, eventually

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


def test_a_service_that_others_wait_for_and_that_exits_is_the_cause(project: DockerProject) -> None:
    """With `depends_on` conditions Compose starts the services, and the guilty one is quoted all the same."""
    waiting = {**front_door(), "depends_on": {"broken": {"condition": "service_healthy"}}}
    broken = {**REFUSES, "healthcheck": {"test": "true", "interval": "1s"}}
    project.write_compose({"front": waiting, "back": BACK, "broken": broken})
    result = project.run("-n0")
    check_failed(result, "compose", "broken exited with status 3", "its last lines say why")
    assert "the reason is here" in last_lines_of(result, "broken")
    project.check_nothing_left()


def test_a_service_that_turns_unhealthy_fails_at_once_with_what_its_check_says(
    project: DockerProject,
) -> None:
    """The engine's verdict ends the phase; what the check wrote is in the log."""
    sick = health("echo the check says no; exit 1", retries=1)
    project.write_compose({"front": front_door(), "back": BACK, "sick": sick})
    result = project.run("-n0")
    check_failed(result, "compose", "sick turned unhealthy", "its last lines say why")
    assert "exit 1: the check says no" in result.log
    project.check_nothing_left()


def test_a_service_that_never_gets_healthy_is_named_at_the_deadline(project: DockerProject) -> None:
    """The one deadline that must be hit names the service and the option that allows more."""
    slow = health("exit 1", start_period="600s")
    project.write_compose({"front": front_door(), "back": BACK, "slow": slow})
    result = project.run("-n0", "--esb-timeout-compose=5")
    cause = "timed out after 5 s waiting for slow to become healthy"
    check_failed(result, "compose", cause, "--esb-timeout-compose allows more", at_the_fault=False)
    project.check_nothing_left()


def test_an_image_that_cannot_be_built_is_quoted(project: DockerProject) -> None:
    """The step that failed and what it wrote are in the summary; nothing was started."""
    project.write(
        f"e2e/environments/{ENVIRONMENT}/Dockerfile",
        "FROM esb-services:latest\nRUN echo the step says no && exit 7\n",
    )
    project.write_compose(
        {"front": front_door(), "back": BACK, "made": {"build": {"context": ".", "network": "none"}}}
    )
    result = project.run("-n0")
    check_failed(result, "compose", "compose-build exited with status", "its last lines say why")
    assert "the step says no" in last_lines_of(result, "compose-build")
    assert "exit code: 7" in last_lines_of(result, "compose-build")
    project.check_nothing_left()


def test_an_image_that_cannot_be_had_is_named(project: DockerProject) -> None:
    """A registry that does not answer fails the phase with the image's name."""
    missing = {"image": "127.0.0.1:1/nothing:1"}
    project.write_compose({"front": front_door(), "back": BACK, "missing": missing})
    result = project.run("-n0")
    check_failed(result, "compose", "compose-create exited with status", "its last lines say why")
    assert "127.0.0.1:1" in last_lines_of(result, "compose-create")
    project.check_nothing_left()


def test_an_engine_that_is_not_running_is_told_with_the_command_that_starts_one(
    project: DockerProject,
) -> None:
    """Nothing is made, and nobody waits for the engine."""
    project.more["DOCKER_HOST"] = f"unix://{project.folder}/nobody.sock"
    result = project.run("-n0")
    check_failed(
        result, "reset", "the engine does not answer: No such file or directory", "start it .make engine."
    )
    assert "2 errors" in result.output
    project.check_nothing_left()


def test_a_context_that_does_not_exist_is_named(project: DockerProject) -> None:
    """A wrong `docker_context` does not fall back to the usual engine."""
    project.write_matrix(docker_context="nowhere")
    result = project.run("-n0")
    check_failed(result, "reset", "docker context 'nowhere' cannot be used", "docker context ls")
    project.check_nothing_left()


def test_a_full_address_pool_is_named(project: DockerProject) -> None:
    """A pool whose subnets are in use cannot be widened by waiting: the pool and the remedy are named."""
    pool = next(IPv4Network(project.subnet_pool).subnets(new_prefix=23))
    label = f"com.esb.test={project.name}"
    docker("network", "create", "--label", label, "--subnet", str(pool), f"{project.name}.stranger")
    try:
        project.write_matrix(subnet_pool=str(pool))
        result = project.run("-n0")
    finally:
        remove_labelled(label)
    cause = f"no pair of free /24 subnets is left for environment {ENVIRONMENT} in {pool}"
    check_failed(result, "compose", re.escape(cause), "docker network prune")
    project.check_nothing_left()


@pytest.mark.parametrize(
    ("services", "cause", "remedy"),
    [
        (
            {"front": front_door(), "back": {**BACK, "container_name": "mine"}},
            "services.back.container_name = 'mine'",
            "remove container_name",
        ),
        ({"door": front_door(), "back": BACK}, "has no service 'front'", "gateway: .service"),
        ({"front": front_door(), "back": {"imagine": "x"}}, "the compose file is wrong: .*imagine", ""),
    ],
    ids=["container_name", "front door", "not a compose file"],
)
def test_a_compose_file_that_cannot_work_is_told_before_anything_starts(
    project: DockerProject, services: dict[str, Any], cause: str, remedy: str
) -> None:
    """The user's mistake is named with what to write instead."""
    project.write_compose(services)
    result = project.run("-n0")
    check_failed(result, "compose", cause, remedy)
    assert "compose-create" not in result.log
    project.check_nothing_left()


def test_a_fixed_host_port_is_replaced_with_a_warning(project: DockerProject) -> None:
    """The run is green; the port that was asked for stays free."""
    project.write_compose({"front": front_door(), "back": {**BACK, "ports": ["127.0.0.1:8080:80"]}})
    result = project.run("-n0")
    check_green(result)
    assert "compose: warning: services.back: host port 8080 is replaced by " in result.output
    project.check_nothing_left()


def test_a_service_that_dies_under_the_tests_fails_the_environment_once(project: DockerProject) -> None:
    """Its death is the one cause, and comes before the test that holds has ended."""
    project.hold.touch()
    run = project.start("-n0")
    run.reach("test")
    docker("kill", f"{project.name}-{ENVIRONMENT}-back-1")
    eventually(lambda: "test: FAILED" in project.log.read_text(), "the death is told while a test still runs")
    project.hold.unlink()
    result = run.wait()
    check_failed(result, "test", "back exited with status 137", "its last lines say why")
    assert "2 passed" in result.output
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
