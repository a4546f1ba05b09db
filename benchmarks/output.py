"""What it costs to show a run: of a green run, of each test, and of the time that goes by."""

import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from statistics import median
from types import SimpleNamespace
from typing import Any

from benchmarks.measuring import Row, own_host, project, pytest, table
from esb_e2e_plugin.reporting.board import PASSED, Board
from esb_e2e_plugin.reporting.display import Display
from esb_e2e_plugin.reporting.screen import Screen

ENVIRONMENTS, TESTS, TICKS, LINES = 8, 2000, 300, 20_000
TICKS_A_SECOND = 10
PAIRS = 5
GREEN_TESTS = 200


def measure() -> Iterator[Row]:
    """Show tests, rows and lines on a terminal that nobody looks at, then run a green environment."""
    beside = f"{ENVIRONMENTS} environments; without: pytest's own writing"
    yield Row("live output of a test", _milliseconds_of_a_test(), 5, "ms", beside)
    yield Row("live rows while time goes by", _share_of_ticks(), 3, "%", f"{ENVIRONMENTS} rows that change")
    yield Row("a line of stream output", _milliseconds_of_a_line(), 0.1, "ms", f"{LINES} lines")
    yield _green_run()


def _milliseconds_of_a_test() -> float:
    with _terminal() as (screen, file):
        board, display = _shown(screen)
        bare = _write_tests(file.write, lambda _number: None)
        reporter: Any = SimpleNamespace(
            _tw=SimpleNamespace(_file=file, _current_line=""), currentfspath=None, flush=file.flush
        )
        screen.share(reporter)
        names = list(board.standings)

        def count(number: int) -> None:
            name, test = names[number % ENVIRONMENTS], f"e2e/test_x.py::test_{number}[x]"
            board.started(name, test)
            board.reported(name, test, PASSED, ended=True)
            display.drain()

        shown = _write_tests(reporter._tw._file.write, count)  # noqa: SLF001
    return (shown - bare) / TESTS * 1000


def _write_tests(write: Callable[[str], int], count: Callable[[int], None]) -> float:
    began = time.process_time()
    for number in range(TESTS):
        count(number)
        write(f"\ne2e/scenarios/test_{number}.py " if number % 70 == 0 else "")
        write("\x1b[32m.\x1b[0m")
    return time.process_time() - began


def _share_of_ticks() -> float:
    with _terminal() as (screen, _):
        _, display = _shown(screen)
        began, now = time.process_time(), time.monotonic()
        for _number in range(TICKS):
            now += 1  # a row changes once a second: here each time
            display.tick(now)
        taken = time.process_time() - began
    return taken / TICKS * TICKS_A_SECOND * 100


def _milliseconds_of_a_line() -> float:
    with _terminal() as (screen, _):
        board = Board({"one": "one"})
        display = Display(screen, board)
        display._mode = "stream"  # noqa: SLF001  without the display's own thread
        began = time.process_time()
        for number in range(LINES):
            display.line("one", "gateway", f"line {number} of what a service has to say about a request")
            if number % 100 == 0:
                display.drain()
        display.drain()
        taken = time.process_time() - began
    return taken / LINES * 1000


def _shown(screen: Screen) -> tuple[Board, Display]:
    board = Board({f"environment-{number}": "x" for number in range(ENVIRONMENTS)})
    display = Display(screen, board)
    display._mode = "live"  # noqa: SLF001  without the display's own thread
    for name in board.standings:
        board.expect(name, TESTS)
        display.event(name, {"kind": "phase.started", "phase": "test"})
        board.started(name, "e2e/test_x.py::test_that_runs[x]")
    display.tick(time.monotonic())
    return board, display


@contextmanager
def _terminal() -> Iterator[tuple[Screen, TextIOWrapper]]:
    """Make a terminal, with somebody who reads what is written to it and throws it away."""
    os.environ.setdefault("TERM", "xterm")
    reader, writer = pty.openpty()
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                os.read(reader, 1 << 16)
        except OSError:
            return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    file = os.fdopen(os.dup(writer), "w", buffering=1)
    screen = Screen(os.dup(writer))
    try:
        yield screen, file
    finally:
        screen.close()
        file.close()
        done.set()
        os.close(writer)
        thread.join()
        os.close(reader)


def _green_run() -> Row:
    ratios, seconds = [], []
    with project() as copy:
        scenario = copy / "e2e/scenarios/smoke/test_bench_output.py"
        scenario.write_text(
            "import pytest\n"
            f"@pytest.mark.parametrize('number', range({GREEN_TESTS}))\n"
            "def test_green(esb_environment, number): pass\n"
        )
        arguments = ["--esb-profile", "e2e-local", "-n", "0", str(scenario)]
        for _ in range(PAIRS):
            quiet = pytest([*arguments, "--esb-output", "quiet"], copy, own_host(copy))
            plain = pytest([*arguments, "--esb-output", "plain"], copy, own_host(copy))
            ratios.append((plain.cpu / quiet.cpu - 1) * 100)
            seconds.append(quiet.cpu)
    beside = f"quiet: {median(seconds):.1f} s of CPU, {GREEN_TESTS} tests; {PAIRS} pairs"
    return Row("plain output of a green run", median(ratios), 3, "%", beside)


if __name__ == "__main__":
    print(table(measure()))
