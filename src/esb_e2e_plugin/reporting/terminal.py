"""Lines that appear while environments come up, whatever pytest captures meanwhile."""

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any


class LiveTerminal:
    """Collects `[env]` lines from any thread; only the main thread writes them.

    It writes to a copy of stdout's descriptor that was taken before pytest's capture redirected the original.
    """

    def __init__(self, descriptor: int | None) -> None:
        """Write to `descriptor`, or nowhere when it is None."""
        self._descriptor = descriptor
        self._lines: deque[str] = deque()
        self._broken_at = 0
        self.reporter: Any = None
        self.wake: Callable[[], None] = lambda: None

    def push(self, environment: str, text: str) -> None:
        """Queue a line of an environment, from any thread."""
        self._lines.append(f"[{environment}] {text}")
        self.wake()

    def drain(self) -> None:
        """Write what is queued; for the main thread."""
        if not self._lines:
            return
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if self._descriptor is None or self.reporter is None:
            return
        # A progress line of pytest's may be open: never write into it, and let pytest begin a new one.
        width = self.reporter._tw.width_of_current_line  # noqa: SLF001
        opened = "\n" if width and width != self._broken_at else ""
        self._broken_at = width
        self.reporter.currentfspath = None
        text = opened + "".join(f"{line}\n" for line in lines)
        try:
            self.reporter.flush()  # where stdout is a pipe, what pytest wrote may still be in its buffer
            os.write(self._descriptor, text.encode(errors="replace"))
        except OSError:  # whoever read it is gone, which must not keep environments from being removed
            self.close()

    def write_last(self, lines: Iterable[str]) -> None:
        """Write what is queued and `lines` before the process ends; from any thread."""
        queued = [self._lines.popleft() for _ in range(len(self._lines))]
        with suppress(OSError, ValueError):
            if self._descriptor is not None and self.reporter is not None:
                self.reporter.flush()
                text = "\n" + "".join(f"{line}\n" for line in (*queued, *lines))
                os.write(self._descriptor, text.encode(errors="replace"))

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
