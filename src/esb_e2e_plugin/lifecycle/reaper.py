"""A process that ends the environments of a run whose owner was killed, crashed, or could not wait.

The owner starts a `watchdog` with the first environment, and says goodbye to it when all are ended. Without
that word the watchdog becomes this module when the owner ends: it takes over every environment that the lock
still says to be of this run, and ends it as the owner would have, or leaves it where it is to be kept.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from esb_e2e_plugin.context import environment_paths
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.lifecycle import watchdog
from esb_e2e_plugin.lifecycle.ending import end_for_owner
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.store import StateFile

_MODULE = "esb_e2e_plugin.lifecycle.reaper"
_ALARM_SECONDS = 300
_GOODBYE_SECONDS = 5.0
_NOT_HANDED_ON = frozenset({"redact", "hooks", "listener", "cancelled", "observer"})


class Reaper:
    """The owner's side: a process that outlives it by what it has left."""

    def __init__(self, scenarios: Sequence[Scenario], run: Run) -> None:
        """Start nothing yet.

        Args:
            scenarios: the environments that the run may bring up.
            run: what they share.
        """
        self._scenarios = tuple(scenarios)
        self._run = run
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._dismissed = False

    @property
    def pid(self) -> int | None:
        """The pid of the process; None where there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process, unless it was started before; from any thread.

        Raises:
            OSError: this machine has no room for one more.
        """
        with self._lock:
            if self._process is None and not self._dismissed:
                self._process = self._start()

    def dismiss(self) -> None:
        """Say that nothing is left to do, and see the process end."""
        with self._lock:
            process, self._dismissed = self._process, True
            if process is None or process.stdin is None or process.stdin.closed:
                return
            with suppress(OSError):  # somebody has killed it
                process.stdin.write(b".")
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(_GOODBYE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        facts = {name: value for name, value in vars(self._run).items() if name not in _NOT_HANDED_ON}
        # Memory with a descriptor: secrets of the caller's environment lie in no file, and nothing is left.
        job = os.memfd_create("esb-reaper")
        owner = os.pidfd_open(os.getpid())
        try:
            with os.fdopen(job, "wb", closefd=False) as file:
                pickle.dump((self._scenarios, facts), file)
            paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)  # noqa: PTH100
            return subprocess.Popen(
                [sys.executable, "-I", "-S", watchdog.__file__, str(owner), str(job), _MODULE],
                env={**os.environ, "PYTHONPATH": paths},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # the caller's would stay open, and `pytest | cat` would not end
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=(owner, job),
                start_new_session=True,
            )
        finally:
            os.close(job)
            os.close(owner)


class _NoHooks:
    """A project's hooks live in the process that was killed."""

    def deploy(self, environment: Environment, log: Callable[[str], None]) -> None:
        """Nothing is deployed any more."""

    def ready(self, environment: Environment) -> None:
        """Nothing gets ready any more."""

    def failed(self, environment: str, failure: Failure) -> None:
        """Nobody is there to be told."""


def reap(scenarios: Sequence[Scenario], run: Run) -> None:
    """End what the owner of a run has left of its environments, all at once."""
    threads = [threading.Thread(target=_end, args=(scenario, run), daemon=True) for scenario in scenarios]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _end(scenario: Scenario, run: Run) -> None:
    try:
        holding = Holding.take_over(scenario, run)
        if holding is not None:
            end_for_owner(holding)
    except Exception as error:  # noqa: BLE001  nobody is there to be told: the log must hold it
        paths = environment_paths(scenario, run.root)
        state = StateFile(paths.state).read()
        if state is not None and state.run_id == run.run_id:
            journal = Journal(scenario.name, run.run_id, paths.log, paths.events, run.listener, anew=False)
            journal.say(f"cleanup: FAILED: {error}: the next run removes what is left")
            journal.event("cleanup.left", things=[str(error)])
            journal.close()


def main(job: int) -> None:
    """Do the job that lies in a descriptor; an alarm ends this process if something keeps it."""
    signal.alarm(_ALARM_SECONDS)
    os.lseek(job, 0, os.SEEK_SET)
    with os.fdopen(job, "rb") as file:
        scenarios, facts = pickle.load(file)  # noqa: S301  from our own owner
    run = Run(**facts, hooks=_NoHooks(), listener=_nobody_listens, cancelled=threading.Event())
    reap(scenarios, run)


def _nobody_listens(_environment: str, _text: str) -> None:
    """The terminal is the owner's."""


if __name__ == "__main__":
    main(int(sys.argv[1]))
