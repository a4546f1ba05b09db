"""Kills one after the other: whatever they hit, the next run is green and leaves nothing."""

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.chaos.seeds import seeds
from tests.faults.project import Project

KILLS = 2
LONGEST_SECONDS = 4.0


@pytest.mark.parametrize("seed", seeds(1, 20), ids="seed-{}".format)
def test_a_run_after_kills_one_after_the_other_is_green(
    making: Callable[[type[Project]], Project], seed: int
) -> None:
    """A run may be killed while it repairs what another one has left; then the same command does its work."""
    project = making(Project)
    chance = random.Random(seed)
    for _ in range(KILLS):
        run = project.start(chance.choice(("-n0", "-n0", "-n2")))
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(chance.uniform(0, LONGEST_SECONDS))
        victim = chance.choice((os.kill, os.killpg))
        with contextlib.suppress(ProcessLookupError):
            victim(run.pid, signal.SIGKILL)
        run.process.wait(30)
    result = project.run("-n0")
    assert result.code == 0, result.output
    project.check_nothing_left()
