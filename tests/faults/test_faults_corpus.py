"""Every fault of the corpus: environment, phase, class, component, cause and remedy on the first screen."""

import pytest

from tests.engine.e2e_docker_project import ENVIRONMENT as DOCKER_ENVIRONMENT
from tests.engine.e2e_docker_project import DockerProject
from tests.engine.platform_project import Containerd
from tests.faults.corpus.containerd_faults import CONTAINERD
from tests.faults.corpus.docker_faults import DOCKER
from tests.faults.corpus.fault import Fault, check, injected
from tests.faults.corpus.process_faults import PROCESS
from tests.faults.project import ENVIRONMENT, Project


@pytest.mark.parametrize("fault", PROCESS.faults, ids=lambda fault: fault.id)
def test_a_process_environment_says_what_is_wrong(fault: Fault, project: Project) -> None:
    """Whatever goes wrong: the first lines of the summary name it, and what to do about it."""
    with injected(fault, project):
        result = project.run("-n0", *fault.options)
    check(fault, project, ENVIRONMENT, result)
    if not fault.leaves:
        project.check_nothing_left()


@pytest.mark.engine
@pytest.mark.parametrize("fault", DOCKER.faults, ids=lambda fault: fault.id)
def test_a_docker_environment_says_what_is_wrong(fault: Fault, docker_project: DockerProject) -> None:
    """The engine's events, exit codes and health checks lead to who is guilty."""
    with injected(fault, docker_project):
        result = docker_project.run("-n0", *fault.options)
    check(fault, docker_project, DOCKER_ENVIRONMENT, result)
    if not fault.leaves:
        docker_project.check_nothing_left()


@pytest.mark.engine
@pytest.mark.parametrize("fault", CONTAINERD.faults, ids=lambda fault: fault.id)
def test_a_containerd_environment_says_what_is_wrong(fault: Fault, containerd_project: Containerd) -> None:
    """With one container more, that others need: the same rules."""
    with injected(fault, containerd_project):
        result = containerd_project.run("-n0", *fault.options)
    check(fault, containerd_project, containerd_project.environment, result)
    containerd_project.check_nothing_left()
