"""One terminal for pytest's output, lines of environments, and rows that are redrawn: what a person sees."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pyte
import pytest

from esb_e2e_plugin.reporting.screen import Screen


class Reporter:
    """As much of pytest's reporter as others on its terminal have to mind."""

    def __init__(self, file: io.TextIOBase) -> None:
        self._tw = SimpleNamespace(_file=file, _current_line="")
        self.currentfspath: object = "open.py"

    def write(self, text: str) -> None:
        """Write as pytest's terminal writer does."""
        self._tw._current_line = text.rpartition("\n")[2]
        self._tw._file.write(text)

    def flush(self) -> None:
        """Write what is in the buffer."""
        self._tw._file.flush()


class Terminal:
    """A pseudo terminal with a screen, shared by pytest and by what shows environments."""

    def __init__(self, columns: int, rows: int) -> None:
        self._reader, self._writer = pty.openpty()
        os.set_blocking(self._reader, False)
        self._screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        self.resize(columns, rows)
        self.reporter = Reporter(os.fdopen(os.dup(self._writer), "w"))
        self.screen = Screen(os.dup(self._writer))
        self.screen.share(self.reporter)

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        fcntl.ioctl(self._writer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def lines(self) -> list[str]:
        """Return what is to be seen, lines that have left the window at its top too."""
        while True:
            try:
                self._stream.feed(os.read(self._reader, 65536))
            except BlockingIOError:
                break
        left = ["".join(line[x].data for x in range(len(line))) for line in self._screen.history.top]
        shown = [line.rstrip() for line in [*left, *self._screen.display]]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor."""
        self.lines()
        return self._screen.cursor.x, self._screen.cursor.y

    def close(self) -> None:
        """Give both ends back."""
        self.screen.close()
        self.reporter._tw._file.close()
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm-256color")
    made = Terminal(40, 8)
    yield made
    made.close()


def test_rows_stay_below_all_that_is_written(terminal: Terminal) -> None:
    """Pytest's line goes on where it was, lines of environments scroll by, rows are there once."""
    terminal.reporter.write("test_a.py ")
    terminal.screen.show(["one  compose", "two  reset"], 40)
    terminal.reporter.write(".")
    terminal.reporter.write(".")
    assert terminal.lines() == ["test_a.py ..", "one  compose", "two  reset"]
    terminal.screen.write(["[one] compose: done"])
    assert terminal.reporter.currentfspath is None
    assert terminal.reporter._tw._current_line == ""
    terminal.reporter.write("\n")
    terminal.reporter.write("test_b.py .")
    terminal.screen.show(["one  deploy", "two  reset"], 40)
    assert terminal.lines() == [
        "test_a.py ..",
        "[one] compose: done",
        "test_b.py .",
        "one  deploy",
        "two  reset",
    ]
    terminal.screen.show([], 40)
    terminal.reporter.write("\n")
    assert terminal.lines() == ["test_a.py ..", "[one] compose: done", "test_b.py ."]
    assert terminal.cursor == (0, 3)


def test_rows_stay_at_the_bottom_of_a_window_that_is_full(terminal: Terminal) -> None:
    """Nothing of what scrolls out at the top is lost, and no row stays behind."""
    terminal.screen.show(["one  test", "two  test"], 40)
    for number in range(20):
        terminal.screen.write([f"[one] line {number}"])
        terminal.reporter.write(f"pytest {number}\n")
    expected = [line for number in range(20) for line in (f"[one] line {number}", f"pytest {number}")]
    assert terminal.lines() == [*expected, "one  test", "two  test"]


@pytest.mark.parametrize("length", [38, 39, 40, 41, 79, 80, 81])
def test_a_line_longer_than_the_window_goes_on_where_it_was(terminal: Terminal, length: int) -> None:
    """Where a line has just filled the last column, rows wait until it goes on."""
    terminal.screen.show(["one  test"], 40)
    terminal.reporter.write("x" * length)
    terminal.screen.show(["one  test 1 s"], 40)
    terminal.reporter.write("yz\n")
    text = "x" * length + "yz"
    wrapped = [text[start : start + 40] for start in range(0, len(text), 40)]
    assert terminal.lines() == [*wrapped, "one  test 1 s"]


def test_coloured_and_wide_text_counts_by_what_is_seen(terminal: Terminal) -> None:
    """Colours take no column, wide characters two; a carriage return begins the line again."""
    terminal.screen.show(["row"], 40)
    terminal.reporter.write("\x1b[32m日本\x1b[0m")
    terminal.reporter.write(".")
    terminal.reporter.write("\rcollected 2")
    terminal.reporter.write("\x1b]9;4;1;50\x1b\\")
    terminal.reporter.write(" items")
    assert terminal.lines() == ["collected 2 items", "row"]


def test_after_a_plugin_has_moved_the_cursor_rows_wait_for_a_new_line(terminal: Terminal) -> None:
    """Where the cursor is could not be known, so nothing is put below it."""
    terminal.reporter.write("first\nsecond")
    terminal.screen.show(["row"], 40)
    terminal.reporter.write("\x1b[1Aup\x1b[1B\r")
    assert terminal.lines() == ["first up", "second"]
    terminal.reporter.write("\nthird")
    assert terminal.lines()[-1] == "row"


def test_a_window_that_gets_narrower_loses_no_line_of_output(terminal: Terminal) -> None:
    """The rows may have been broken anew there: they are left behind, and nothing above them is touched."""
    terminal.screen.write(["[one] reset: done"])
    terminal.screen.show(["one  compose  waiting for database"], 40)
    terminal.resize(20, 8)
    terminal.screen.show(["one  compose"], 20)
    terminal.reporter.write("dots\n")
    lines = terminal.lines()
    assert lines[0] == "[one] reset: done"
    assert lines[-2:] == ["dots", "one  compose"]


def test_rows_made_for_another_width_are_not_put_back(terminal: Terminal) -> None:
    """They would be broken: the next ones are made for the window as it is then."""
    terminal.screen.show(["one  compose"], 40)
    terminal.resize(60, 8)
    terminal.reporter.write("dots\n")
    assert terminal.lines() == ["dots"]
    terminal.screen.show(["one  compose  with more room"], 60)
    assert terminal.lines() == ["dots", "one  compose  with more room"]


def test_the_end_leaves_no_row_and_pytests_own_file(terminal: Terminal) -> None:
    """Whatever comes after writes as if nobody had been there."""
    file = terminal.reporter._tw._file
    terminal.screen.show(["row"], 40)
    terminal.screen.close()
    terminal.screen.close()
    assert terminal.lines() == []
    assert terminal.reporter._tw._file is file.file
    terminal.screen.write(["dropped"])
    assert terminal.lines() == []


def test_last_words_do_not_wait_for_a_lock_that_is_never_given_back(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends at once says so, whatever its main thread was interrupted in."""
    monkeypatch.setattr("esb_e2e_plugin.reporting.screen._LAST_SECONDS", 0.01)
    terminal.screen.show(["row"], 40)
    with terminal.screen._lock:
        thread = threading.Thread(target=terminal.screen.write_last, args=(["what is left"],))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    assert terminal.lines() == ["", "what is left"]


def test_lines_go_to_a_pipe_without_any_escape_sequence() -> None:
    """Where nothing can be redrawn, there are lines and no more."""
    reading, writing = os.pipe()
    screen = Screen(writing)
    assert not screen.is_terminal
    screen.share(reporter := Reporter(os.fdopen(os.dup(writing), "w")))
    reporter.write("dots ..")
    screen.write(["[one] first"])
    screen.write(["[one] second"])
    reporter.write("\n")
    reporter.write("more\n")
    screen.close()
    reporter._tw._file.close()
    with os.fdopen(reading, "rb") as file:
        assert file.read() == b"dots ..\n[one] first\n[one] second\nmore\n"


def test_a_reader_that_went_away_is_no_error() -> None:
    """As with `pytest | head`, or a window that was closed: the lines are dropped from then on."""
    reading, writing = os.pipe()
    os.close(reading)
    screen = Screen(writing)
    for _ in range(2):
        screen.write(["text"])
    screen.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writing)


@pytest.mark.parametrize("kind", ["dumb", "unknown", ""])
def test_a_terminal_that_cannot_move_its_cursor_is_none(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Rows are for those that can."""
    assert terminal.screen.is_terminal
    monkeypatch.setenv("TERM", kind)
    assert not terminal.screen.is_terminal
