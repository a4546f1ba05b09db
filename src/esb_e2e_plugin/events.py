"""What happens to an environment, as records and as a log: both redacted, both complete."""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from esb_e2e_plugin.redaction import Redactor

KINDS: Final = frozenset(
    {
        "run.started",
        "run.finished",
        "env.queued",
        "env.finished",
        "env.reuse",
        "phase.started",
        "phase.progress",
        "phase.finished",
        "command.started",
        "command.finished",
        "service.state",
        "test.started",
        "test.finished",
        "lease.moved",
        "cleanup.left",
    }
)
"""Everything that an event can be about; `events.schema.json` describes the records."""

VERSION: Final = 1
"""Schema version of the records in `events.jsonl`."""

_TEST_KINDS = "test."
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]")


def plain_text(text: str) -> str:
    """Return `text` without terminal control codes, which would garble whoever shows it."""
    return _CONTROL.sub("", text)


class Observer(Protocol):
    """Whoever looks on while environments are driven; called in their threads, so it must not wait."""

    def event(self, environment: str, record: Mapping[str, Any]) -> None:
        """See an event, as `events.jsonl` has it; before there is such a file, only `kind` and its fields."""

    def line(self, environment: str, source: str, text: str) -> None:
        """See a line of output of `source`, as the log has it."""


class Nobody:
    """Nobody looks on."""

    def event(self, environment: str, record: Mapping[str, Any]) -> None:
        """Let it pass."""

    def line(self, environment: str, source: str, text: str) -> None:
        """Let it pass."""


NOBODY: Final = Nobody()


class Journal:
    """The two files that tell what happened to one environment, and whoever listens.

    The log holds every line of output, the events hold what it meant. Each line is written with one system
    call, so it is there whatever happens to the process afterwards.

    Attributes:
        environment: the instance's name.
        redact: hides the environment's secrets.
        log_path: the log file.
        events_path: the events file.
        told: the lines of the events but for those about tests; the next run empties the file.
    """

    def __init__(
        self,
        environment: str,
        run_id: str,
        log: Path,
        events: Path,
        listener: Callable[[str, str], None],
        *,
        anew: bool = True,
        observer: Observer = NOBODY,
        redact: Redactor | None = None,
    ) -> None:
        """Open both files.

        Args:
            environment: the instance's name.
            run_id: the run that writes.
            log: the log file; its folder is made.
            events: the events file; its folder is made.
            listener: called with environment and text for each line meant for the terminal.
            anew: whether a new run begins; else both files go on.
            observer: sees each event, and each line but those that the listener gets.
            redact: knows the secrets of the run; None for an environment on its own.
        """
        self.environment = environment
        self.redact = redact or Redactor()
        self.log_path = log
        self.events_path = events
        self.told: list[str] = []
        self._run_id = run_id
        self._listener = listener
        self._observer = observer
        self._lock = threading.Lock()
        self._log = _open(log, anew=anew)
        self._events = _open(events, anew=anew)

    def event(self, kind: str, **fields: Any) -> None:
        """Record that something of `kind` happened, such as `phase.started`, with its `fields`."""
        record = {"v": VERSION, "t": round(time.time(), 3), "run": self._run_id, "env": self.environment}
        told = self.redact.of(fields)
        line = self.redact(json.dumps({**record, "kind": kind, **told}, default=str, ensure_ascii=False))
        with self._lock:
            if not kind.startswith(_TEST_KINDS):
                self.told.append(line)
            _write(self._events, line)
        if self._observer is not NOBODY:
            with suppress(ValueError):  # a secret that is a number may have stood where JSON needs one
                self._observer.event(self.environment, json.loads(line))

    def say(self, text: str) -> None:
        """Log `text` and show it on the terminal."""
        self._log_line("esb", text)
        self._listener(self.environment, self.redact(text))

    def line(self, source: str, text: str) -> None:
        """Log one line of output of `source`, which is a service, a command, or `esb` itself."""
        self._observer.line(self.environment, source, self._log_line(source, text))

    def _log_line(self, source: str, text: str) -> str:
        now, shown = time.time(), self.redact(plain_text(text))
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        with self._lock:
            _write(self._log, f"{clock}.{int(now * 1000) % 1000:03d} [{source}] {shown}")
        return shown

    def tail(self, count: int) -> list[str]:
        """Return the last `count` lines of the log."""
        return tail(self.log_path, count)

    def close(self) -> None:
        """Close both files; later lines are dropped."""
        with self._lock:
            for descriptor in (self._log, self._events):
                if descriptor >= 0:
                    os.close(descriptor)
            self._log = self._events = -1


def tail(path: Path, count: int) -> list[str]:
    """Return the last `count` lines of the file `path` without control codes; none when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [plain_text(line) for line in lines[-count:]] if count else []


def _open(path: Path, *, anew: bool) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not anew:
        _drop_unfinished_line(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    return os.open(path, flags | (os.O_TRUNC if anew else 0), 0o644)


def _drop_unfinished_line(path: Path) -> None:
    """Remove the beginning of a line that a process wrote while it was killed."""
    with suppress(FileNotFoundError), path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)


def _write(descriptor: int, line: str) -> None:
    if descriptor >= 0:
        os.write(descriptor, (line + "\n").encode(errors="replace"))
