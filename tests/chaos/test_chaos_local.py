"""Runs of the project's own process environment, killed at random moments."""

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.chaos.attack import DEADLINE_SECONDS, Attack
from tests.chaos.seeds import seeds
from tests.faults.project import Project

LOG = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
EVENTS = 46
SCENARIOS = "e2e/scenarios/smoke"


class LocalCopy(Project):
    """A copy of the project's own environments and scenarios, with ports of its own."""

    def _write_files(self) -> None:
        ignored = shutil.ignore_patterns("__pycache__", ".parallel-*.log")
        shutil.copytree(ROOT / "e2e", self.root / "e2e", ignore=ignored)
        addopts = "--import-mode=importlib -p no:cacheprovider"
        self.write("pyproject.toml", f'[tool.pytest.ini_options]\naddopts = "{addopts}"\n')
        matrix = yaml.safe_load((ROOT / "e2e/environments/test_matrix.yaml").read_text())
        self.write("e2e/environments/test_matrix.yaml", {**matrix, "port_base": self.port_base})


@pytest.fixture
def copy(making: Callable[[type[LocalCopy]], LocalCopy]) -> LocalCopy:
    """The project's own environment, in a folder of its own."""
    return making(LocalCopy)


@pytest.mark.parametrize("seed", seeds(3, 100), ids="seed-{}".format)
def test_what_a_killed_run_of_e2e_local_leaves_is_removed(copy: LocalCopy, seed: int) -> None:
    """A killed worker costs its test; after any other kill the next run is green. Nothing is left."""
    chance = random.Random(seed)
    attack = Attack.of(chance, EVENTS)
    LOG.warning("seed %s: %s", seed, attack)
    run = copy.start(f"-n{attack.workers}", SCENARIOS)
    attack.on(copy, run, chance)
    result = run.wait(DEADLINE_SECONDS)
    if attack.victim == "worker":
        assert result.code in (0, 1), result.output
        assert "INTERNALERROR" not in result.output
    else:
        again = copy.start("-n0", SCENARIOS).wait(DEADLINE_SECONDS)
        assert again.code == 0, again.output
    copy.check_nothing_left()
