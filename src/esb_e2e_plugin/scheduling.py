"""How tests are handed to xdist's workers when environments are in play."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from xdist.remote import Producer
from xdist.scheduler import WorkStealingScheduling
from xdist.workermanage import WorkerController


class EnvironmentScheduling(WorkStealingScheduling):  # type: ignore[misc]  # xdist ships no types
    """Work stealing, so that a test that waits for a minute holds up no other one.

    It also is the way to wake the controller's loop from a thread: an `unscheduled` event without indices,
    which no worker sends unless it was asked, is handed to `on_wake` in the main thread.
    """

    def __init__(self, config: pytest.Config, log: Producer, on_wake: Callable[[], None]) -> None:
        """Schedule as `WorkStealingScheduling` does.

        Args:
            config: the controller's configuration.
            log: xdist's own log.
            on_wake: called in the main thread for each event that `wake` has queued.
        """
        super().__init__(config, log)
        self._on_wake = on_wake

    def remove_pending_tests_from_node(self, node: WorkerController | None, indices: Sequence[int]) -> None:
        """Take back what a worker gave up; an event without a worker is a call to wake up."""
        if node is None:
            self._on_wake()
        else:
            super().remove_pending_tests_from_node(node, indices)

    def check_schedule(self) -> None:
        """Hand out work; with a worker that has just died, wait for its end to be told."""
        with suppress(OSError):  # xdist tells the end next, and calls again without that worker
            super().check_schedule()

    def _send_tests(self, node: WorkerController, num: int) -> None:
        had = len(self.node2pending[node])
        try:
            super()._send_tests(node, num)
        except OSError:
            # It never got them: the first one must not be reported as the test that it crashed in.
            self.pending[:0] = self.node2pending[node][had:]
            del self.node2pending[node][had:]
            raise
