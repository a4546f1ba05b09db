"""Late workers: those of `-n auto` beyond the processors, which begin when bring-ups leave time for them.

xdist starts all workers at once, and what each imports and collects takes as long as a small environment
takes to come up. So only as many as there are processors do that; the others wait as bare interpreters. They
do not wait long: a bring-up that takes many seconds waits more than it computes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from esb_e2e_plugin import capacity
from esb_e2e_plugin.keys import LATE

if TYPE_CHECKING:
    from esb_e2e_plugin.owner import Owner

_LONGEST_WAIT_SECONDS = 8.0  # from the first collection on


class LateStart:
    """xdist's hooks by which a worker starts, and the workers that wait."""

    def __init__(self, owner: Owner, wake: Callable[[], None], *, enabled: bool) -> None:
        """Know no worker yet.

        Args:
            owner: the environments that come up.
            wake: has `begin` called soon; from any thread.
            enabled: whether workers may wait.
        """
        self._owner = owner
        self._wake = wake
        self._enabled = enabled
        self._begun: set[Any] = set()
        self._waiting: dict[Any, None] = {}
        self._starting: Any = None
        self._unfinished: int | None = None
        self._over = False
        self._timer: threading.Timer | None = None

    @property
    def waiting(self) -> tuple[Any, ...]:
        """The workers that have not begun."""
        return tuple(self._waiting)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Remember which worker the next question is about."""
        self._starting = node

    @pytest.hookimpl(optionalhook=True, trylast=True)  # a plugin that has a module of its own run comes first
    def pytest_xdist_getremotemodule(self) -> Any:
        """Have a worker wait that there is no room for."""
        node = self._starting
        if len(self._begun) < self._room():
            self._begun.add(node)
            return None
        from xdist import remote

        from esb_e2e_plugin import late_remote

        self._waiting[node] = None
        node.workerinput[LATE] = {"module": remote.__file__}
        return late_remote

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Forget a worker that has ended, and let another one begin: it may have been the only one."""
        self._begun.discard(node)
        self._waiting.pop(node, None)
        self._let_begin()

    def pytest_sessionfinish(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, unfinished: int) -> None:
        """Let as many workers begin as there is room for; in the main thread, once the first has collected.

        Args:
            unfinished: how many tests there are to run: more workers have nothing to do.
        """
        if self._unfinished is None and self._waiting:
            self._timer = threading.Timer(_LONGEST_WAIT_SECONDS, self._end_the_wait)
            self._timer.daemon = True
            self._timer.start()
        self._unfinished = unfinished
        self._let_begin()

    def _let_begin(self) -> None:
        room = self._room() - len(self._begun) if self._waiting else 0
        for node in self.waiting[: max(0, room)]:
            del self._waiting[node]
            self._begun.add(node)
            try:
                node.sendcommand("begin")
            except OSError:  # it is gone; xdist tells so next
                continue

    def _room(self) -> int:
        """Return how many workers may have begun by now."""
        if not self._enabled:
            return sys.maxsize
        cores = capacity.cores()
        if self._unfinished is None:
            return cores
        starting = self._owner.is_starting() and not self._over
        most = capacity.begun(cores, starting=starting, ready=self._owner.ready())
        return self._unfinished if most is None else min(most, self._unfinished)

    def _end_the_wait(self) -> None:
        self._over = True
        self._wake()
