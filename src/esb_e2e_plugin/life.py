"""The life of one environment in a run, in a thread of its own: taken, brought up, watched, ended."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto

from esb_e2e_plugin.diagnosis import diagnose
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.failure import CancelledError, Failure, StepError
from esb_e2e_plugin.interrupts import held_back
from esb_e2e_plugin.lifecycle import ending
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.lifecycle.reaper import Reaper
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.lifecycle.runner import EnvironmentRunner
from esb_e2e_plugin.news import News
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.service_state import ServiceState

Tell = Callable[[Sequence[ServiceState]], None]
"""Is told how all services are; of an environment that nothing is known of, none."""

_WATCH_SECONDS = 0.1
_REPORT_LINES = 1000


class Status(Enum):
    """Where an environment is in this run."""

    UNUSED = auto()
    QUEUED = auto()
    STARTING = auto()
    READY = auto()
    FAILED = auto()
    GONE = auto()


class Life:
    """One environment of a run, from its first need to the end of its clean-up.

    Attributes:
        scenario: what runs.
        status: where it is.
        environment: what tests use, from when they may.
        failure: the first cause of its own failure.
        test_failure: the first failed test in it.
        cleanup_failure: what went wrong at its removal.
        tail: the last lines of its log, when it failed.
        log_end: more of them, for a report.
        requested: when it was first needed, in seconds since the epoch.
        begun: when there was room for it.
        holding: the right to change it, while this run has it.
        ready_since: when that was, in seconds since the epoch.
        seconds: how long it took until tests could use it.
        left_running: whether it is still there at the end.
        needed: whether a test waits for it.
        disturbed_by: the test that may end and restart its services, until all are well again.
        released: set when no test will use it any more.
        calm: set when that test has ended.
    """

    def __init__(
        self, scenario: Scenario, run: Run, reaper: Reaper, on_change: Callable[[Callable[[], None]], None]
    ) -> None:
        """Begin nothing yet.

        Args:
            scenario: what to run.
            run: what all environments of the run share.
            reaper: ends it when this process cannot.
            on_change: called in its thread with each change of it, which it has to make.
        """
        self.scenario = scenario
        self.status = Status.UNUSED
        self.environment: Environment | None = None
        self.failure: Failure | None = None
        self.test_failure: Failure | None = None
        self.cleanup_failure: Failure | None = None
        self.tail: tuple[str, ...] = ()
        self.log_end: tuple[str, ...] = ()
        self.requested: float | None = None
        self.begun: float | None = None
        self.holding: Holding | None = None
        self.ready_since = 0.0
        self.seconds = 0.0
        self.left_running = False
        self.needed = False
        self.disturbed_by: str | None = None
        self.released = threading.Event()
        self.calm = threading.Event()
        self._run = run
        self._reaper = reaper
        self._on_change = on_change
        self._thread: threading.Thread | None = None
        self._ended = False
        self._asking: list[Tell] | None = None  # None while nobody is there to look
        self._states: Sequence[ServiceState] = ()
        self._asked = threading.Lock()
        self._over = False  # an interrupted join() takes a thread for dead (CPython gh-90882)
        self._news = News()

    @property
    def alive(self) -> bool:
        """Whether it is there, or on its way."""
        return self._thread is not None and not self._ended

    @property
    def unsettled(self) -> bool:
        """Whether its services may be away because of a test."""
        return self.disturbed_by is not None and self.status is Status.READY

    @property
    def is_over(self) -> bool:
        """Whether its thread has ended, or never began."""
        return self._thread is None or self._over

    def begin(self) -> None:
        """Bring it up, in a thread of its own."""
        self.status = Status.STARTING
        self.begun = time.time()
        name = f"esb-{self.scenario.profile}"
        thread = threading.Thread(target=self._live, name=name, daemon=True)
        with held_back():  # what has started must be known, or nobody ends it
            thread.start()
            self._thread = thread

    def inspect(self, tell: Tell) -> None:
        """Have its log hold everything that was written until now, and tell how its services are.

        Args:
            tell: called once, in any thread; after its failure with the states at that moment.
        """
        with self._asked:
            if self._asking is not None:
                self._asking.append(tell)
                return
        tell(self._states)

    def wait(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the end of its thread."""
        if not self.is_over:
            self._news.wait(timeout)

    def _live(self) -> None:
        def end() -> None:
            self._ended = True

        try:
            self._own()
        finally:
            try:
                self._on_change(end)
            finally:
                self._over = True
                self._news.tell()

    def _own(self) -> None:
        try:
            if not self._run.settings.test_only:
                self._reaper.start()
            self.holding = holding = Holding.own(self.scenario, self._run)
        except CancelledError:
            self._change(Status.GONE)
            return
        except BaseException as error:  # noqa: BLE001  whatever it is, it is this environment's failure
            failure = diagnose(error, "reset").failure(self.scenario.name, "reset")
            failure = failure.redacted(self._run.redact)
            self._change(Status.FAILED, failure=failure)
            return
        try:
            self._use(EnvironmentRunner(holding))
        except BaseException as error:  # noqa: BLE001  not even a failure could be recorded: nobody may wait for ever
            failure = diagnose(error, holding.phase).failure(self.scenario.name, holding.phase)
            self._change(Status.FAILED, failure=failure)
        self._end(holding)
        self._change(Status.GONE)

    def _use(self, runner: EnvironmentRunner) -> None:
        started = time.monotonic()
        try:
            environment = self._way_up(runner)()
            self.seconds = time.monotonic() - started
            self.ready_since = time.time()
            self._asking = []
            self._change(Status.READY, environment=environment)
            recorded = False
            while not self.released.is_set() or self.disturbed_by is not None:
                self._watch(runner)
                if self.test_failure is not None and not recorded:
                    runner.record_failed_test(self.test_failure)
                    recorded = True
            runner.look()  # tests may be over before anybody has told that a service ended
            runner.finish(self.test_failure)
        except CancelledError as error:
            runner.cut_short(error.message)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is this environment's failure
            if self._asking is not None:
                self._states = runner.inspect()
            self._change(Status.FAILED, failure=runner.fail(error))
        finally:
            with self._asked:
                asking, self._asking = self._asking or [], None
            for tell in asking:
                tell(self._states)

    def _way_up(self, runner: EnvironmentRunner) -> Callable[[], Environment]:
        settings = self._run.settings
        if settings.test_only:
            return runner.attach
        return runner.reuse if settings.reuse else runner.bring_up

    def _watch(self, runner: EnvironmentRunner) -> None:
        """Look after the services for a moment; after a test that disturbs them, until all are well again."""
        self._answer(runner)
        if (test := self.disturbed_by) is None:
            try:
                runner.watch(_WATCH_SECONDS)
            except StepError:
                if self.disturbed_by is None:  # else that test has begun meanwhile
                    raise
            return
        while not self.calm.is_set() and not self.released.is_set():
            runner.endure(_WATCH_SECONDS)
            self._answer(runner)
        runner.settle(test)

        def settled() -> None:
            self.disturbed_by = None

        self._on_change(settled)

    def _answer(self, runner: EnvironmentRunner) -> None:
        with self._asked:
            asking, self._asking = self._asking or [], []
        if asking:
            states = runner.inspect()
            for tell in asking:
                tell(states)

    def _end(self, holding: Holding) -> None:
        settings = self._run.settings
        try:
            if self.failure or self.test_failure:
                self._keep_end_of_log(holding)
            if self.environment is not None and (
                settings.keep or settings.build_only or settings.keep_failed
            ):
                self.released.wait()
            kept = self._is_kept(holding)
            self.left_running = (kept or holding.attached) and holding.environment is not None
            if kept:
                ending.leave(holding)
                return
            self.cleanup_failure = ending.clean_up(holding)
        except BaseException as error:  # noqa: BLE001  a failed clean-up is reported, never a crash
            failure = diagnose(error, "cleanup").failure(self.scenario.name, "cleanup")
            self.cleanup_failure = replace(failure, remedy="the next run removes it")
        if self.cleanup_failure is not None and not self.tail:
            self._keep_end_of_log(holding)

    def _keep_end_of_log(self, holding: Holding) -> None:
        """Keep what the summary and a report show: the next run empties the file."""
        settings = self._run.settings
        count = max(settings.log_lines, _REPORT_LINES if settings.reports else 0)
        self.log_end = tuple(holding.journal.tail(count))
        self.tail = self.log_end[-settings.log_lines :]

    def _is_kept(self, holding: Holding) -> bool:
        settings = self._run.settings
        if self.environment is not None and (settings.keep or settings.build_only):
            return True
        if self.environment is not None and settings.reuse and self.failure is None:
            return True
        failed = self.failure is not None or self.test_failure is not None
        return settings.keep_failed and failed and holding.environment is not None

    def _change(
        self, status: Status, *, environment: Environment | None = None, failure: Failure | None = None
    ) -> None:
        def change() -> None:
            self.status = status
            self.environment = environment or self.environment
            self.failure = self.failure or failure

        self._on_change(change)


def left(lives: "list[Life]", timeout: float) -> dict[str, list[str]]:
    """Return what there is of each environment, each thing with the command that removes it.

    Args:
        lives: the environments; those that nothing is held of are passed over.
        timeout: seconds until giving up on an engine that does not answer.
    """
    found: dict[str, list[str]] = {}

    def look(name: str, holding: Holding) -> None:
        with suppress(Exception):  # an engine that does not answer must not keep the user waiting
            found[name] = ending.left(holding)

    threads = [
        threading.Thread(target=look, args=(life.scenario.name, life.holding), daemon=True)
        for life in lives
        if life.alive and life.holding is not None
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return dict(found)
