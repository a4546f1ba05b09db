"""Runs of the project's own process environment, killed at random moments."""

from collections.abc import Callable

import pytest

from tests.chaos.attack import check_removed_after_a_kill, write_copy
from tests.chaos.seeds import seeds
from tests.faults.project import ENVIRONMENT, Project

EVENTS = 46


class LocalCopy(Project):
    """A copy of the project's own environment, with ports of its own."""

    def _write_files(self) -> None:
        write_copy(self, ENVIRONMENT, [])


@pytest.mark.parametrize("seed", seeds(2, 100), ids="seed-{}".format)
def test_what_a_killed_run_of_e2e_local_leaves_is_removed(
    making: Callable[[type[LocalCopy]], LocalCopy], seed: int
) -> None:
    """A killed worker costs its test; what any other kill leaves, the reaper or the next run removes."""
    check_removed_after_a_kill(making(LocalCopy), seed, EVENTS)
