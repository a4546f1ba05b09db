"""Waiting in the main thread, which a signal may interrupt between any two instructions.

Conditions and events of `threading` wait in Python: interrupted after the lock was given back and before the
wait, they end with a RuntimeError, and the interrupt is lost. A queue waits in C.
"""

from contextlib import suppress
from queue import Empty, SimpleQueue


class News:
    """Tells a thread that waits that there is something to look at."""

    def __init__(self) -> None:
        """Have nothing to tell."""
        self._queue: SimpleQueue[None] = SimpleQueue()

    def tell(self) -> None:
        """Let the thread look that waits, or the next one; from any thread."""
        self._queue.put(None)

    def wait(self, timeout: float) -> bool:
        """Wait for news that were not heard yet.

        Args:
            timeout: how long, in seconds.

        Returns:
            Whether there are some.
        """
        try:
            self._queue.get(timeout=timeout)
        except Empty:
            return False
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        return True
