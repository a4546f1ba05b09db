"""Keeps its worker busy for a given time, so that the next request needs another one."""

import json
import logging
import time
from typing import Any

logger = logging.getLogger(__name__)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Sleep for `sleep_ms` milliseconds (default 0)."""
    request = json.loads(event["body"] or "{}") if "body" in event else event
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    slept_ms = int(request.get("sleep_ms", 0))
    logger.info("busy for %d ms", slept_ms)
    time.sleep(slept_ms / 1000)
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"message": "scaling-test", "slept_ms": slept_ms}),
    }
