"""Environments and xdist: the controller owns them, workers ask for them through a private channel.

Messages are plain tuples. Before its collection is reported a worker sends `("plan", Collected's fields)`, or
`("refuse", reason)` where it must run nothing; when a test waits, `("need", profile)`; when one has failed,
`("inspect", profile, number)`. The controller sends `("state", profile, data)` and, when it has looked,
`("inspected", number, data)`.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import pytest

from esb_e2e_plugin.dispatcher import Work, units_of
from esb_e2e_plugin.durations import Durations
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.failure import EnvironmentFailedError, Failure, Kind
from esb_e2e_plugin.keys import AUTO_WORKERS, WORKERINPUT
from esb_e2e_plugin.late_start import LateStart
from esb_e2e_plugin.news import News
from esb_e2e_plugin.service_state import ServiceState

if TYPE_CHECKING:
    from esb_e2e_plugin.owner import Owner
    from esb_e2e_plugin.scheduling import EnvironmentScheduling

_WAKE_SECONDS = 0.5
_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Collected:
    """What a worker has collected, beside the ids; plain data.

    Attributes:
        environments: the profiles that its tests use, in the order of their first use.
        environment_of: for each test the index of its environment, or None where it needs none.
        unit_of: for each test the number of its unit, or None for a unit of its own.
        exclusive: the tests that take their environment alone.
    """

    environments: list[str]
    environment_of: list[int | None]
    unit_of: list[int | None]
    exclusive: list[int]

    def profiles(self) -> list[str | None]:
        """Return the profile of each test; None where it needs none."""
        return [None if index is None else self.environments[index] for index in self.environment_of]


class ControllerSide:
    """xdist's hooks in the controller."""

    def __init__(
        self,
        config: pytest.Config,
        owner: "Owner",
        durations: Durations,
        facts: dict[str, Any],
        drain: Callable[[], None],
    ) -> None:
        """Serve workers from `owner`.

        Args:
            config: the controller's configuration.
            owner: the run's environments.
            durations: what earlier runs took.
            facts: plain data that every worker gets, such as the run id.
            drain: called in the main thread after `wake`.
        """
        self._config = config
        self._owner = owner
        self._durations = durations
        self._facts = facts
        self.drain = drain
        self.late_start = LateStart(owner, self.wake, enabled=AUTO_WORKERS in config.stash)
        self.refusal: str | None = None
        self._session: pytest.Session | None = None
        self._scheduling: EnvironmentScheduling | None = None
        self._channels: list[Any] = []
        self._lock = threading.Lock()
        self._dsession: Any = None
        self._queue: Any = None
        self._collected: dict[str, Collected] = {}

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Know where pytest says that a run is to stop: xdist looks at what it has decided itself only."""
        self._session = session

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """End a run that was stopped as pytest does where it has the tests itself."""
        done = yield
        if self.distributes and session.shouldfail:
            raise session.Failed(session.shouldfail)
        if self.distributes and session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return done

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker its channel before it starts."""
        channel = node.gateway.newchannel()
        dist = self._config.getoption("dist")
        node.workerinput[WORKERINPUT] = {**self._facts, "dist": dist, "channel": channel}
        with self._lock:
            self._channels.append(channel)
        worker = node.gateway.id
        channel.setcallback(lambda message: self._receive(worker, channel, message))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> Any:
        """Schedule by environment."""
        from esb_e2e_plugin.scheduling import EnvironmentScheduling

        self._dsession = dsession = config.pluginmanager.getplugin("dsession")
        self._queue = dsession.queue if dsession is not None else None
        self._scheduling = EnvironmentScheduling(config, self)
        return self._scheduling

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Let the scheduler know which tests a crash may have been in."""
        if self._scheduling is not None:
            self._scheduling.test_started(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Let the scheduler know which tests no crash can have been in."""
        if self._scheduling is not None:
            self._scheduling.test_reported(report)

    @property
    def distributes(self) -> bool:
        """Whether tests run in workers."""
        return self._scheduling is not None

    @property
    def stops(self) -> bool:
        """Whether pytest, or a plugin of it, wants no further test to begin."""
        return self._session is not None and bool(self._session.shouldfail or self._session.shouldstop)

    def ends(self, node: Any) -> bool:
        """Tell whether a worker was told to end."""
        # The word is not sent to a worker that is gone already; xdist has no public name for that.
        return getattr(self._dsession, "shuttingdown", False) and getattr(node, "_shutdown_sent", True)

    @property
    def undone(self) -> str | None:
        """What was to be done when no worker was left to do it, or None."""
        if self._scheduling is None:
            return None
        if not self._collected:
            return "collect the tests"
        tests = max(len(collected.unit_of) for collected in self._collected.values())
        if self._scheduling.collection_is_completed:
            tests = self._scheduling.unfinished
        return f"run {tests} test(s)" if tests else None

    def profiles_of(self, node: Any) -> Sequence[str | None]:
        """Return the profile of each test that a worker has collected, by its index."""
        return self._collected[node.gateway.id].profiles()

    def work_of(self, node: Any, ids: Sequence[str]) -> Work:
        """Return what there is to run, as a worker has collected it."""
        collected = self._collected[node.gateway.id]
        keys = [
            None if unit is None else (unit, collected.environment_of[i])
            for i, unit in enumerate(collected.unit_of)
        ]
        config = self._config
        return Work(
            environments=collected.environments,
            environment_of=collected.environment_of,
            units=units_of(keys),
            exclusive=frozenset(collected.exclusive),
            seconds=self._durations.seconds(ids),
            # Without pytest's plugin for it an option is not there.
            keep_order=any(config.getoption(name, False) for name in ("failedfirst", "newfirst")),
            strict=bool(config.getoption("stepwise", False)),
        )

    def is_open(self, profile: str) -> bool:
        """Tell whether an environment's tests may go out."""
        return self._owner.is_settled(profile)

    def need(self, profile: str) -> None:
        """Learn that no test can run before this environment is there."""
        self._owner.need(profile)

    def release(self, profile: str) -> None:
        """Learn that nothing will use an environment any more."""
        self._owner.release(profile)

    def disturb(self, profile: str, test: str) -> None:
        """Learn that an exclusive test of an environment is about to begin."""
        self._owner.disturb(profile, test)

    def calm(self, profile: str) -> None:
        """Learn that it has ended."""
        self._owner.calm(profile)

    @property
    def late(self) -> Sequence[Any]:
        """The workers that have not begun."""
        return self.late_start.waiting

    def begin_late(self, unfinished: int) -> None:
        """Let those of them begin that there is room for, and tests."""
        self.late_start.begin(unfinished)

    def wake(self) -> None:
        """Let the controller's loop look at what has happened soon; from any thread."""
        if self._queue is not None:
            self._queue.put(("unscheduled", {"node": None, "indices": ()}))

    def broadcast(self, profile: str) -> None:
        """Tell every worker the state of an environment; from any thread."""
        message = self._state(profile)
        with self._lock:
            channels = list(self._channels)
        for channel in channels:
            self._send(channel, message)

    def _receive(self, worker: str, channel: Any, message: tuple[Any, ...]) -> None:
        kind, *rest = message
        if kind == "plan":
            self._collected[worker] = collected = Collected(*rest)
            self._owner.request(self._by_need(collected))
            for profile in self._owner.profiles:
                self._send(channel, self._state(profile))
        elif kind == "refuse":
            (self.refusal,) = rest
        elif kind == "need":
            (profile,) = rest
            self._owner.need(profile)
        elif kind == "inspect":
            profile, number = rest
            self._owner.ask(
                profile,
                lambda states: self._send(channel, ("inspected", number, [s.to_data() for s in states])),
            )

    def _by_need(self, collected: Collected) -> list[str]:
        """Return the environments that tests use: the most expensive one first, if tests need no order."""
        if self._config.getoption("stepwise", False):
            return collected.environments
        tests = Counter(collected.environment_of)
        costs = {
            profile: self._durations.cost(profile, self._owner.weight(profile), tests[index])
            for index, profile in enumerate(collected.environments)
        }
        return sorted(collected.environments, key=lambda profile: -costs[profile])

    def _state(self, profile: str) -> tuple[Any, ...]:
        failure, environment = self._owner.failure(profile), self._owner.environment(profile)
        data = {
            "failure": failure.to_data() if failure is not None else None,
            "environment": environment.to_data() if environment is not None else None,
        }
        return ("state", profile, data)

    def _send(self, channel: Any, message: tuple[Any, ...]) -> None:
        try:
            channel.send(message)
        except OSError:  # the worker is gone, and so is its channel
            with self._lock:
                if channel in self._channels:
                    self._channels.remove(channel)


class WorkerSide:
    """The way from a worker to the owner of the environments."""

    def __init__(self, channel: Any) -> None:
        """Listen to `channel`."""
        self._channel = channel
        self._environments: dict[str, Environment] = {}
        self._failures: dict[str, Failure] = {}
        self._asked = 0
        self._inspected: tuple[int, Sequence[ServiceState]] = (0, ())
        self._news = News()
        self._finished = False
        channel.setcallback(self._receive, endmarker=None)

    def announce(self, collected: Collected) -> None:
        """Tell the owner what was collected."""
        self._channel.send(("plan", *astuple(collected)))

    def refuse(self, reason: str) -> None:
        """Tell the owner why this worker runs nothing."""
        self._channel.send(("refuse", reason))

    def wait(self, name: str, meanwhile: Callable[[], None] | None = None) -> Environment:  # noqa: ARG002
        """Ask the owner for an environment and return it when tests may use it.

        Args:
            name: the environment.
            meanwhile: never called: many workers wait, and what they wait for needs the processors.

        Raises:
            EnvironmentFailedError: it failed, or the controller is gone.
        """
        self._channel.send(("need", name))
        while not self._finished:
            if name in self._failures:
                raise EnvironmentFailedError(self._failures[name])
            if name in self._environments:
                return self._environments[name]
            self._news.wait(_WAKE_SECONDS)
        raise EnvironmentFailedError(
            Failure(name, "test", Kind.TEST, "xdist", "the xdist controller has ended")
        )

    def failure(self, name: str) -> Failure | None:
        """Return why the environment failed, or None."""
        return self._failures.get(name)

    def inspect(self, name: str, timeout: float) -> Sequence[ServiceState]:
        """Ask the owner to have an environment's log complete, and how its services are."""
        self._asked += 1
        number = self._asked
        self._channel.send(("inspect", name, number))
        deadline = time.monotonic() + timeout
        while not self._finished and (left := deadline - time.monotonic()) > 0:
            asked, states = self._inspected
            if asked == number:
                return states
            self._news.wait(left)
        return ()

    def finish(self) -> None:
        """Expect the end of the channel from now on."""
        self._finished = True

    def _receive(self, message: tuple[Any, ...] | None) -> None:
        if message is None:
            self._controller_gone()
            return
        kind, about, data = message
        if kind == "inspected":
            self._inspected = (about, tuple(ServiceState.from_data(state) for state in data))
        else:
            if data["failure"] is not None:
                self._failures[about] = Failure.from_data(data["failure"])
            if data["environment"] is not None:
                self._environments[about] = Environment.from_data(data["environment"])
        self._news.tell()

    def _controller_gone(self) -> None:
        """End this process: nobody reads its results any more, and it holds the caller's stdout open."""
        if self._finished:
            return
        self._finished = True
        self._news.tell()
        timer = threading.Timer(_GRACE_SECONDS, os._exit, args=(1,))
        timer.daemon = True
        timer.start()
        os.kill(os.getpid(), signal.SIGINT)
