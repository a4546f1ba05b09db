"""Structured logs: one JSON object a line on stdout, the same fields in every service."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; fields given by `extra={"fields": {...}}` are added to it."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as one line of JSON with `timestamp`, `level`, `service`, `message`, `trace_id`."""
        entry: dict[str, Any] = {
            "timestamp": timestamp(record.created),
            "level": record.levelname,
            "service": self._service,
            "message": record.getMessage(),
        }
        if (trace := trace_id.get()) is not None:
            entry["trace_id"] = trace
        if (request := request_id.get()) is not None:
            entry["request_id"] = request
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def timestamp(seconds: float) -> str:
    """Return `seconds` since the epoch as ISO 8601 in UTC with milliseconds: `2026-01-31T12:00:00.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure(service: str, level: str = "INFO") -> logging.Logger:
    """Send every logger's records to stdout as JSON lines, and return the service's own logger.

    Args:
        service: the name that each line carries, such as `gateway`.
        level: the least level that is shown, such as `DEBUG`.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return logging.getLogger(f"esb.{service}")
