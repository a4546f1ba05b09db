"""The owner of a run's environments: one thread each, from the first need to the end of clean-up.

It lives in the process that decides the end of the run: the xdist controller, or the only process.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from esb_e2e_plugin.capacity import Bounds
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.failure import CancelledError, EnvironmentFailedError, Failure, StepError
from esb_e2e_plugin.lifecycle.reaper import Reaper
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.lifecycle.runner import EnvironmentRunner
from esb_e2e_plugin.planner import Scenario

_WATCH_SECONDS = 0.1
_WAKE_SECONDS = 0.2
_LOOK_SECONDS = 2.0


class Status(Enum):
    """Where an environment is in this run."""

    UNUSED = auto()
    QUEUED = auto()
    STARTING = auto()
    READY = auto()
    FAILED = auto()
    GONE = auto()


@dataclass
class _Slot:
    scenario: Scenario
    status: Status = Status.UNUSED
    environment: Environment | None = None
    failure: Failure | None = None
    test_failure: Failure | None = None
    cleanup_failure: Failure | None = None
    tail: tuple[str, ...] = ()
    thread: threading.Thread | None = None
    released: threading.Event = field(default_factory=threading.Event)
    runner: EnvironmentRunner | None = None
    seconds: float = 0.0
    ended: bool = False
    needed: bool = False
    disturbed_by: str | None = None
    calm: threading.Event = field(default_factory=threading.Event)

    @property
    def alive(self) -> bool:
        """Whether it is there, or on its way."""
        return self.thread is not None and not self.ended


@dataclass(frozen=True)
class Outcome:
    """How an environment did in this run.

    Attributes:
        profile: its entry in the matrix.
        failure: the first cause of its failure, or None.
        cleanup: what went wrong at its removal, or None.
        tail: the last lines of its log, when it failed.
        seconds: how long it took until tests could use it.
    """

    profile: str
    failure: Failure | None
    cleanup: Failure | None
    tail: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything in it went well."""
        return self.failure is None and self.cleanup is None


class Owner:
    """Brings environments up when they are needed, watches them, and removes them."""

    def __init__(
        self,
        scenarios: Iterable[Scenario],
        run: Run,
        bounds: Bounds,
        *,
        on_change: Callable[[str], None],
        while_waiting: Callable[[], None],
    ) -> None:
        """Own nothing yet.

        Args:
            scenarios: the selected environments.
            run: what they share.
            bounds: how many there may be at once.
            on_change: called with a profile's name, from any thread, when its environment's status changed.
            while_waiting: called in the waiting thread every now and then, and when something happened.
        """
        self._run = run
        self._bounds = bounds
        self._queue: list[str] = []
        self._slots = {scenario.profile: _Slot(scenario) for scenario in scenarios}
        self._on_change = on_change
        self._while_waiting = while_waiting
        self._changed = threading.Condition()
        self._finishing = False
        self._reaper = Reaper([slot.scenario for slot in self._slots.values()], run)

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles of this run."""
        return tuple(self._slots)

    def request(self, profiles: Iterable[str]) -> None:
        """Bring environments up, but for those that were requested before, and none at the end.

        Args:
            profiles: in the order in which they start, where not all may at once.
        """
        with self._changed:
            for profile in profiles:
                slot = self._slots[profile]
                if slot.status is Status.UNUSED and not self._finishing and not self._run.cancelled.is_set():
                    slot.status = Status.QUEUED
                    self._queue.append(profile)
            self._start_queued()

    def wait(self, name: str) -> Environment:
        """Request an environment and return it when tests may use it.

        Raises:
            EnvironmentFailedError: it failed.
        """
        slot = self._slots[name]
        slot.needed = True
        self.request([name])
        while True:
            self._while_waiting()
            with self._changed:
                if slot.failure is not None:
                    raise EnvironmentFailedError(slot.failure)
                if slot.status in (Status.GONE, Status.UNUSED):
                    raise EnvironmentFailedError(_gone(slot.scenario.name))
                if slot.environment is not None:
                    return slot.environment
                self._changed.wait(_WAKE_SECONDS)

    def wait_for_all(self) -> None:
        """Request every environment and return when each is ready or has failed."""
        self.request(self._slots)
        for profile in self._slots:
            try:
                self.wait(profile)
            except EnvironmentFailedError:
                continue

    def failure(self, name: str) -> Failure | None:
        """Return why an environment itself failed, or None; a failed test is no such reason."""
        return self._slots[name].failure

    def environment(self, name: str) -> Environment | None:
        """Return an environment that tests may use, or None."""
        return self._slots[name].environment

    def is_settled(self, name: str) -> bool:
        """Tell whether an environment may be used, or never will be: who asks for it need not wait."""
        slot = self._slots[name]
        return slot.status in (Status.READY, Status.FAILED, Status.GONE) and not self._unsettled(slot)

    def weight(self, name: str) -> float:
        """Return the matrix' first guess of what an environment costs."""
        return self._slots[name].scenario.entry.weight

    def notify(self) -> None:
        """Wake whoever waits, to look at what has happened."""
        with self._changed:
            self._changed.notify_all()

    def test_failed(self, profile: str, failure: Failure) -> None:
        """Record the first failed test of an environment, with secrets hidden."""
        slot = self._slots[profile]
        if slot.test_failure is None:
            redact = slot.runner.journal.redact if slot.runner is not None else str
            lines = tuple(map(redact, failure.service_lines))
            slot.test_failure = replace(failure, cause=redact(failure.cause), service_lines=lines)

    def tell(self, profile: str, kind: str, **fields: object) -> None:
        """Record an event of an environment's test phase."""
        runner = self._slots[profile].runner
        if runner is not None:
            runner.journal.event(kind, **fields)

    def release(self, profile: str) -> None:
        """Say that no test will use an environment any more: it is removed now, unless it is kept."""
        self._slots[profile].released.set()

    def disturb(self, profile: str, test: str) -> None:
        """Say that a test begins that may end and restart the services of its environment."""
        slot = self._slots[profile]
        slot.calm.clear()
        slot.disturbed_by = test

    def calm(self, profile: str) -> None:
        """Say that this test has ended: all services must become well again before another one begins."""
        self._slots[profile].calm.set()

    def wait_until_settled(self, profile: str) -> None:
        """Return when no service recovers from a test that has ended, or the environment has failed."""
        slot = self._slots[profile]
        while self._unsettled(slot) and slot.calm.is_set():
            self._while_waiting()
            with self._changed:
                self._changed.wait(_WAKE_SECONDS)

    def finish(self) -> None:
        """End all environments and return when that is done.

        Raises:
            KeyboardInterrupt: the user did not want to wait; it can be called again.
        """
        with self._changed:
            self._finishing = True
            for profile in self._queue:
                self._slots[profile].status = Status.UNUSED
            self._queue.clear()
        for slot in self._slots.values():
            slot.released.set()
        for slot in self._slots.values():
            while slot.thread is not None and slot.thread.is_alive():
                self._while_waiting()
                slot.thread.join(_WAKE_SECONDS)
        self._reaper.dismiss()
        self._while_waiting()

    @property
    def is_done(self) -> bool:
        """Whether no environment needs its owner any more."""
        return not any(slot.thread is not None and slot.thread.is_alive() for slot in self._slots.values())

    def left(self) -> tuple[dict[str, list[str]], int | None]:
        """Look at what the reaper will find when this process ends now; from any thread.

        Returns:
            What there is of each environment, each thing with the command that removes it, and the reaper's
            pid; None where there is no reaper.
        """
        found: dict[str, list[str]] = {}

        def look(name: str, runner: EnvironmentRunner) -> None:
            with suppress(Exception):  # an engine that does not answer must not keep the user waiting
                found[name] = runner.left()

        runners = [(slot.scenario.name, slot.runner) for slot in self._slots.values() if not slot.ended]
        threads = [
            threading.Thread(target=look, args=(name, runner), daemon=True)
            for name, runner in runners
            if runner is not None
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + _LOOK_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return dict(found), self._reaper.pid

    def cancel(self) -> None:
        """Give up what is going on for every environment; `finish` then removes what is there."""
        self._run.cancelled.set()

    def outcomes(self) -> Mapping[str, Outcome]:
        """Return how each environment that was needed did."""
        return {
            slot.scenario.name: Outcome(
                profile, slot.failure or slot.test_failure, slot.cleanup_failure, slot.tail, slot.seconds
            )
            for profile, slot in self._slots.items()
            if slot.status not in (Status.UNUSED, Status.QUEUED)
        }

    def _start_queued(self) -> None:
        """Start what may start, first what a test waits for; under the lock: `finish` waits for threads."""
        self._queue.sort(key=lambda profile: not self._slots[profile].needed)
        while self._queue and not self._run.cancelled.is_set():
            slot = self._slots[self._queue[0]]
            alive = [other for other in self._slots.values() if other.alive]
            if not self._bounds.admit(
                starting=sum(other.status is Status.STARTING for other in alive),
                alive=len(alive),
                leaving=sum(other.released.is_set() for other in alive),
                needed=slot.needed,
            ):
                return
            profile = self._queue.pop(0)
            slot.status = Status.STARTING
            slot.thread = threading.Thread(
                target=self._live, args=(profile, slot), name=f"esb-{profile}", daemon=True
            )
            slot.thread.start()

    def _unsettled(self, slot: _Slot) -> bool:
        return slot.disturbed_by is not None and slot.status is Status.READY

    def _live(self, profile: str, slot: _Slot) -> None:
        """The life of an environment, in its own thread, and room for the next one."""
        try:
            self._own(profile, slot)
        finally:
            with self._changed:
                slot.ended = True
                self._start_queued()

    def _own(self, profile: str, slot: _Slot) -> None:
        try:
            if not self._run.settings.test_only:
                self._reaper.start()
            runner = EnvironmentRunner.own(slot.scenario, self._run)
        except CancelledError:
            self._change(profile, slot, Status.GONE)
            return
        except Exception as error:  # noqa: BLE001  whatever it is, it is this environment's failure
            message = error.message if isinstance(error, EsbError) else f"{type(error).__name__}: {error}"
            remedy = (error.remedy or "") if isinstance(error, EsbError) else ""
            failure = Failure(slot.scenario.name, "reset", message, remedy)
            self._change(profile, slot, Status.FAILED, failure=failure)
            return
        slot.runner = runner
        try:
            self._use(profile, slot, runner)
        except Exception as error:  # noqa: BLE001  not even a failure could be recorded: nobody may wait for ever
            failure = Failure(slot.scenario.name, runner.phase, f"{type(error).__name__}: {error}")
            self._change(profile, slot, Status.FAILED, failure=failure)
        self._end(slot, runner)
        self._change(profile, slot, Status.GONE)

    def _use(self, profile: str, slot: _Slot, runner: EnvironmentRunner) -> None:
        started = time.monotonic()
        try:
            environment = runner.attach() if self._run.settings.test_only else runner.bring_up()
            slot.seconds = time.monotonic() - started
            self._change(profile, slot, Status.READY, environment=environment)
            recorded = False
            while not slot.released.is_set() or slot.disturbed_by is not None:
                self._watch(profile, slot, runner)
                if slot.test_failure is not None and not recorded:
                    runner.record_failed_test(slot.test_failure.cause)
                    recorded = True
            runner.look()  # tests may be over before anybody has told that a service ended
            runner.finish_phase(slot.test_failure.cause if slot.test_failure is not None else None)
        except CancelledError as error:
            runner.finish_phase(error.message)
        except Exception as error:  # noqa: BLE001  whatever it is, it is this environment's failure
            self._change(profile, slot, Status.FAILED, failure=runner.fail(error))

    def _watch(self, profile: str, slot: _Slot, runner: EnvironmentRunner) -> None:
        """Look after the services for a moment; after a test that disturbs them, until all are well again."""
        if (test := slot.disturbed_by) is None:
            try:
                runner.watch(_WATCH_SECONDS)
            except StepError:
                if slot.disturbed_by is None:  # else that test has begun meanwhile
                    raise
            return
        while not slot.calm.is_set() and not slot.released.is_set():
            runner.endure(_WATCH_SECONDS)
        runner.settle(test)
        with self._changed:
            slot.disturbed_by = None
        self._change(profile, slot, Status.READY)

    def _end(self, slot: _Slot, runner: EnvironmentRunner) -> None:
        settings = self._run.settings
        try:
            if slot.failure or slot.test_failure:
                slot.tail = tuple(runner.journal.tail(settings.log_lines))
            if slot.environment is not None and (
                settings.keep or settings.build_only or settings.keep_failed
            ):
                slot.released.wait()
            if self._is_kept(slot, runner):
                runner.leave()
                return
            slot.cleanup_failure = runner.clean_up()
        except Exception as error:  # noqa: BLE001  a failed clean-up is reported, never a crash
            cause = error.message if isinstance(error, EsbError) else f"{type(error).__name__}: {error}"
            slot.cleanup_failure = Failure(slot.scenario.name, "cleanup", cause, "the next run removes it")
        if slot.cleanup_failure is not None and not slot.tail:
            slot.tail = tuple(runner.journal.tail(settings.log_lines))

    def _is_kept(self, slot: _Slot, runner: EnvironmentRunner) -> bool:
        settings = self._run.settings
        if slot.environment is not None and (settings.keep or settings.build_only):
            return True
        failed = slot.failure is not None or slot.test_failure is not None
        return settings.keep_failed and failed and runner.is_there

    def _change(
        self,
        profile: str,
        slot: _Slot,
        status: Status,
        *,
        environment: Environment | None = None,
        failure: Failure | None = None,
    ) -> None:
        with self._changed:
            slot.status = status
            slot.environment = environment or slot.environment
            slot.failure = slot.failure or failure
            self._start_queued()
            self._changed.notify_all()
        self._on_change(profile)


def _gone(name: str) -> Failure:
    return Failure(name, "test", "the environment was removed already", "run the tests again")
