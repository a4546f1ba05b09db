"""Kills at random moments: whatever they hit, the next run is green and leaves nothing.

`FAULT_SEEDS=100 pytest tests/faults/test_faults_chaos.py` looks longer.
"""

import contextlib
import os
import random
import signal
import subprocess

import pytest

from tests.faults.project import Project

SEEDS = int(os.environ.get("FAULT_SEEDS", "6"))
KILLS = 2
LONGEST_SECONDS = 4.0


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_run_after_kills_at_random_moments_is_green(project: Project, seed: int) -> None:
    """Runs are killed at any time, alone or with their workers; then the same command does its work."""
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
