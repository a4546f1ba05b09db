"""Runs of the project's own docker environment, killed at random moments."""

from collections.abc import Callable

import pytest

from tests.chaos.attack import check_removed_after_a_kill, write_copy
from tests.chaos.seeds import seeds
from tests.engine.e2e_docker_project import ENVIRONMENT, DockerProject

EVENTS = 50


class DockerCopy(DockerProject):
    """A copy of the project's own environment, with names and ports of its own."""

    def _write_files(self) -> None:
        services = ("services/images", "services/esb_services")
        write_copy(self, ENVIRONMENT, services, esb_project=self.name, subnet_pool=self.subnet_pool)


@pytest.mark.engine
@pytest.mark.parametrize("seed", seeds(1, 20), ids="seed-{}".format)
def test_what_a_killed_run_of_e2e_docker_leaves_is_removed(
    making: Callable[[type[DockerCopy]], DockerCopy], seed: int
) -> None:
    """A killed worker costs its test; what any other kill leaves, the reaper or the next run removes."""
    check_removed_after_a_kill(making(DockerCopy), seed, EVENTS)
