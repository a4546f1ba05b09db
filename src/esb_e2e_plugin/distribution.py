"""Environments and xdist: the controller owns them, workers ask for them through a private channel.

Messages are plain tuples. A worker sends `("plan", environments, used_by_item)` before its collection is
reported and `("need", profile)` when a test waits; the controller sends `("state", profile, data)`.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.failure import EnvironmentFailedError, Failure
from esb_e2e_plugin.keys import WORKERINPUT
from esb_e2e_plugin.owner import Owner

_WAKE_SECONDS = 0.5
_GRACE_SECONDS = 2.0


class ControllerSide:
    """xdist's hooks in the controller."""

    def __init__(self, owner: Owner, facts: dict[str, Any], on_wake: Callable[[], None]) -> None:
        """Serve workers from `owner`.

        Args:
            owner: the run's environments.
            facts: plain data that every worker gets, such as the run id.
            on_wake: called in the main thread after `wake`.
        """
        self._owner = owner
        self._facts = facts
        self._on_wake = on_wake
        self._channels: list[Any] = []
        self._lock = threading.Lock()
        self._queue: Any = None
        self._used_by_item: dict[str, Sequence[str | None]] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker its channel before it starts."""
        channel = node.gateway.newchannel()
        node.workerinput[WORKERINPUT] = {**self._facts, "channel": channel}
        with self._lock:
            self._channels.append(channel)
        worker = node.gateway.id
        channel.setcallback(lambda message: self._receive(worker, channel, message))

    def used_by_item(self, node: Any) -> Sequence[str | None]:
        """Return the profile of each item that a worker has collected, by its index."""
        return self._used_by_item.get(node.gateway.id, ())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Use a scheduler that a waiting test does not hold up; loadscope, loadfile and loadgroup stay."""
        if config.getoption("dist") not in ("load", "worksteal"):
            return None
        from esb_e2e_plugin.scheduling import EnvironmentScheduling

        session = config.pluginmanager.getplugin("dsession")
        self._queue = session.queue if session is not None else None
        return EnvironmentScheduling(config, log, self._on_wake)

    def wake(self) -> None:
        """Let the controller's loop call `on_wake` soon; from any thread."""
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
            environments, self._used_by_item[worker] = rest
            self._owner.request(environments)
            for profile in self._owner.profiles:
                self._send(channel, self._state(profile))
        elif kind == "need":
            self._owner.request(rest)

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
        self._changed = threading.Condition()
        self._finished = False
        channel.setcallback(self._receive, endmarker=None)

    def announce(self, environments: Sequence[str], used_by_item: Sequence[str | None]) -> None:
        """Tell the owner what was collected.

        Args:
            environments: profiles that at least one test needs, in the order in which they are used.
            used_by_item: the profile of each item, by its index; None where it needs none.
        """
        self._channel.send(("plan", list(environments), list(used_by_item)))

    def wait(self, name: str) -> Environment:
        """Ask the owner for an environment and return it when tests may use it.

        Raises:
            EnvironmentFailedError: it failed, or the controller is gone.
        """
        self._channel.send(("need", name))
        with self._changed:
            while not self._finished:
                if name in self._failures:
                    raise EnvironmentFailedError(self._failures[name])
                if name in self._environments:
                    return self._environments[name]
                self._changed.wait(_WAKE_SECONDS)
        raise EnvironmentFailedError(Failure(name, "test", "the xdist controller has ended"))

    def failure(self, name: str) -> Failure | None:
        """Return why the environment failed, or None."""
        return self._failures.get(name)

    def finish(self) -> None:
        """Expect the end of the channel from now on."""
        self._finished = True

    def _receive(self, message: tuple[Any, ...] | None) -> None:
        if message is None:
            self._controller_gone()
            return
        _, profile, data = message
        with self._changed:
            if data["failure"] is not None:
                self._failures[profile] = Failure.from_data(data["failure"])
            if data["environment"] is not None:
                self._environments[profile] = Environment.from_data(data["environment"])
            self._changed.notify_all()

    def _controller_gone(self) -> None:
        """End this process: nobody reads its results any more, and it holds the caller's stdout open."""
        if self._finished:
            return
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        timer = threading.Timer(_GRACE_SECONDS, os._exit, args=(1,))
        timer.daemon = True
        timer.start()
        os.kill(os.getpid(), signal.SIGINT)
