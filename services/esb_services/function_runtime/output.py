"""Turns what a function prints into JSON log lines that name the function, the worker and the invocation."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

PIPE_BYTES = 1024 * 1024
"""More than a pipe holds: one read takes everything that was in it."""
MAX_LINE_BYTES = 256 * 1024
_LEVELS = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL", "UNDEFINED": "INFO"}
"""Levels of the Java client, by the names that every other line has."""
_REQUEST_ID = {"requestId", "AWSRequestId"}
"""What the clients call the request id; each line has it as `request_id`."""


@dataclass(frozen=True, slots=True)
class Context:
    """The ids of the invocation that is running."""

    trace_id: str | None
    request_id: str


def root_of(trace_header: str) -> str:
    """Return the Root part of an `X-Amzn-Trace-Id` value, or all of it where it has none."""
    for part in trace_header.split(";"):
        name, separator, value = part.strip().partition("=")
        if separator and name.lower() == "root":
            return value
    return trace_header


class FunctionLog:
    """Reads the pipe of a function's stdout and stderr and writes one JSON object a line.

    Args:
        source: the non-blocking read end of the pipe.
        sink: where lines go, such as `sys.stdout.buffer`.
        function: the function's name.
        worker: the worker's name.
        timestamp: returns the present time as text.
    """

    def __init__(
        self, source: int, sink: BinaryIO, function: str, worker: str, timestamp: Callable[[], str]
    ) -> None:
        self._source = source
        self._sink = sink
        self._names = {"service": "function", "function": function, "worker": worker}
        self._timestamp = timestamp
        self._rest = b""
        self._failure: dict[str, Any] | None = None
        self.context: Context | None = None

    def drain(self) -> bool:
        """Write every whole line that is in the pipe now; return False once all writers have closed it."""
        try:
            data = os.read(self._source, PIPE_BYTES)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]
        self._write(lines)
        return bool(data)

    def finish(self) -> None:
        """Write what is in the pipe now, also a last line without its end: an invocation is over."""
        self.drain()
        rest, self._rest = self._rest, b""
        self._write([rest])

    def say(self, level: str, message: str) -> None:
        """Write a line of the worker's own."""
        self._write([json.dumps({"level": level, "message": message}).encode()])

    def expect_failure(self, report: dict[str, Any]) -> None:
        """Have the record of a failure that a Java function's client logs next, as text, be as for Python."""
        self.finish()
        self._failure = {"level": "ERROR", **report}

    def add_failure(self) -> None:
        """Write the record of the last expected failure, unless the client has."""
        if self._failure is not None:
            self._write([json.dumps(self._failure).encode()])

    def _write(self, lines: list[bytes]) -> None:
        texts = [text for line in lines for text in _split(line.decode("utf-8", "replace")) if text.strip()]
        records = [self._record(text) for text in texts]
        if records:
            self._sink.write("".join(records).encode())
            self._sink.flush()

    def _record(self, line: str) -> str:
        given = self._uniform(_json_object(line))
        record: dict[str, Any] = {"timestamp": self._timestamp(), "level": "INFO", **self._names}
        if given is None:
            # the runtime client separates the lines of one traceback by carriage returns
            record["message"] = line.rstrip("\r").replace("\r", "\n").replace("\N{NO-BREAK SPACE}", " ")
        else:
            record.update(given)
            record.update(self._names)
            record.setdefault("message", _summary(given))
        if self.context is not None:
            record["request_id"] = self.context.request_id
            if self.context.trace_id is not None:
                record["trace_id"] = self.context.trace_id
        return json.dumps(record, ensure_ascii=False, default=str) + "\n"

    def _uniform(self, given: dict[str, Any] | None) -> dict[str, Any] | None:
        if given is None:
            return None
        if self._failure is not None and str(given.get("message")).startswith(self._failure["errorMessage"]):
            given, self._failure = self._failure, None
        fields = {name: value for name, value in given.items() if name not in _REQUEST_ID}
        if fields.get("level") in _LEVELS:
            fields["level"] = _LEVELS[fields["level"]]
        return fields


def _split(line: str) -> tuple[str, ...]:
    """Part a log record of the runtime client from text that was printed before it without a line end."""
    start = line.find('{"timestamp": "')
    return (line[:start], line[start:]) if start > 0 and _json_object(line[start:]) else (line,)


def _json_object(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _summary(given: dict[str, Any]) -> str:
    kind, message = given.get("errorType"), given.get("errorMessage")
    return f"{kind}: {message}" if kind else str(message or "")
