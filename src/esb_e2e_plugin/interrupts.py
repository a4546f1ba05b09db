"""What ends a run from outside: the first signal interrupts it, the next one ends it at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _HoldBack(threading.local):
    """Signals that wait for the end of a block; handlers run in the main thread, and so do their blocks."""

    active = False
    number: int | None = None


_hold_back = _HoldBack()


@contextmanager
def held_back() -> Iterator[None]:
    """Have a signal interrupt this thread only after the block; `Interrupts` has to mind it.

    Raises:
        KeyboardInterrupt: a signal came meanwhile.
    """
    _hold_back.active = True
    try:
        yield
    finally:
        _hold_back.active = False
        number, _hold_back.number = _hold_back.number, None
        if number is not None:
            raise KeyboardInterrupt(signal.Signals(number).name)


class Interrupts:
    """Lets SIGTERM and SIGHUP interrupt a run as Ctrl-C does, and nobody wait for its end twice.

    Attributes:
        ending: whether the run ends because of a signal: the next one ends this process.
    """

    def __init__(self, last_words: Callable[[], None], exit_code: int) -> None:
        """Mind no signal yet.

        Args:
            last_words: called in a thread of its own before this process ends at once.
            exit_code: with which it ends then.
        """
        self.ending = False
        self._last_words = last_words
        self._exit_code = exit_code
        self._thread: threading.Thread | None = None
        self._earlier: dict[int, Any] = {}

    def install(self) -> None:
        """Mind the signals from now on."""
        with suppress(ValueError):  # not in the main thread: whoever embeds this minds them
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, which must stay so
                    self._earlier[number] = signal.signal(number, self._interrupt)

    def restore(self) -> None:
        """Give the signals back."""
        while self._earlier:
            signal.signal(*self._earlier.popitem())

    def _interrupt(self, number: int, _frame: object) -> None:
        if not self.ending and _hold_back.active:
            _hold_back.number = number
            return
        if not self.ending:
            raise KeyboardInterrupt(signal.Signals(number).name)
        if self._thread is not None:
            os._exit(self._exit_code)
        # Not in this frame: whatever it has interrupted may hold the lock of a file or a queue.
        self._thread = threading.Thread(target=self._end, name="esb-last-words", daemon=True)
        self._thread.start()

    def _end(self) -> None:
        try:
            self._last_words()
        finally:
            os._exit(self._exit_code)
