"""The one writer to the terminal: pytest's own output, lines of environments, and rows that are redrawn.

Every byte goes out under one lock. pytest writes through `_Shared`, all else through a copy of stdout's
descriptor that was taken before pytest's capture redirected the original. Rows stand below everything else;
they are taken away before something is written and put back after it, with the cursor where pytest left it.
"""

import os
import re
import select
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from esb_e2e_plugin.reporting.words import width

_INVISIBLE = re.compile(r"\x1b\[[0-9;]*m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")  # colours, titles and progress
_BLOCKED_SECONDS = 5.0
_LAST_SECONDS = 1.0


class Screen:
    """Writes to the terminal, from any thread."""

    def __init__(self, descriptor: int | None) -> None:
        """Write to `descriptor`, or nowhere when it is None."""
        self._descriptor = descriptor
        self._lock = threading.RLock()
        self._reporter: Any = None
        self._line: str | None = ""  # what stands before the cursor; None: a plugin has moved it
        self._swallow = False
        self._came_between = False
        self._rows: tuple[str, ...] = ()
        self._columns = 0
        self._drawn = (0, 0)  # rows that are there, and how wide the terminal was
        self.wrote_at = time.monotonic()

    @property
    def is_terminal(self) -> bool:
        """Whether rows can be redrawn there."""
        return (
            self._descriptor is not None
            and os.isatty(self._descriptor)
            and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
        )

    @property
    def size(self) -> os.terminal_size:
        """How many columns and rows the terminal has now."""
        try:
            found = os.get_terminal_size(self._descriptor if self._descriptor is not None else -1)
        except (OSError, ValueError):
            return shutil.get_terminal_size()
        return found if found.columns and found.lines else shutil.get_terminal_size()

    def share(self, reporter: Any) -> None:
        """Let pytest's reporter write through this; for the main thread, while nothing is captured."""
        if reporter is None or self._reporter is not None:
            return
        with suppress(OSError, ValueError):
            reporter.flush()
        with self._lock:
            self._reporter = reporter
            reporter._tw._file = _Shared(reporter._tw._file, self)  # noqa: SLF001

    def write(self, lines: Iterable[str]) -> None:
        """Write whole lines above the rows, never into a line that pytest has begun."""
        text = "".join(f"{line}\n" for line in lines)
        if not text:
            return
        with self._lock:
            erased = self._erased()
            self._emit(f"{erased}{self._broken()}{text}{self._redrawn()}")
            self._swallow = self._came_between = True
            self.wrote_at = time.monotonic()

    def begin_anew(self) -> None:
        """Let a reporter that redraws its own lines begin new ones; for the main thread, out of its hooks."""
        came, self._came_between = self._came_between, False
        # pytest-sugar counts how many lines its cursor has to go up.
        if came and (forget := getattr(self._reporter, "reset_tracked_lines", None)) is not None:
            forget()

    def show(self, rows: Sequence[str], columns: int) -> None:
        """Show `rows`, made for a terminal of `columns`, at the bottom; none takes them away."""
        with self._lock:
            made = tuple(rows)
            if made == self._rows and self._drawn == (len(made), columns):
                return
            erased = self._erased()
            self._rows, self._columns = made, columns
            self._emit(f"{erased}{self._redrawn()}")

    def write_last(self, lines: Iterable[str]) -> None:
        """Write lines before the process ends, whoever may hold the lock for ever; from any thread."""
        held = self._lock.acquire(timeout=_LAST_SECONDS)
        try:
            erased = self._erased()
            self._rows = ()
            text = "".join(f"{line}\n" for line in lines)
            self._emit(f"{erased}\n{text}")
        finally:
            if held:
                self._lock.release()

    def close(self) -> None:
        """Take the rows away, let pytest write by itself, and give the descriptor back."""
        with self._lock:
            self.show((), 0)
            writer = getattr(self._reporter, "_tw", None)
            if writer is not None and isinstance(writer._file, _Shared):  # noqa: SLF001
                writer._file = writer._file.file  # noqa: SLF001
            self._drop()

    @contextmanager
    def between(self, text: str) -> Iterator[bool]:
        """Let pytest write `text` above the rows; yield whether it has to."""
        with self._lock:
            # After lines of environments the cursor stands at the beginning of a line already.
            wanted = not (self._swallow and text in ("\n", "\r\n"))
            self._swallow = False
            self._emit(self._erased())
            yield wanted
            if wanted:
                self._follow(text)
            self._emit(self._redrawn())
            self.wrote_at = time.monotonic()

    def _follow(self, text: str) -> None:
        *_, rest = text.rpartition("\n")
        before = "" if "\n" in text else self._line
        if before is None:
            return
        line = _INVISIBLE.sub("", before + rest)
        self._line = None if "\x1b" in line else line.rpartition("\r")[2]

    def _broken(self) -> str:
        """Return what ends a line that pytest has begun, which then begins another one."""
        open_line, self._line = self._line, ""
        if self._reporter is not None:
            self._reporter.currentfspath = None
            self._reporter._tw._current_line = ""  # noqa: SLF001
        return "" if open_line == "" else "\n"

    def _erased(self) -> str:
        """Return what takes the rows away and puts the cursor where pytest left it."""
        (rows, columns), self._drawn = self._drawn, (0, 0)
        if not rows:
            return ""
        column = width(self._line or "")
        if self.size.columns < columns or (column >= columns and self.size.columns != columns):
            # The terminal may have broken the rows anew: how many there are now is not known.
            self._broken()
            return "\r\x1b[J"
        up = f"\x1b[{rows}A\r\x1b[J"
        if not column:
            return up
        return f"{up}\x1b[A\x1b[{column % columns}C"

    def _redrawn(self) -> str:
        """Return what puts the rows back, below what pytest has written of its line."""
        columns = self.size.columns
        if not self._rows or self._line is None or columns != self._columns:
            return ""
        column = width(self._line)
        if column and column % columns == 0:
            return ""  # between two lines: where the cursor is now could not be found again
        self._drawn = (len(self._rows), columns)
        return ("\r\n" if column else "") + "".join(f"{row}\r\n" for row in self._rows)

    def _emit(self, text: str) -> None:
        if not text or self._descriptor is None:
            return
        left = text.encode(errors="replace")
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:
                    if not select.select([], [self._descriptor], [], _BLOCKED_SECONDS)[1]:
                        return
        except OSError:  # whoever read it is gone, which must not keep environments from being removed
            self._drop()

    def _drop(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class _Shared:
    """The file of pytest's terminal writer, while others write to the same terminal."""

    def __init__(self, file: Any, screen: Screen) -> None:
        self.file = file
        self._screen = screen

    def write(self, text: str) -> int:
        """Write in between, and leave nothing in a buffer that a captured descriptor could get."""
        with self._screen.between(text) as wanted:
            if wanted:
                self.file.write(text)
                self.file.flush()
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
