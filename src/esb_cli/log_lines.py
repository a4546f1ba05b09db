"""Lines of logs: which ones are wanted, in which order, and how they look. Pure."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

FUNCTION_SERVICE: Final = "function"
"""What a function worker calls itself in its records."""

_TRACE = re.compile(r"(?:^|[;\s])(?:Root=)?(1-[0-9a-f]{8}-[0-9a-f]{24})(?:$|[;\s])", re.IGNORECASE)
_SHOWN = frozenset({"timestamp", "level", "service", "message", "exception"})
_CLOCK = slice(11, 23)  # of 2026-01-31T12:00:00.123Z


@dataclass(frozen=True)
class Source:
    """Who has written a line.

    Attributes:
        name: The service, or the name of a function worker.
        function: The function of a worker; None for a service.
    """

    name: str
    function: str | None = None


@dataclass(frozen=True)
class Line:
    """One line of a log.

    Attributes:
        source: Who has written it.
        text: As it was written.
        record: Its fields, where it is a structured one.
        when: What it is sorted by: ISO 8601 in UTC; of an unstructured line that of the one before.
    """

    source: Source
    text: str
    record: dict[str, Any] | None
    when: str

    def data(self) -> dict[str, Any]:
        """Return the line for programs."""
        return {"source": self.source.name, **(self.record or {"message": self.text})}


@dataclass(frozen=True)
class Wanted:
    """Which lines are shown.

    Attributes:
        service: Those of one service; `function` for all function workers.
        function: Those of one function.
        trace: Those of one call.
    """

    service: str | None = None
    function: str | None = None
    trace: str | None = None

    def takes(self, line: Line) -> bool:
        """Tell whether a line is wanted."""
        record = line.record or {}
        written_by = FUNCTION_SERVICE if line.source.function is not None else line.source.name
        if self.service not in (None, record.get("service", written_by), line.source.name):
            return False
        if self.function not in (None, record.get("function", line.source.function)):
            return False
        return self.trace is None or record.get("trace_id") == self.trace


def trace_id_of(given: str) -> str | None:
    """Return the trace id in what a user gave: the id alone, or a header `Root=…;Sampled=1`; else None."""
    found = _TRACE.search(given.strip())
    return None if found is None else found[1]


def parse(source: Source, text: str, before: str, when: str | None = None) -> Line:
    """Return a line that was read.

    Args:
        source: Who has written it.
        text: Without its end.
        before: The time of the line before.
        when: When the engine has got it, where it tells.
    """
    record = None
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        record = found if isinstance(found, dict) else None
    # An engine knows better than a program that tells whole seconds.
    told = when or str((record or {}).get("timestamp") or "")
    return Line(source, text, record, told.removesuffix("Z") or before)


def in_order(lines: Iterable[Line], last: int | None = None) -> list[Line]:
    """Return lines in the order of their time; the last ones alone where a number is given."""
    ordered = sorted(lines, key=lambda line: line.when)
    return ordered if last is None else ordered[max(0, len(ordered) - last) :]


def shown(line: Line) -> str:
    """Return a line for people: time, who, level, message, what else it tells."""
    if line.record is None:
        return f"{line.when[_CLOCK]:12} {line.source.name}: {line.text}".lstrip()
    record = line.record
    service = record.get("service") or line.source.name
    who = record.get("function", line.source.name) if service == FUNCTION_SERVICE else service
    head = f"{line.when[_CLOCK]:12} {who}: {record.get('level', '')} {record.get('message', '')}"
    more = " ".join(f"{key}={value}" for key, value in record.items() if key not in _SHOWN and value != who)
    exception = f"\n{record['exception']}" if record.get("exception") else ""
    return f"{head.strip()}{f'  {more}' if more else ''}{exception}"
