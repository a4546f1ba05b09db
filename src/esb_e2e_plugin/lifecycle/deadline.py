"""Deadlines that also end when the run does."""

import signal
import threading
import time

from esb_e2e_plugin.failure import CancelledError, StepError

_ENDING_SIGNALS = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)
_SIGNAL_SECONDS = 1.0  # the main thread gets the same signal, and has to come to it


class Deadline:
    """The time that a phase has, and the sign that the run gives up."""

    def __init__(self, seconds: float, cancelled: threading.Event, option: str) -> None:
        """Start the clock.

        Args:
            seconds: how long the phase may take.
            cancelled: set when the run ends early.
            option: the option that allows more time, for the message.
        """
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._cancelled = cancelled
        self._option = option

    @property
    def option(self) -> str:
        """The option that allows more time."""
        return self._option

    def remaining(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    def mind_signal(self, status: int | None) -> None:
        """Tell a process that Ctrl-C reached before it had a session of its own from one that failed.

        Args:
            status: exit status of the process, negated for a signal.

        Raises:
            CancelledError: it was ended by the signal that ends the run.
        """
        if status in _ENDING_SIGNALS and self._cancelled.wait(_SIGNAL_SECONDS):
            raise CancelledError("the run was interrupted")

    def check(self, waiting_for: str) -> None:
        """Raise when the time is up or the run has ended.

        Args:
            waiting_for: what is not there yet, for the message.

        Raises:
            CancelledError: the run ends.
            StepError: the time is up.
        """
        if self._cancelled.is_set():
            raise CancelledError("the run was interrupted")
        if time.monotonic() >= self._end:
            raise StepError(
                f"timed out after {self._seconds:g} s waiting for {waiting_for}",
                remedy=f"look at its last lines; {self._option} allows more time",
            )
