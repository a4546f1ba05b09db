"""A kill at a random moment of a run, and what must hold from then on."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.faults.project import Project, Run

DEADLINE_SECONDS = 240.0
"""Hard deadline of whatever is waited for."""

Victim = Literal["controller", "worker", "group"]

_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Attack:
    """What a seed stands for.

    Attributes:
        workers: number of xdist workers.
        victim: who is killed.
        events: after how many events of the environment; 0 is before there is any.
        seconds: and how much later.
    """

    workers: int
    victim: Victim
    events: int
    seconds: float

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
        return cls(workers, victim, at, chance.uniform(0, 0.1 if at else 2.0))

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
            os.kill(chance.choice(workers), signal.SIGKILL)
        if self.victim != "worker":
            run.process.wait(DEADLINE_SECONDS)


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


def _shared(project: Project) -> Iterable[Path]:
    yield from (project.state / name for name in ("state.json", "credentials.json"))
    yield from (project.host / name for name in ("ports.json", "subnets.json"))
