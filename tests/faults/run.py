"""Pytest runs that go on beside the test that looks at them, interrupts or kills them."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esb_e2e_plugin.processes import environment_of
from tests.faults.left_behind import command_of, reaper_of
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.faults.project import Project

RUN_SECONDS = 180.0
"""Deadline of a whole run; no phase's own deadline comes into it."""


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        code: its exit code.
        output: everything it wrote to stdout and stderr.
        log: the environment's log.
    """

    code: int
    output: str
    log: str

    @property
    def summary(self) -> str:
        """The blocks of failed environments, and what follows them."""
        return self.output[self.output.find("= Failed: ") :] if "= Failed: " in self.output else ""

    def moves(self) -> list[str]:
        """Return the terminal's lines about blocks of ports that were passed over."""
        return [line for line in self.output.splitlines() if "passed over" in line]


class Run:
    """A pytest run that goes on in a session of its own."""

    def __init__(self, project: "Project", process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._project = project
        self._output = output
        self._earlier = {event["run"] for event in project.events()}
        self.process = process

    @property
    def pid(self) -> int:
        """The pid of pytest: the xdist controller, or the only process."""
        return self.process.pid

    def output(self) -> str:
        """Return what it wrote so far."""
        return self._output.read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """Return the events that this run recorded so far."""
        return [event for event in self._project.events() if event["run"] not in self._earlier]

    def reach(self, phase: str) -> None:
        """Wait until the environment is in `phase`; in `test`, until a test runs and waits for `hold`."""

        def reached() -> bool:
            assert self.process.poll() is None, f"ended before {phase}:\n{self.output()}"
            if phase == "test":
                return self._project.held.exists()
            return any(
                event["kind"] == "phase.started" and event["phase"] == phase for event in self.events()
            )

        eventually(reached, f"phase {phase} of a run that wrote:\n{self.output()}")

    def xdist_workers(self) -> list[int]:
        """Return the pids of its xdist workers: children that belong to no environment."""
        task = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        mark = b"ESB_PROCESS_MARK="
        children = [int(pid) for pid in task.read_text().split()]
        return [
            pid
            for pid in children
            if mark not in environment_of(pid) and b"exec(eval(sys.stdin" in command_of(pid)
        ]

    def reaper(self) -> int:
        """Return the pid of its reaper, once that is there; it keeps it when it gets to work."""
        folder = self._project.folder
        return eventually(lambda: reaper_of(folder), f"a reaper of a run that wrote:\n{self.output()}")

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to it and its xdist workers, as a terminal does."""
        os.killpg(self.pid, number)

    def wait(self, timeout: float = RUN_SECONDS) -> Result:
        """Wait for its end."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.output()}") from None
        log = self._project.log
        return Result(code, self.output(), log.read_text() if log.exists() else "")
