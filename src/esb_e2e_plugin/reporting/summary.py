"""The end of the output: which errors are folded into whose block, and log lines as a person reads them."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from esb_e2e_plugin.log_files import log_files

if TYPE_CHECKING:
    from esb_e2e_plugin.owner import Outcome


_WIDEST = 240  # a service may log a whole document in one line; the log file has it all


class FoldedErrors:
    """Keeps errors out of pytest's ERRORS that say no more than the block of their environment does.

    They stay in every count, in the short summary with one line each, and in every report.
    """

    def __init__(self, outcomes: Callable[[], Mapping[str, "Outcome"]]) -> None:
        """Fold the errors of the environments that `outcomes` tells of."""
        self._outcomes = outcomes
        self._errors: list[pytest.TestReport] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_terminal_summary")
    def pytest_fold_errors(self, terminalreporter: pytest.TerminalReporter) -> Generator[None]:
        """Take them away before pytest writes its sections."""
        if "error" in terminalreporter.stats:
            self._errors = terminalreporter.stats["error"]
            failures = [outcome.failure for outcome in self._outcomes().values() if outcome.failure]
            said = {failure.one_line() for failure in failures}
            shown = [error for error in self._errors if str(error.longrepr) not in said]
            terminalreporter.stats["error"] = shown
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Give them back before the blocks and pytest's short summary."""
        if self._errors:
            terminalreporter.stats["error"] = self._errors


def readable(line: str, *, clock: bool = True) -> str:
    """Return a structured log line as `time LEVEL message`, with its exception; any other line as it is.

    Args:
        line: the line.
        clock: whether to show the time.
    """
    record = _record(line)
    if record is None or "message" not in record:
        return line
    time = str(record.get("timestamp", ""))[11:23] if clock else ""
    exception = record.get("exception") or record.get("stackTrace") or ""
    if isinstance(exception, list):
        exception = "".join(map(str, exception))
    text = f"{time} {record.get('level', '')} {record['message']}".strip()
    return f"{text}\n{str(exception).strip()}".rstrip().replace("\n", "\n    ")


def clipped(text: str) -> str:
    """Return `text` with no line longer than a person reads."""
    lines = (line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…" for line in text.splitlines())
    return "\n".join(lines)


def guilty_log(logs: Path, since: float, until: float) -> tuple[str, Path] | None:
    """Return name and file of whoever logged the first error within a time window, function workers first.

    Args:
        logs: folder of the environment's service logs.
        since: start of the window, in seconds since the epoch.
        until: its end.
    """
    found = []
    for path in log_files(logs):
        for when, record in _errors(path):
            # Some runtimes log whole seconds: those of the second in which the window starts count.
            if (since if when % 1 else int(since)) <= when <= until:
                found.append((path.parent == logs, when, str(record.get("function") or path.stem), path))
                break
    if not found:
        return None
    _, _, name, path = min(found)
    return name, path


def _errors(path: Path) -> Iterator[tuple[float, dict[str, Any]]]:
    from datetime import datetime

    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # removed meanwhile
        return
    for line in text.splitlines():
        record = _record(line)
        if record is not None and record.get("level") in ("ERROR", "CRITICAL"):
            try:
                yield datetime.fromisoformat(str(record["timestamp"])).timestamp(), record
            except (KeyError, ValueError):
                continue


def _record(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
