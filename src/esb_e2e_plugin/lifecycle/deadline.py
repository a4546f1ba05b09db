"""Deadlines that also end when the run does."""

import threading
import time

from esb_e2e_plugin.failure import CancelledError, StepError


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

    def remaining(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self._end - time.monotonic())

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
