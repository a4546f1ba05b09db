"""An environment that this process alone may change: its lock, its files, its log, and what drives it."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from esb_e2e_plugin import secret_values
from esb_e2e_plugin.context import environment_paths
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import CancelledError, Failure
from esb_e2e_plugin.fingerprint import Fingerprint
from esb_e2e_plugin.invocation import invocation, removal
from esb_e2e_plugin.lifecycle.backend import Backend, backend_of, mark_of, project_of
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.deploy import applied_digest
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.lifecycle.supervisor import Supervisor
from esb_e2e_plugin.locks import EnvironmentLock, lock_key
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.ports import PortLedger
from esb_e2e_plugin.process_identity import ProcessIdentity
from esb_e2e_plugin.store import EnvironmentState, StateFile, Status, check_owner, make_host_folder

_TAKE_OVER_SECONDS = 30.0

_T = TypeVar("_T")


class Holding:
    """An environment, from taking its lock to giving it back; used by one thread at a time.

    Attributes:
        scenario: what runs.
        run: what all environments of the run share.
        key: name of its lock and leases.
        engine_host: the host of its engine, where that is another one.
        paths: its files and folders.
        ledger: where its ports are leased.
        state: its state file.
        journal: its log and events.
        supervisor: starts, watches and ends its processes.
        driver: brings its services up, watches and removes them.
        environment: what tests see of it, as soon as that is known.
        attached: whether it was found running: then it stays.
        phase: what is going on.
        failure: the first cause for which a phase failed.
        broken: whether it failed itself, and not only a test in it.
        fingerprint: what it was made of when it was deployed last, where somebody looked.
    """

    def __init__(
        self,
        scenario: Scenario,
        run: Run,
        lock: EnvironmentLock,
        key: str,
        backend: Backend,
        *,
        anew: bool = True,
    ) -> None:
        """Hold an environment; `own` and `take_over` are the ways to one."""
        paths = environment_paths(scenario, run.root)
        self.scenario = scenario
        self.run = run
        self.key = key
        self.engine_host = backend.host
        self.paths = paths
        self.ledger = PortLedger(run.host)
        self.state = StateFile(paths.state)
        self.environment: Environment | None = None
        self.attached = False
        self.phase = "reset"
        self.failure: str | None = None
        self.broken = False
        self.fingerprint: Fingerprint | None = None
        self._lock = lock
        self.make_folders()
        run.redact.add(secret_values.of_scenario(scenario))
        self.journal = Journal(
            scenario.name,
            run.run_id,
            paths.log,
            paths.events,
            run.listener,
            anew=anew,
            observer=run.observer,
            redact=run.redact,
        )
        if anew:
            self.journal.event("run.started", profile=scenario.profile)
            self.journal.event("env.queued")
        self.supervisor = Supervisor(mark_of(paths), paths.run, paths.logs, self.journal)
        self.driver = backend.driver(scenario, run, paths, key, self.supervisor, self.journal)

    @classmethod
    def own(cls, scenario: Scenario, run: Run, *, anew: bool = True) -> Self:
        """Wait for the right to change an environment, and take it.

        Args:
            scenario: what runs.
            run: what all environments of the run share.
            anew: whether log and events begin anew.

        Raises:
            HeldError: another run holds it for too long; names the holder.
            EsbError: its engine does not answer, or it belongs to another user.
            CancelledError: the run ended meanwhile.
        """

        def check() -> None:
            if run.cancelled.is_set():
                raise CancelledError("the run was interrupted")

        def waiting(who: str) -> None:
            run.listener(scenario.name, f"waiting: held by {who}")
            run.observer.event(
                scenario.name,
                {"kind": "phase.progress", "phase": "reset", "step": "lock", "waiting": [who]},
            )

        make_host_folder(run.host)
        check_owner(environment_paths(scenario, run.root).state, scenario.name)
        backend = backend_of(scenario, run)
        key = lock_key(backend.identity, project_of(scenario))
        lock = EnvironmentLock(run.host, key)
        lock.acquire(
            run_id=run.run_id,
            timeout=run.settings.lock_timeout,
            waiting=waiting,
            check=check,
        )
        try:
            return cls(scenario, run, lock, key, backend, anew=anew)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def take_over(cls, scenario: Scenario, run: Run) -> Self | None:
        """Hold an environment in place of the run's owner, which has ended; None where nothing is left of it.

        Raises:
            EsbError: the environment's engine does not answer.
        """
        backend = backend_of(scenario, run)
        key = lock_key(backend.identity, project_of(scenario))
        lock = EnvironmentLock(run.host, key)
        if not lock.inherit(run.run_id, f"the reaper of run {run.run_id}", _TAKE_OVER_SECONDS):
            return None
        try:
            return cls(scenario, run, lock, key, backend, anew=False)
        except BaseException:
            lock.release()
            raise

    @property
    def command(self) -> str:
        """The command that runs the environment's scenarios."""
        return invocation(self.scenario, self.run.settings, Path.cwd())

    @property
    def removal(self) -> str:
        """The command that removes the environment."""
        return removal(self.scenario, self.run.settings, Path.cwd())

    def in_phase(self, phase: str, seconds: float, work: Callable[[Deadline], _T]) -> _T:
        """Do the work of a phase, and record that it went well; `finish_phase` records that it did not."""
        self.begin(phase)
        started = time.monotonic()
        result = work(Deadline(seconds, self.run.cancelled, f"--esb-timeout-{phase}"))
        elapsed = time.monotonic() - started
        self.journal.event("phase.finished", phase=phase, ok=True, seconds=round(elapsed, 3))
        self.journal.say(f"{phase}: done in {elapsed:.1f} s")
        return result

    def begin(self, phase: str) -> None:
        """Record that a phase begins."""
        self.phase = phase
        self.journal.event("phase.started", phase=phase)

    def finish_phase(self, failure: Failure | None) -> None:
        """Record the end of the current phase, and why it failed."""
        if failure is None:
            self.journal.event("phase.finished", phase=self.phase, ok=True)
            return
        self.failure = self.failure or failure.cause
        self.journal.event("phase.finished", phase=self.phase, ok=False, **failure.to_event())

    def cut_short(self, reason: str) -> None:
        """Record that the current phase was given up, which is nobody's fault."""
        self.failure = self.failure or reason
        self.journal.event("phase.finished", phase=self.phase, ok=False, cause=reason)

    def write(self, status: Status, *, cause: str | None = None) -> None:
        """Record in the state file how the environment is."""
        config = self.paths.config
        # State helps the next run and a person; losing it must not hide the cause of a failure.
        with suppress(OSError):
            self.state.write(
                EnvironmentState(
                    status=status,
                    run_id=self.run.run_id,
                    owner=ProcessIdentity.current(),
                    environment=self.environment.to_data() if self.environment is not None else None,
                    services=self.driver.services(),
                    config_digest=applied_digest(config) if config is not None else None,
                    cause=cause,
                    phase=self.phase,
                    profile=self.scenario.profile,
                    broken=self.broken,
                    fingerprint=self.fingerprint.to_data() if self.fingerprint is not None else None,
                )
            )

    def make_folders(self) -> None:
        """Make the folders that nobody else may look into."""
        for folder in (self.paths.state, self.paths.run, self.paths.logs, self.paths.certificates):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def give_back(self) -> None:
        """Let others hold the environment."""
        self.journal.event("env.finished", ok=self.failure is None)
        self.journal.event("run.finished")
        self.journal.close()
        try:
            self.driver.close()
        finally:
            self._lock.release()
