"""What is shown of a run while it goes on: which display, its rows, and what breaks a silence."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from esb_e2e_plugin.reporting.board import Board
from esb_e2e_plugin.reporting.display import RUN, Display, Mode, mode_of
from esb_e2e_plugin.reporting.screen import Screen
from esb_e2e_plugin.reporting.words import cut, duration, region, sentence, short_id, width

PROFILES = {
    "e2e-docker-mine": "e2e-docker",
    "e2e-local-mine": "e2e-local",
    "e2e-containerd-mine": "e2e-containerd",
}
ONE, TWO, THREE = PROFILES


@pytest.mark.parametrize(
    ("wanted", "redraws", "environments", "verbosity", "mode"),
    [
        ("auto", True, 2, 0, "live"),
        ("auto", True, 1, 0, "plain"),
        ("auto", False, 2, 0, "plain"),
        ("auto", True, 2, 1, "stream"),
        ("auto", True, 2, -1, "quiet"),
        ("live", True, 1, 2, "live"),
        ("live", False, 2, 0, "plain"),
        ("plain", True, 2, 1, "plain"),
        ("stream", True, 2, -1, "stream"),
        ("quiet", True, 2, 1, "quiet"),
    ],
)
def test_the_display_is_the_one_that_fits(
    wanted: str, redraws: bool, environments: int, verbosity: int, mode: Mode
) -> None:
    """`auto` decides by terminal, environments and verbosity; nothing is redrawn where that cannot be."""
    assert mode_of(wanted, redraws=redraws, environments=environments, verbosity=verbosity) == mode


def progress(step: str, *waiting: str, phase: str = "compose") -> dict[str, object]:
    return {"kind": "phase.progress", "phase": phase, "step": step, "waiting": list(waiting)}


@pytest.fixture
def board() -> Board:
    """One environment that waits for services, one with tests, one in the queue."""
    made = Board(PROFILES)
    for name in PROFILES:
        made.event(name, {"kind": "env.queued"}, 100.0)
    for name in (ONE, TWO):
        made.event(name, {"kind": "phase.started", "phase": "compose"}, 100.0)
    made.event(ONE, progress("health", "database", "gateway", "agent"), 101.0)
    made.event(ONE, {"kind": "service.state", "service": "agent", "state": "healthy"}, 102.0)
    made.event(TWO, {"kind": "phase.finished", "phase": "compose", "ok": True}, 103.0)
    made.event(TWO, {"kind": "phase.started", "phase": "test"}, 104.0)
    tests = [f"e2e/test_a.py::test_a[e2e-local-{number}]" for number in range(4)]
    made.expect(TWO, len(tests))
    for test, outcome in zip(tests, ("passed", "failed", "skipped"), strict=False):
        made.started(TWO, test)
        made.reported(TWO, test, outcome, ended=True)
    made.standings[TWO].running[tests[3]] = 110.0
    return made


def shown(board: Board, columns: int, rows: int = 24, now: float = 112.0) -> list[str]:
    return region([*board.standings.values()], now, columns, rows, lambda text, **_style: text)


def test_a_wide_terminal_shows_phase_time_and_what_is_waited_for(board: Board) -> None:
    """One row for each environment, aligned."""
    assert shown(board, 100) == [
        "e2e-docker-mine     compose  12 s waiting for database, gateway",
        "e2e-local-mine      test      8 s 1/4 passed, 1 failed, 1 skipped; test_a[3] (2 s)",
        "e2e-containerd-mine queued   12 s waiting for room to start",
    ]


def test_a_narrow_terminal_shows_as_much_as_fits(board: Board) -> None:
    """No row reaches the last column; the end of what does not fit is an ellipsis."""
    assert shown(board, 40) == [
        "e2e-docker-m… compose  12 s database, …",
        "e2e-local-mi… test      8 s 1/4 passed…",
        "e2e-containe… queued   12 s room to st…",
    ]
    assert max(width(row) for row in shown(board, 12)) == 11


def test_a_low_terminal_shows_what_goes_on_first(board: Board) -> None:
    """There is always room for pytest's own line."""
    board.event(ONE, {"kind": "env.finished", "ok": True}, 111.0)
    assert shown(board, 100, rows=4) == [
        "e2e-local-mine test      8 s 1/4 passed, 1 failed, 1 skipped; test_a[3] (2 s)",
        "and 2 more environments",
    ]


def test_an_environment_that_has_ended_says_how(board: Board) -> None:
    """With its tests, or with what has failed."""
    test = "e2e/test_a.py::test_a[e2e-local-1]"
    for name, phase, cause in ((ONE, "compose", "database exited"), (TWO, "test", f"{test}: assert 1")):
        finished = {"kind": "phase.finished", "phase": phase, "ok": False, "cause": cause}
        board.event(name, finished, 105.0)
        board.event(name, {"kind": "phase.started", "phase": "cleanup"}, 105.0)
        board.event(name, {"kind": "phase.finished", "phase": "cleanup", "ok": True}, 106.5)
        board.event(name, {"kind": "env.finished", "ok": False}, 107.0)
    assert shown(board, 100)[:2] == [
        "e2e-docker-mine     failed        database exited",
        "e2e-local-mine      failed        1/4 passed, 1 failed, 1 skipped",
    ]
    assert board.standings[ONE].seconds == {"compose": 5.0, "cleanup": 1.5}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (progress("lock", "pid 7 in /x", phase="reset"), "reset: waiting: held by pid 7 in /x (9 s)"),
        (
            {"kind": "phase.started", "phase": "reset"},
            "reset: waiting for what an earlier run left to be removed (9 s)",
        ),
        (progress("prepare-images", phase="deploy"), "deploy: waiting for images of the functions (9 s)"),
        ({"kind": "env.queued"}, "queued: waiting for room to start (9 s)"),
        ({"kind": "something.new"}, None),
    ],
)
def test_a_sentence_says_what_is_waited_for(record: dict[str, object], said: str | None) -> None:
    """Steps have words of their own; an event of an unknown kind changes nothing."""
    board = Board({"one": "one"})
    board.event("one", record, 100.0)
    board.event("another", record, 100.0)
    standing = board.standings["one"]
    assert (sentence(standing, 109.5) if standing.phase else None) == said


def test_the_image_that_is_made_is_named() -> None:
    """By its label, until the next step."""
    board = Board({"one": "one"})
    board.event("one", {"kind": "phase.started", "phase": "deploy"}, 0.0)
    board.event("one", progress("prepare-images", phase="deploy"), 0.0)
    board.line("one", "gateway", "[x] noise")
    board.line("one", "images", "[pay:latest] #7 RUN pip install")
    standing = board.standings["one"]
    assert sentence(standing, 3.0) == "deploy: waiting for images of the functions: pay:latest (3 s)"
    board.event("one", progress("apply", phase="deploy"), 4.0)
    assert sentence(standing, 5.0) == "deploy: waiting for artifacts to be applied (5 s)"


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("abc", 0, ""),
        ("e\u0301x", 2, "e\u0301x"),
    ],
)
def test_text_is_cut_by_the_columns_that_it_takes(text: str, columns: int, expected: str) -> None:
    """A wide character is never halved, a combining one takes no room."""
    assert cut(text, columns) == expected


def test_numbers_and_names_are_short() -> None:
    """Seconds until a minute, then minutes; a test without the environment that its id begins with."""
    assert [duration(seconds) for seconds in (0.9, 59.9, 60, 3725)] == ["0 s", "59 s", "1:00", "62:05"]
    ids = ["t.py::T::test_a[e2e-x]", "t.py::test_a[e2e-x-1-a]", "t.py::test_a"]
    assert [short_id(test, "e2e-x") for test in ids] == ["test_a", "test_a[1-a]", "test_a"]


class Output:
    """Where a display writes to, and what time it is for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)

    def monotonic(self) -> float:
        """Stand in for the clock."""
        return self.now

    def lines(self) -> list[str]:
        """Return what was written since the last time."""
        try:
            return os.read(self._reader, 65536).decode().splitlines()
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Give the reading end back."""
        os.close(self._reader)


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[Output]:
    """Let no time pass but what the test says: no thread of the display's own runs."""
    made = Output()
    for name in ("display", "screen", "board"):
        monkeypatch.setattr(f"esb_e2e_plugin.reporting.{name}.time", made)
    monkeypatch.setattr(Display, "_go_on", lambda _self: None)
    yield made
    made.close()


def begun(output: Output, mode: Mode) -> tuple[Display, Board]:
    board = Board(PROFILES)
    display = Display(Screen(output.writer), board)
    display.begin(mode, lambda text, **_style: text)
    return display, board


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("plain", ["[a] reset: done", "[esb] interrupted"]),
        ("live", ["[a] reset: done", "[esb] interrupted"]),
        ("stream", ["[a] reset: done", "[a] gateway: it runs", "[a] deploy: apply", "[esb] interrupted"]),
        ("quiet", ["[a] failed in compose: x", "[esb] interrupted"]),
    ],
)
def test_each_display_shows_its_lines(output: Output, mode: Mode, expected: list[str]) -> None:
    """Lines of environments always, every line of output in `stream`, only failures in `quiet`."""
    display, _ = begun(output, mode)
    woken: list[bool] = []
    display.wake = lambda: woken.append(True)
    display.say("a", "reset: done")
    display.line("a", "gateway", "it runs")
    display.line("a", "esb", "deploy: apply")
    display.failed("a", "failed in compose: x")
    display.failed("a", "failed in compose: x")
    display.say(RUN, "interrupted")
    assert output.lines() == []
    display.drain()
    assert output.lines() == expected
    assert woken
    display.end()


def test_what_nobody_has_written_for_a_moment_is_written_by_the_displays_own_thread(output: Output) -> None:
    """The main thread may be in a test."""
    display, _ = begun(output, "plain")
    display.say("a", "reset: done")
    display.tick(output.now)
    assert output.lines() == []
    output.now += 0.1
    display.tick(output.now)
    assert output.lines() == ["[a] reset: done"]


def test_a_silence_is_broken_before_two_seconds_are_over(output: Output) -> None:
    """One line at a time, of the environments in turn; not where nothing goes on."""
    display, board = begun(output, "plain")

    def heard(seconds: float) -> list[str]:
        until = output.now + seconds
        while output.now < until:
            output.now = round(output.now + 0.1, 1)
            display.tick(output.now)
        return output.lines()

    assert heard(10) == []
    for name in (ONE, TWO):
        display.event(name, {"kind": "phase.started", "phase": "compose"})
        display.event(name, progress("health", "database"))
    display.event(THREE, {"kind": "env.queued"})
    said = heard(7)
    assert len(said) == 4
    assert [line.partition("]")[0] for line in said] == [f"[{name}" for name in (ONE, TWO, ONE, TWO)]
    assert all("] compose: waiting for database (" in line for line in said)
    display.say(ONE, "compose: done in 5.8 s")
    assert heard(1.5) == [f"[{ONE}] compose: done in 5.8 s"]
    for name in (ONE, TWO):
        display.event(name, {"kind": "env.finished"})
    assert [line for line in heard(2) if THREE not in line] == []
    display.event(THREE, {"kind": "env.finished"})
    heard(2)
    assert heard(10) == []
    assert board.standings[ONE].phase == "ended"


def test_an_environment_with_a_test_that_runs_is_told_of_before_one_that_waits(output: Output) -> None:
    """The second one of a single process has nothing to say while the tests of the first one run."""
    display, board = begun(output, "plain")
    for name in (TWO, ONE):
        display.event(name, {"kind": "phase.started", "phase": "test"})
        board.expect(name, 2)
    board.started(ONE, "test_a.py::test_a[e2e-docker]")
    said = []
    for _ in range(3):
        output.now += 2
        display.tick(output.now)
        said += output.lines()
    assert said == [f"[{ONE}] test: 0/2 passed; test_a ({seconds} s)" for seconds in (2, 4, 6)]
    display.busy(writes=True)  # the terminal belongs to what the test writes
    output.now += 10
    display.tick(output.now)
    assert output.lines() == []


def test_a_debugger_has_the_terminal_for_itself(output: Output) -> None:
    """What is said meanwhile comes when it is left."""
    display, _ = begun(output, "plain")
    display.event(ONE, {"kind": "phase.started", "phase": "compose"})
    display.pause()
    display.say(ONE, "reset: done")
    output.now += 10
    display.tick(output.now)
    display.drain()
    assert output.lines() == []
    display.go_on()
    assert output.lines() == [f"[{ONE}] reset: done"]


def test_last_words_come_after_what_was_said(output: Output) -> None:
    """Nothing that is queued is lost where the process ends at once."""
    display, _ = begun(output, "plain")
    display.say("a", "reset: done")
    display.write_last(["[a] left: a thing"])
    assert output.lines() == ["", "[a] reset: done", "[a] left: a thing"]
