"""What a run shows while it goes on: lines of environments always, and in `live` rows that are redrawn.

The main thread writes as soon as it comes by. A thread of the display's own writes what has waited for a
moment, redraws the rows, and breaks a silence: while a long test runs in the only process, nobody else would.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from esb_e2e_plugin.reporting.board import ENDED, QUEUED, Board, Standing
from esb_e2e_plugin.reporting.screen import Screen
from esb_e2e_plugin.reporting.words import Markup, region, sentence

Mode = Literal["live", "plain", "stream", "quiet"]

RUN = "esb"
"""In place of an environment's name: the line is about the run, and shown in every mode."""

_TICK_SECONDS = 0.1
_SILENT_SECONDS = 1.8  # nothing is silent for longer than 2 s


def mode_of(wanted: str, *, redraws: bool, environments: int, verbosity: int) -> Mode:
    """Return how a run is shown.

    Args:
        wanted: `--esb-output`.
        redraws: whether rows can be redrawn where the output goes.
        environments: how many there are.
        verbosity: pytest's, less than 0 for `-q`.
    """
    if wanted == "auto":
        if verbosity < 0:
            return "quiet"
        if verbosity > 0:
            return "stream"
        wanted = "live" if environments > 1 else "plain"
    if wanted == "live":
        return "live" if redraws else "plain"
    return "stream" if wanted == "stream" else "quiet" if wanted == "quiet" else "plain"


class Display:
    """Shows a run; may be told from any thread.

    Attributes:
        wake: lets the main thread come by soon.
    """

    def __init__(self, screen: Screen, board: Board) -> None:
        """Show nothing yet, but remember what is said.

        Args:
            screen: where it is shown.
            board: what is known of each environment.
        """
        self.wake: Callable[[], None] = lambda: None
        self._screen = screen
        self._board = board
        self._mode: Mode = "plain"
        self._markup: Markup = _plain
        self._lines: deque[tuple[float, str]] = deque()
        self._told: dict[str, float] = {}
        self._failed: set[str] = set()
        self._busy = False
        self._paused = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def mode(self) -> Mode:
        """How the run is shown."""
        return self._mode

    def begin(self, mode: Mode, markup: Markup) -> None:
        """Show the run from now on.

        Args:
            mode: how.
            markup: colours.
        """
        self._mode, self._markup = mode, markup
        if self._thread is None and mode != "quiet":
            self._thread = threading.Thread(target=self._go_on, name="esb-display", daemon=True)
            self._thread.start()

    def say(self, environment: str, text: str) -> None:
        """Show a line of an environment, or of the run."""
        if self._mode == "quiet" and environment != RUN:
            return
        style = {"red": True} if ": FAILED: " in text else {"yellow": True} if ": warning: " in text else {}
        self._push(environment, self._markup(text, **style) if style else text)
        self.wake()

    def failed(self, environment: str, text: str) -> None:
        """Show why an environment failed, where nothing else has."""
        if self._mode == "quiet" and environment not in self._failed:
            self._failed.add(environment)
            self._push(environment, self._markup(text, red=True))

    def event(self, environment: str, record: Mapping[str, Any]) -> None:
        """Learn of an event."""
        self._board.event(environment, record, time.monotonic())

    def line(self, environment: str, source: str, text: str) -> None:
        """Learn of a line of output."""
        self._board.line(environment, source, text)
        if self._mode == "stream":
            self._push(environment, text if source == "esb" else f"{source}: {text}")

    def drain(self) -> None:
        """Write what has been said."""
        if self._lines and not self._paused:
            self._screen.write(self._taken())

    def busy(self, *, writes: bool) -> None:
        """Learn whether a test runs in this process whose output goes to the terminal."""
        self._busy = writes

    def pause(self) -> None:
        """Leave the terminal to a debugger."""
        self.drain()
        self._paused = True
        self._screen.show((), 0)

    def go_on(self) -> None:
        """Take the terminal back."""
        self._paused = False
        self.drain()

    def write_last(self, lines: Iterable[str]) -> None:
        """Write what is queued and `lines` before the process ends; from any thread."""
        self._stopped.set()
        self._screen.write_last([*self._taken(), *lines])

    def end(self) -> None:
        """Show nothing more but what is said."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.drain()
        self._screen.show((), 0)

    def tick(self, now: float) -> None:
        """Do what is due.

        Args:
            now: seconds of the steady clock.
        """
        if self._paused:
            return
        if self._lines and now - self._lines[0][0] >= _TICK_SECONDS:
            self.drain()
        if self._mode == "live":
            columns, rows = self._screen.size
            with self._board.lock:
                shown = region([*self._board.standings.values()], now, columns, rows, self._markup)
            self._screen.show(shown, columns)
        elif now - self._screen.wrote_at >= _SILENT_SECONDS and not self._busy:
            self._break_silence(now)

    def _go_on(self) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            self.tick(time.monotonic())

    def _break_silence(self, now: float) -> None:
        """Say what goes on in the environment that was heard of least lately."""
        with self._board.lock:
            going = [standing for standing in self._board.standings.values() if _goes_on(standing)]
            # One that has work is worth more than one that waits for its turn.
            chosen = min(
                going,
                key=lambda s: (s.phase == QUEUED or _waits_for_tests(s), self._told.get(s.name, 0.0)),
                default=None,
            )
            if chosen is None:
                return
            self._told[chosen.name] = now
            text = sentence(chosen, now)
        self._screen.write([f"{self._prefix(chosen.name)} {text}"])

    def _push(self, environment: str, text: str) -> None:
        self._lines.append((time.monotonic(), f"{self._prefix(environment)} {text}"))

    def _prefix(self, environment: str) -> str:
        return self._markup(f"[{environment}]", cyan=True)

    def _taken(self) -> list[str]:
        # Another thread may take some meanwhile.
        taken = []
        while self._lines:
            try:
                taken.append(self._lines.popleft()[1])
            except IndexError:
                break
        return taken


def _goes_on(standing: Standing) -> bool:
    return standing.phase not in ("", ENDED) and (
        standing.phase != "test" or bool(standing.running) or len(standing.reported) < standing.total
    )


def _waits_for_tests(standing: Standing) -> bool:
    return standing.phase == "test" and not standing.running


def _plain(text: str, **_style: bool) -> str:
    return text
