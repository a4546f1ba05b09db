"""Environments on another engine than the usual one, and an engine that goes away."""

import contextlib
import re
import subprocess
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
)
from tests.engine.images import IMAGE
from tests.engine.platform_project import SMOKE, Platform, function_images
from tests.engine.second_engine import CONTEXT, SecondEngine, second_engine
from tests.faults.run import Result
from tests.ports import own_ports
from tests.waiting import eventually

pytestmark = pytest.mark.engine

BUILD_SECONDS = 600
"""A run that may have to build the images of all functions."""
RESTART = "e2e/scenarios/standard/test_standard_restart.py"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    """A second engine that has the image of the services."""
    with own_ports() as base, second_engine(tmp_path_factory.mktemp("e"), (base - 20000) // 200) as engine:
        engine.load([IMAGE])
        yield engine


@pytest.fixture
def on_second_engine(tmp_path: Path, engine: SecondEngine) -> Iterator[Callable[..., DockerProject]]:
    """`on_second_engine(kind)`: a project whose environment has the second engine's context."""
    with making_projects(tmp_path) as make:

        def make_there(kind: type[DockerProject] = DockerProject, **entry: Any) -> DockerProject:
            project = make("project", kind=kind, engine=engine.variables)
            engine.make_context(Path(project.variables()["HOME"]))
            # The context wins over what leads everything else to the first engine.
            project.more["DOCKER_HOST"] = "unix:///var/run/docker.sock"
            project.write_matrix(docker_context=CONTEXT, subnet_pool=engine.subnets, **entry)
            return project

        yield make_there


@contextlib.contextmanager
def started_on(project: DockerProject, variables: dict[str, str]) -> Iterator[list[str]]:
    """Listen to an engine; yield a list that afterwards names what was started there for a project."""
    names: list[str] = []
    command = ["docker", "events", "--filter", "event=start", "--filter", f"label={project.label}"]
    environment = {"PATH": project.variables()["PATH"], **variables}
    with subprocess.Popen(
        [*command, "--format", "{{.Actor.Attributes.name}}"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as listener:
        try:
            yield names
        finally:
            listener.terminate()
            names.extend(listener.communicate()[0].split())


def check_failed(result: Result, phase: str, cause: str) -> None:
    """Assert that a run ended with one failure in `phase` by `cause`."""
    assert result.code == 1, result.output
    assert f"= Failed: {ENVIRONMENT} > {phase} =" in result.output
    assert re.search(rf"^cause:     .*{cause}", result.summary, re.MULTILINE), result.summary
    assert "Traceback" not in result.output


def test_a_context_leads_everything_to_its_engine(on_second_engine: Callable[..., DockerProject]) -> None:
    """Containers, networks, volumes, over TCP with TLS: the first engine never hears of them."""
    project = on_second_engine()
    own = f"{project.name}-{ENVIRONMENT}"
    project.hold.touch()
    with started_on(project, {}) as on_first:
        run = project.start("-n0")
        run.reach("test")
        assert project.there()["container"] == [f"{own}-back-1", f"{own}-front-1"]
        project.engine, engine = {}, project.engine
        assert project.there() == {"container": [], "network": [], "volume": []}
        project.engine = engine
        project.hold.unlink()
        check_green(run.wait())
    assert on_first == []
    project.check_nothing_left()


def test_the_platform_runs_on_another_engine_with_all_its_workers(
    on_second_engine: Callable[..., DockerProject], engine: SecondEngine
) -> None:
    """Smoke and restarts are green, and function workers were started on the second engine only."""
    project = on_second_engine(Platform, engine_socket=str(engine.socket))
    # What the first engine has of the functions' images need not be built again.
    engine.load(function_images())
    with started_on(project, {}) as on_first, started_on(project, engine.variables) as on_second:
        run = project.start("-n2", "--esb-test-target", SMOKE, "--esb-test-target", RESTART)
        result = run.wait(BUILD_SECONDS)
    assert result.code == 0, result.output + result.log
    assert " passed" in result.output
    assert on_first == []
    own = f"{project.name}-{ENVIRONMENT}"
    assert {f"{own}-{service}-1" for service in ("gateway", "agent", "database", "s3-storage")} <= {
        *on_second
    }
    assert [name for name in on_second if re.fullmatch(rf"{own}-[a-z0-9-]+-[0-9a-f]{{8}}", name)]
    project.check_nothing_left()


def test_an_agent_on_another_engine_than_its_environment_fails_compose(
    on_second_engine: Callable[..., DockerProject], engine: SecondEngine
) -> None:
    """A wrong `engine_socket` would start workers elsewhere, if its network were there: both are named."""
    project = on_second_engine(Platform, engine_socket="/var/run/docker.sock")
    network = f"{project.name}-{ENVIRONMENT}-runtime"
    first, second = docker("info", "--format", "{{.ID}}"), engine.docker("info", "--format", "{{.ID}}")
    docker("network", "create", network)
    try:
        result = project.run("-n0", "--esb-test-target", SMOKE)
    finally:
        docker("network", "rm", network)
    cause = f"the agent starts workers on engine {first}, the environment runs on {second}"
    check_failed(result, "compose", cause)
    assert "remedy:    set engine_socket in the matrix" in result.summary
    project.check_nothing_left()


def test_a_folder_of_this_machine_cannot_be_mounted_on_another_engine(
    on_second_engine: Callable[..., DockerProject],
) -> None:
    """Over TCP nobody knows whose folder it would be: a usage error, by file and line."""
    project = on_second_engine()
    project.write_compose({"front": front_door(), "back": {**BACK, "volumes": ["./data:/seen:ro"]}})
    result = project.run("-n0")
    assert result.code == 4, result.output
    assert re.search(r"docker-compose.yml:\d+: services.back.volumes: .*/data ", result.output)
    project.check_nothing_left()


def test_an_engine_socket_that_the_engines_host_does_not_have_is_named(
    on_second_engine: Callable[..., DockerProject], tmp_path: Path
) -> None:
    """The one file that may be mounted from there; no empty folder is made in its place."""
    missing = str(tmp_path / "not-there.sock")
    project = on_second_engine(engine_socket=missing)
    project.write_compose({"front": front_door(), "back": {**BACK, "volumes": [f"{missing}:/seen"]}})
    result = project.run("-n0")
    check_failed(result, "compose", f"a service mounts {missing}, which the engine's host does not have")
    assert "remedy:    set engine_socket in the matrix" in result.summary
    assert not Path(missing).exists()
    project.check_nothing_left()


def test_an_engine_that_dies_is_told_and_the_next_run_removes_what_it_left(
    on_second_engine: Callable[..., DockerProject], engine: SecondEngine
) -> None:
    """Its end fails the environment at once; clean-up says that it could not; the next run is green."""
    project = on_second_engine()
    project.hold.touch()
    run = project.start("-n0")
    run.reach("test")
    engine.kill()
    eventually(lambda: "test: FAILED" in project.log.read_text(), "the end of the engine is told")
    project.hold.unlink()
    result = run.wait()
    check_failed(result, "test", "the container engine has gone away")
    assert f"= Failed: {ENVIRONMENT} > cleanup =" in result.output
    assert "the engine does not answer: Connection refused" in result.summary
    assert "remedy:    the next run removes it" in result.summary
    engine.start()
    assert len(project.there()["container"]) == 2
    check_green(project.run("-n0"))
    project.check_nothing_left()
