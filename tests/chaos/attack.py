"""Runs of the project's own environments, killed at random moments, and what must hold from then on."""

import contextlib
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.faults.project import Project
from tests.faults.run import Run

DEADLINE_SECONDS = 600.0
"""Hard deadline of whatever is waited for."""

Victim = Literal["controller", "worker", "group"]

_ROOT = Path(__file__).parents[2]
_MATRIX = "e2e/environments/test_matrix.yaml"
_SCENARIOS = "e2e/scenarios/smoke"
_AT_ONCE = 0.3
_POLL_SECONDS = 0.01
_LOOK_SECONDS = 0.2
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attack:
    """What a seed stands for.

    Attributes:
        workers: number of xdist workers.
        victim: who is killed.
        events: after how many events of the environment; 0 is before there is any.
        seconds: and how much later.
        at_once: whether the next run begins at once; else what is left is left to the reaper.
    """

    workers: int
    victim: Victim
    events: int
    seconds: float
    at_once: bool

    @classmethod
    def of(cls, chance: random.Random, events: int) -> "Attack":
        """Return an attack.

        Args:
            chance: decides.
            events: how many events a run has, about.
        """
        victim: Victim = chance.choice(("controller", "controller", "worker", "group"))
        workers = 2 if victim == "worker" else chance.choice((0, 2))
        at = chance.randint(0, events)
        seconds = chance.uniform(0, 0.1 if at else 2.0)
        return cls(workers, victim, at, seconds, at_once=chance.random() < _AT_ONCE)

    def on(self, project: Project, run: Run, chance: random.Random) -> None:
        """Kill the victim at its moment; state and leases can be read until then, and after it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while run.process.poll() is None and len(run.events()) < self.events:
            assert time.monotonic() < deadline, f"only {len(run.events())} events:\n{run.output()}"
            check_readable(project)
            time.sleep(_POLL_SECONDS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(self.seconds)
        if run.process.poll() is None:
            self._kill(run, chance)
        check_readable(project)

    def _kill(self, run: Run, chance: random.Random) -> None:
        if self.victim == "group":
            run.signal_group(signal.SIGKILL)
        elif self.victim == "controller":
            os.kill(run.pid, signal.SIGKILL)
        elif workers := run.xdist_workers():
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(chance.choice(workers), signal.SIGKILL)
        if self.victim != "worker":
            run.process.wait(DEADLINE_SECONDS)


def write_copy(project: Project, environment: str, folders: Iterable[str], **more: Any) -> None:
    """Fill a project with a copy of the project's own environments and scenarios.

    Args:
        project: what is filled.
        environment: the entry of the matrix that is used.
        folders: what is copied beside `e2e`.
        more: keys of the entry that differ; `subnet_pool` is one of the file.
    """
    ignored = shutil.ignore_patterns("__pycache__", ".parallel-*.log")
    for folder in ("e2e", *folders):
        shutil.copytree(_ROOT / folder, project.root / folder, ignore=ignored)
    addopts = "--import-mode=importlib -p no:cacheprovider -p no:hypothesispytest -p no:anyio"
    project.write("pyproject.toml", f'[tool.pytest.ini_options]\naddopts = "{addopts}"\n')
    # What is fetched and built once for all projects of a user costs minutes.
    (project.folder / "home" / ".cache").symlink_to(Path.home() / ".cache")
    matrix = yaml.safe_load((_ROOT / _MATRIX).read_text())
    matrix |= {key: more.pop(key) for key in ("subnet_pool",) if key in more}
    (entry,) = [entry for entry in matrix["matrix"] if entry["esb_env"] == environment]
    project.write(_MATRIX, {**matrix, "matrix": [{**entry, **more}], "port_base": project.port_base})


def check_removed_after_a_kill(project: Project, seed: int, events: int) -> None:
    """Kill a run at a random moment, and assert that the reaper or the next run removes what it leaves.

    Args:
        project: see `write_copy`.
        seed: decides on everything.
        events: how many events a run of the environment has, about.
    """
    chance = random.Random(seed)
    attack = Attack.of(chance, events)
    _LOG.warning("seed %s: %s", seed, attack)
    run = project.start(f"-n{attack.workers}", _SCENARIOS)
    attack.on(project, run, chance)
    result = run.wait(DEADLINE_SECONDS)
    assert "INTERNALERROR" not in result.output, result.output
    if result.code != -signal.SIGKILL:
        assert result.code in (0, 1), result.output
    elif attack.at_once:
        result = project.start("-n0", _SCENARIOS).wait(DEADLINE_SECONDS)
        assert result.code == 0, result.output
    else:
        _wait_for_reaper(project)
    project.check_nothing_left()


def check_readable(project: Project) -> None:
    """Assert that what runs share can be read whole, whatever is going on."""
    for path in _shared(project):
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue
        try:
            json.loads(text)
        except ValueError:
            raise AssertionError(f"{path} cannot be read: {text!r}") from None


def _wait_for_reaper(project: Project) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while left := project.left_over():
        assert time.monotonic() < deadline, "\n".join(left)
        time.sleep(_LOOK_SECONDS)


def _shared(project: Project) -> Iterable[Path]:
    yield from (project.state / name for name in ("state.json", "credentials.json"))
    yield from (project.host / name for name in ("ports.json", "subnets.json"))
