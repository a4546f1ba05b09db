"""The part of an environment's log that tells of one test: its trace, and what else went on meanwhile.

Pure: the text of a log in, text of a report out.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import Any

from esb_e2e_plugin.recorder import Request
from esb_e2e_plugin.reporting.summary import readable

MOST_LINES = 150
"""How many lines of text a section has at most."""

MOST_BYTES = 48 * 1024
"""How many bytes it has at most."""

_WIDEST = 1000
_FIRST_LINES, _LAST_LINES = 15, 35  # of one record: the ends of a traceback say most
_LINE = re.compile(r"(\d\d):(\d\d):(\d\d)\.(\d{3}) \[([^\]]*)\] (.*)")
_SDK = frozenset({"boto3", "botocore", "s3transfer", "urllib3"})
_SEVERE = frozenset({"WARNING", "ERROR", "CRITICAL"})
_WORKER = re.compile(r"-([0-9a-f]{8})$")
_INVOKE = "/invocations"
_ACCEPTED = 202
_HALF_A_DAY = 12 * 3600.0
_WHOLE_SECOND = 0.999
_SLACK = 1.0  # an engine on another machine has another clock
_INSTANT = 1e-6  # an invocation ends after all that its function logged


@dataclass(frozen=True)
class LogLine:
    """One line of an environment's log.

    Attributes:
        time: when it was logged, in seconds since the epoch.
        source: the service; of a function its name and the last part of its worker's.
        text: level, message, and an exception in lines below; of an unstructured line all of it.
        record: the structured line; empty for any other.
        exact: whether the time is the line's own, in fractions of a second.
    """

    time: float
    source: str
    text: str
    record: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = True

    @property
    def trace_id(self) -> str | None:
        """The trace that it belongs to, or None."""
        return self.record.get("trace_id")

    @property
    def severe(self) -> bool:
        """Whether its level is one of those that tell of trouble."""
        return self.record.get("level") in _SEVERE


def parse(text: str, since: float) -> list[LogLine]:
    """Return the lines of a part of an environment's log, as they stand there.

    Args:
        text: whole lines, as `events.Journal` writes them.
        since: when the first of them was written, in seconds since the epoch: lines carry no date. Older
            lines, which were written late, are left out.
    """
    lines = [_line(match, since) for match in map(_LINE.fullmatch, text.splitlines()) if match is not None]
    return [line for line in lines if line.time >= since - _SLACK]


def in_order_of_time(lines: Sequence[LogLine]) -> list[LogLine]:
    """Return the lines of a log in the order of their time.

    A guessed time is made to fit what is known: when the invocation ran, and what its source logged next.
    """
    windows = {}
    for line in lines:
        record = line.record
        if _invoked(record) and "duration_ms" in record:
            windows[record["request_id"]] = (line.time - float(record["duration_ms"]) / 1000, line.time)
    timed: list[LogLine] = []
    after: dict[str, float] = {}
    for line in reversed(lines):
        time = line.time
        if not line.exact:
            begin, end = windows.get(line.record.get("request_id"), (time, math.inf))
            time = min(max(time, begin), end - _INSTANT, after.get(line.source, time))
        after[line.source] = time
        timed.append(replace(line, time=time))
    timed.reverse()
    return sorted(timed, key=attrgetter("time"))


def unfinished(
    lines: Iterable[LogLine], trace: Callable[[str | None], bool], requests: Iterable[Request]
) -> list[str]:
    """Return what is still going on in a trace, in words: its lines are not all there yet.

    Args:
        lines: the log so far.
        trace: tells whether a trace id is the one.
        requests: those that the test made.
    """
    records = [line.record for line in lines if trace(line.trace_id)]
    answered = {record.get("request_id") for record in records if "status" in record and "path" in record}
    accepted = {
        str(record["request_id"]): record.get("function")
        for record in records
        if record.get("status") == _ACCEPTED and str(record.get("path", "")).endswith(_INVOKE)
    }
    ended = {
        record.get("request_id")
        for record in records
        if _invoked(record) or (record.get("service") in ("agent", "gateway") and _failed(record))
    }
    waiting = [
        f"the gateway's line about {request.method} {request.target}"
        for request in requests
        if request.gateway and request.request_id is not None and request.request_id not in answered
    ]
    return waiting + [
        f"the asynchronous invocation {number} of {function}"
        for number, function in accepted.items()
        if number not in ended
    ]


def excerpt(
    lines: Sequence[LogLine],
    trace: Callable[[str | None], bool],
    *,
    most_lines: int = MOST_LINES,
    most_bytes: int = MOST_BYTES,
) -> str:
    """Return what tells of a test: lines of its trace, and lines of none; not all where they are many.

    Args:
        lines: the log from the test's begin on, in the order of their time.
        trace: tells whether a trace id is the test's.
        most_lines: how many lines of text there may be.
        most_bytes: how many bytes.
    """
    own = any(trace(line.trace_id) for line in lines)
    wanted = [line for line in lines if _is_wanted(line, trace, own=own)]
    # What survives: trouble of the trace, its other lines, trouble elsewhere, all else; of equals the latest.
    order = sorted(
        range(len(wanted)),
        key=lambda i: (
            not trace(wanted[i].trace_id),
            not wanted[i].severe,
            wanted[i].record.get("level") == "DEBUG",
            -i,
        ),
    )
    shown: dict[int, str] = {}
    for index in order:
        text = _shown(wanted[index])
        most_lines -= text.count("\n") + 1
        most_bytes -= len(text.encode(errors="replace")) + 1
        if most_lines < 0 or most_bytes < 0:
            break
        shown[index] = text
    return "\n".join(_with_gaps(shown, len(wanted)))


def _line(match: "re.Match[str]", since: float) -> LogLine:
    hour, minute, second, milli, source, rest = match.groups()
    begin = datetime.fromtimestamp(since)  # noqa: DTZ006  the log has the clock of this machine
    clock = begin.replace(
        hour=int(hour), minute=int(minute), second=int(second), microsecond=int(milli) * 1000
    )
    if clock.timestamp() < since - _HALF_A_DAY:  # after midnight
        clock += timedelta(days=1)
    written = clock.timestamp()
    record = _record(rest)
    if record is None:
        return LogLine(written, source, rest)
    time, exact = _time(record, written)
    text, function = readable(rest, clock=False), record.get("function")
    if record.get("service") == "function":
        return LogLine(time, _worker(str(record.get("worker", source)), str(function)), text, record, exact)
    if function and str(function) not in text:
        first, newline, below = text.partition("\n")
        text = f"{first} ({function}){newline}{below}"
    return LogLine(time, str(record.get("service") or source), text, record, exact)


def _time(record: Mapping[str, Any], written: float) -> tuple[float, bool]:
    """Return when a record was made; a runtime's client that tells whole seconds leaves the rest to guess."""
    stamp = str(record.get("timestamp"))
    try:
        time = datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return written, False
    return (time, True) if "." in stamp else (min(max(time, written), time + _WHOLE_SECOND), False)


def _is_wanted(line: LogLine, trace: Callable[[str | None], bool], *, own: bool) -> bool:
    if not line.severe and str(line.record.get("logger", "")).partition(".")[0] in _SDK:
        return False  # a function at level DEBUG has its SDK tell every step
    if line.trace_id is None or trace(line.trace_id):
        return True
    # A test that asks by means of its own has no trace that is known here.
    return not own and line.severe


def _invoked(record: Mapping[str, Any]) -> bool:
    """Tell whether the agent says that a function has answered a request, not that a worker has started."""
    return record.get("service") == "agent" and "request_id" in record and "status" in record


def _failed(record: Mapping[str, Any]) -> bool:
    return record.get("level") in ("ERROR", "CRITICAL")


def _shown(line: LogLine) -> str:
    clock = datetime.fromtimestamp(line.time).strftime("%H:%M:%S.%f")[:12]  # noqa: DTZ006
    rows = [row if len(row) <= _WIDEST else f"{row[:_WIDEST]}…" for row in line.text.split("\n")]
    if (dropped := len(rows) - _FIRST_LINES - _LAST_LINES) > 0:
        rows[_FIRST_LINES:-_LAST_LINES] = [f"    … {dropped} lines left out"]
    return "\n".join([f"{clock} {line.source} {rows[0]}".rstrip(), *rows[1:]])


def _with_gaps(shown: Mapping[int, str], count: int) -> Iterable[str]:
    """Yield the texts in their order, with a line where some are missing."""
    for before, index in pairwise([-1, *sorted(shown), count]):
        if (missing := index - before - 1) > 0:
            yield f"… {missing} left out"
        if index < count:
            yield shown[index]


def _worker(name: str, function: str) -> str:
    """Return a worker's name without its environment's: `lambda-echo/1a2b3c4d`."""
    number = _WORKER.search(name)
    return f"{function}/{number[1]}" if number else function


def _record(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "message" in record else None
