"""What is known of each environment while a run goes on: from its events and its tests, to be shown."""

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from esb_e2e_plugin.events import plain_text

PASSED, FAILED, SKIPPED, ERROR, XFAILED, XPASSED = OUTCOMES = (
    "passed",
    "failed",
    "skipped",
    "error",
    "xfailed",
    "xpassed",
)
"""What a test can count as, named as pytest does."""

QUEUED, ENDED = "queued", "ended"
"""What an environment is in before its first phase and after its last one."""

_LABEL = re.compile(r"\[([^\]\s]+)\] ")


@dataclass
class Standing:
    """One environment.

    Attributes:
        name: the instance's name.
        profile: its entry in the matrix.
        phase: `queued`, a phase's name, or `ended`; empty where nothing has asked for it yet.
        since: when that began, in seconds of a steady clock.
        step: the phase's current step.
        waiting: what that step waits for.
        image: what is made of images at the moment.
        cause: why a phase failed.
        seconds: how long each phase took that has ended.
        total: how many tests use it.
        running: when each running test began.
        counts: how many tests ended in which way; a test may have passed and ended in an error.
        reported: the tests that have.
    """

    name: str
    profile: str
    phase: str = ""
    since: float = 0.0
    step: str = ""
    waiting: tuple[str, ...] = ()
    image: str = ""
    cause: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    total: int = 0
    running: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    reported: set[str] = field(default_factory=set)

    def enter(self, phase: str, now: float) -> None:
        """Begin a phase, and end the one before."""
        self.leave(now)
        self.phase, self.since = phase, now

    def leave(self, now: float) -> None:
        """Know how long the current phase took."""
        if self.phase not in ("", QUEUED, ENDED) and self.phase not in self.seconds:
            self.seconds[self.phase] = now - self.since
        self.step, self.waiting, self.image = "", (), ""


class Board:
    """All environments of a run; may be told and asked from any thread.

    Attributes:
        standings: the environments by name; to be read under `lock`.
        lock: keeps them as they are.
    """

    def __init__(self, profiles: Mapping[str, str]) -> None:
        """Know no more than the environments' names, and the profile of each."""
        self.lock = threading.RLock()
        self.standings = {name: Standing(name, profile) for name, profile in profiles.items()}

    def event(self, name: str, record: Mapping[str, Any], now: float) -> None:
        """Learn of an event, such as `events.jsonl` holds; other kinds are passed over.

        Args:
            name: the environment.
            record: the event.
            now: seconds of a steady clock.
        """
        standing = self.standings.get(name)
        if standing is None:
            return
        with self.lock:
            match record["kind"]:
                case "env.queued":
                    if standing.phase == "":
                        standing.enter(QUEUED, now)
                case "phase.started":
                    standing.enter(record["phase"], now)
                case "phase.progress":
                    if standing.phase in ("", QUEUED):
                        standing.enter(record["phase"], now)
                    standing.step, standing.image = _line(record["step"]), ""
                    standing.waiting = tuple(map(_line, record.get("waiting", ())))
                case "phase.finished":
                    standing.leave(now)
                    cause = record.get("cause")
                    # That a test has failed, its count says.
                    if cause is not None and cause.partition(": ")[0] not in standing.reported:
                        standing.cause = standing.cause or cause
                case "service.state" if record["state"] == "healthy":
                    standing.waiting = tuple(s for s in standing.waiting if s != record["service"])
                case "env.finished":
                    standing.enter(ENDED, now)

    def line(self, name: str, source: str, text: str) -> None:
        """Learn from a line of output which image is being made."""
        if source != "images":  # one of many: every service's lines come by
            return
        with self.lock:
            if (standing := self.standings.get(name)) is not None:
                labelled = _LABEL.match(text)
                standing.image = labelled[1] if labelled else _line(text)

    def expect(self, name: str, tests: int) -> None:
        """Learn how many more tests use an environment."""
        with self.lock:
            self.standings[name].total += tests

    def started(self, name: str, test: str) -> None:
        """Learn that a test begins."""
        with self.lock:
            self.standings[name].running[test] = time.monotonic()

    def reported(self, name: str, test: str, outcome: str | None, *, ended: bool) -> None:
        """Learn of a phase of a test.

        Args:
            name: its environment.
            test: its node id.
            outcome: one of `OUTCOMES`; None where it does not count.
            ended: whether the test is over.
        """
        with self.lock:
            standing = self.standings[name]
            if ended:
                standing.running.pop(test, None)
            if outcome is not None:
                standing.counts[outcome] += 1
                standing.reported.add(test)


def _line(text: str) -> str:
    return " ".join(plain_text(text).split())
