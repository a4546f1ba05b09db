"""Lines of environments between pytest's own."""

from __future__ import annotations

import io
import os
import threading
from types import SimpleNamespace

import pytest

from esb_e2e_plugin.reporting.terminal import LiveTerminal


class Reporter:
    """As much of pytest's reporter as a line in between has to mind."""

    def __init__(self) -> None:
        self._tw = SimpleNamespace(width_of_current_line=0)
        self.currentfspath: object = "open.py"
        self.flushed = 0

    def flush(self) -> None:
        """Count."""
        self.flushed += 1


@pytest.fixture
def pipe() -> tuple[int, io.BufferedReader]:
    reading, writing = os.pipe()
    return writing, os.fdopen(reading, "rb")


def test_lines_are_written_by_drain_alone_with_their_environment(pipe: tuple[int, io.BufferedReader]) -> None:
    """Threads queue and wake; the main thread writes, in order."""
    descriptor, reader = pipe
    terminal = LiveTerminal(descriptor)
    terminal.reporter = Reporter()
    woken = threading.Semaphore(0)
    terminal.wake = woken.release
    threads = [threading.Thread(target=terminal.push, args=("one", f"line {index}")) for index in range(3)]
    for thread in threads:
        thread.start()
        thread.join()
    assert all(woken.acquire(timeout=10) for _ in threads)
    terminal.drain()
    terminal.drain()
    terminal.close()
    terminal.close()
    with reader:
        assert reader.read() == b"[one] line 0\n[one] line 1\n[one] line 2\n"


def test_an_open_progress_line_is_never_written_into(pipe: tuple[int, io.BufferedReader]) -> None:
    """Dots in front get a line break, once; pytest begins a new line for its next ones."""
    descriptor, reader = pipe
    terminal = LiveTerminal(descriptor)
    terminal.reporter = reporter = Reporter()
    reporter._tw.width_of_current_line = 12
    for text in ("first", "second"):
        terminal.push("one", text)
        terminal.drain()
    assert reporter.currentfspath is None
    terminal.close()
    with reader:
        assert reader.read() == b"\n[one] first\n[one] second\n"


def test_a_reader_that_went_away_is_no_error() -> None:
    """As with `pytest | head`, or a window that was closed: the lines are dropped from then on."""
    reading, writing = os.pipe()
    os.close(reading)
    terminal = LiveTerminal(writing)
    terminal.reporter = reporter = Reporter()
    for _ in range(2):
        terminal.push("one", "text")
        terminal.drain()
    terminal.close()
    assert reporter.flushed == 1


def test_without_a_terminal_nothing_is_written() -> None:
    """A session that got no way to the terminal drops its lines."""
    terminal = LiveTerminal(None)
    terminal.reporter = reporter = Reporter()
    terminal.push("one", "text")
    terminal.drain()
    terminal.close()
    assert reporter.flushed == 0
