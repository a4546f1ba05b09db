"""The owner of a run's environments: one thread each, from the first need to the end of clean-up.

It lives in the process that decides the end of the run: the xdist controller, or the only process.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue

from esb_e2e_plugin.capacity import Bounds
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.failure import EnvironmentFailedError, Failure, Kind
from esb_e2e_plugin.life import Life, Status, Tell, left
from esb_e2e_plugin.lifecycle.reaper import Reaper
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.news import News
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.service_state import ServiceState

_WAKE_SECONDS = 0.2
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """How an environment did in this run.

    Attributes:
        profile: its entry in the matrix.
        failure: the first cause of its failure, or None.
        cleanup: what went wrong at its removal, or None.
        tail: the last lines of its log, when it failed.
        seconds: how long it took until tests could use it.
        cut_short: whether the run gave up before tests could use it.
        left_running: whether it is still there.
    """

    profile: str
    failure: Failure | None
    cleanup: Failure | None
    tail: tuple[str, ...]
    seconds: float
    cut_short: bool = False
    left_running: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything in it went well."""
        return self.failure is None and self.cleanup is None and not self.cut_short


@dataclass(frozen=True, kw_only=True)
class Story:
    """What happened to an environment in this run.

    Attributes:
        events: lines as in its events file, but for those about tests.
        requested: when it was first needed, in seconds since the epoch; None where it was not.
        begun: when there was room for it; None where there was not.
        log_end: the last lines of its log, where it failed.
        outcome: how it did; None where it never began.
    """

    events: tuple[str, ...] = ()
    requested: float | None = None
    begun: float | None = None
    log_end: tuple[str, ...] = ()
    outcome: Outcome | None = None


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
        wanted = tuple(scenarios)
        self._reaper = Reaper(wanted, run)
        self._lives = {
            s.profile: Life(s, run, self._reaper, partial(self._change, s.profile)) for s in wanted
        }
        self._on_change = on_change
        self._while_waiting = while_waiting
        self._lock = threading.RLock()
        self._news = News()
        self._finishing = False

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles of this run."""
        return tuple(self._lives)

    def request(self, profiles: Iterable[str]) -> None:
        """Bring environments up, but for those that were requested before, and none at the end.

        Args:
            profiles: in the order in which they start, where not all may at once.
        """
        with self._lock:
            for profile in profiles:
                life = self._lives[profile]
                if life.status is Status.UNUSED and not self._finishing and not self._run.cancelled.is_set():
                    life.status = Status.QUEUED
                    life.requested = time.time()
                    self._run.observer.event(life.scenario.name, {"kind": "env.queued"})
                    self._queue.append(profile)
            self._start_queued()

    def need(self, profile: str) -> None:
        """Request an environment that a test waits for: it starts next, if need be beyond the bound."""
        with self._lock:
            self._lives[profile].needed = True
            self.request([profile])

    def wait(self, name: str, meanwhile: Callable[[], None] | None = None) -> Environment:
        """Request an environment and return it when tests may use it.

        Args:
            name: its profile.
            meanwhile: called once, if it takes a while: at first this process has enough to do itself.

        Raises:
            EnvironmentFailedError: it failed.
        """
        life = self._lives[name]
        self.need(name)
        while True:
            self._while_waiting()
            with self._lock:
                if life.failure is not None:
                    raise EnvironmentFailedError(life.failure)
                if life.status in (Status.GONE, Status.UNUSED):
                    raise EnvironmentFailedError(_gone(life.scenario.name))
                if life.environment is not None:
                    return life.environment
            takes_a_while = not self._news.wait(_WAKE_SECONDS)
            if takes_a_while and meanwhile is not None:
                meanwhile()
                meanwhile = None

    def wait_for_all(self) -> None:
        """Request every environment and return when each is ready or has failed."""
        self.request(self._lives)
        for profile in self._lives:
            try:
                self.wait(profile)
            except EnvironmentFailedError:
                continue

    def failure(self, name: str) -> Failure | None:
        """Return why an environment itself failed, or None; a failed test is no such reason."""
        return self._lives[name].failure

    def environment(self, name: str) -> Environment | None:
        """Return an environment that tests may use, or None."""
        return self._lives[name].environment

    def ready_since(self, name: str) -> float:
        """Return when tests could use an environment first, in seconds since the epoch; 0 if never."""
        return self._lives[name].ready_since

    def inspect(self, name: str, timeout: float) -> Sequence[ServiceState]:
        """Have an environment's log hold all that was written until now; return how its services are."""
        answer: SimpleQueue[Sequence[ServiceState]] = SimpleQueue()
        self.ask(name, answer.put)
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self._while_waiting()
            with suppress(Empty):
                return answer.get(timeout=min(left, _WAKE_SECONDS))
        return ()

    def ask(self, name: str, tell: Tell) -> None:
        """Have `tell` called, in any thread, with what `inspect` returns."""
        self._lives[name].inspect(tell)

    def is_settled(self, name: str) -> bool:
        """Tell whether an environment may be used, or never will be: who asks for it need not wait."""
        life = self._lives[name]
        return life.status in (Status.READY, Status.FAILED, Status.GONE) and not life.unsettled

    def is_starting(self) -> bool:
        """Tell whether an environment comes up now; those that there is no room for yet do not."""
        return any(life.status is Status.STARTING for life in self._lives.values())

    def ready(self) -> int:
        """Return how many environments tests may use now."""
        return sum(life.status is Status.READY for life in self._lives.values())

    def weight(self, name: str) -> float:
        """Return the matrix' first guess of what an environment costs."""
        return self._lives[name].scenario.entry.weight

    def notify(self) -> None:
        """Wake whoever waits, to look at what has happened."""
        self._news.tell()

    def test_failed(self, profile: str, failure: Failure) -> None:
        """Record the first failed test of an environment, with secrets hidden."""
        life = self._lives[profile]
        if life.test_failure is None:
            redact = life.holding.journal.redact if life.holding is not None else str
            lines = tuple(map(redact, failure.service_lines))
            life.test_failure = replace(failure, cause=redact(failure.cause), service_lines=lines)

    def tell(self, profile: str, kind: str, **fields: object) -> None:
        """Record an event of an environment's test phase."""
        holding = self._lives[profile].holding
        if holding is not None:
            holding.journal.event(kind, **fields)

    def release(self, profile: str) -> None:
        """Say that no test will use an environment any more: it is removed now, unless it is kept."""
        self._lives[profile].released.set()

    def disturb(self, profile: str, test: str) -> None:
        """Say that a test begins that may end and restart the services of its environment."""
        life = self._lives[profile]
        life.calm.clear()
        life.disturbed_by = test

    def calm(self, profile: str) -> None:
        """Say that this test has ended: all services must become well again before another one begins."""
        self._lives[profile].calm.set()

    def wait_until_settled(self, profile: str) -> None:
        """Return when no service recovers from a test that has ended, or the environment has failed."""
        life = self._lives[profile]
        while life.unsettled and life.calm.is_set():
            self._while_waiting()
            self._news.wait(_WAKE_SECONDS)

    def finish(self) -> None:
        """End all environments and return when that is done.

        Raises:
            KeyboardInterrupt: the user did not want to wait; it can be called again.
        """
        with self._lock:
            self._finishing = True
            for profile in self._queue:
                self._lives[profile].status = Status.UNUSED
            self._queue.clear()
        for life in self._lives.values():
            life.released.set()
        for life in self._lives.values():
            while not life.is_over:
                self._while_waiting()
                life.wait(_WAKE_SECONDS)
        self._reaper.dismiss()
        self._while_waiting()

    @property
    def is_done(self) -> bool:
        """Whether no environment needs its owner any more."""
        return all(life.is_over for life in self._lives.values())

    def left(self) -> tuple[dict[str, list[str]], int | None]:
        """Look at what the reaper will find when this process ends now; from any thread.

        Returns:
            What there is of each environment, each thing with the command that removes it, and the reaper's
            pid; None where there is no reaper.
        """
        return left(list(self._lives.values()), _LOOK_SECONDS), self._reaper.pid

    def cancel(self) -> None:
        """Give up what is going on for every environment; `finish` then removes what is there."""
        self._run.cancelled.set()

    def outcomes(self) -> Mapping[str, Outcome]:
        """Return how each environment that was needed did."""
        return {
            life.scenario.name: Outcome(
                profile,
                life.failure or life.test_failure,
                life.cleanup_failure,
                life.tail,
                life.seconds,
                cut_short=life.environment is None and life.failure is None,
                left_running=life.left_running,
            )
            for profile, life in self._lives.items()
            if life.status not in (Status.UNUSED, Status.QUEUED)
        }

    def story(self, profile: str) -> Story:
        """Return what happened to an environment so far."""
        life = self._lives[profile]
        return Story(
            events=tuple(life.holding.journal.told) if life.holding is not None else (),
            requested=life.requested,
            begun=life.begun,
            log_end=life.log_end,
            outcome=self.outcomes().get(life.scenario.name),
        )

    def redact(self, text: str) -> str:
        """Return `text` with the secrets of all environments hidden."""
        for life in self._lives.values():
            if life.holding is not None:
                text = life.holding.journal.redact(text)
        return text

    def _start_queued(self) -> None:
        """Start what may start, first what a test waits for; under the lock: `finish` waits for threads."""
        self._queue.sort(key=lambda profile: not self._lives[profile].needed)
        while self._queue and not self._run.cancelled.is_set():
            life = self._lives[self._queue[0]]
            alive = [other for other in self._lives.values() if other.alive]
            if not self._bounds.admit(
                starting=sum(other.status is Status.STARTING for other in alive),
                alive=len(alive),
                leaving=sum(other.released.is_set() for other in alive),
                needed=life.needed,
            ):
                return
            self._queue.pop(0)
            life.begin()

    def _change(self, profile: str, change: Callable[[], None]) -> None:
        with self._lock:
            change()
            self._start_queued()
            self._news.tell()
        self._on_change(profile)


def _gone(name: str) -> Failure:
    return Failure(
        name, "test", Kind.TEST, name, "the environment was removed already", "run the tests again"
    )
