"""Misbehaves on demand: dies, or takes its time."""

import json
import logging
import os
import time
from typing import Any

logger = logging.getLogger(__name__)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Run the request's `action`: `hello`, `crash` (the process exits 1) or `delay` (`seconds`)."""
    request = json.loads(event["body"] or "{}") if "body" in event else event
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    action = request.get("action", "hello")
    if action == "hello":
        return _response(200, {"success": True, "action": action, "message": "hello"})
    if action == "crash":
        logger.error("crashing on demand")
        os._exit(1)
    if action == "delay":
        seconds = float(request.get("seconds", 1))
        time.sleep(seconds)
        return _response(200, {"success": True, "action": action, "seconds": seconds})
    return _response(500, {"success": False, "action": action, "error": f"unknown action {action!r}"})


def _response(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body),
    }
