"""Shows what the Python runtime gives a function, and fails in each way a Python function can."""

import importlib
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)
WORKER = str(uuid.uuid4())
calls = 0


class ProbeError(Exception):
    """What the action `raise` raises."""


def _context(_request: dict[str, Any], context: Any) -> dict[str, Any]:
    return {
        "function_name": context.function_name,
        "function_version": context.function_version,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "invoked_function_arn": context.invoked_function_arn,
        "aws_request_id": context.aws_request_id,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "client_context": context.client_context.custom if context.client_context else None,
    }


def _environment(request: dict[str, Any], _context: Any) -> dict[str, Any]:
    return {"environment": {name: os.environ.get(name) for name in request["names"]}}


def _layers(_request: dict[str, Any], _context: Any) -> dict[str, Any]:
    names = ("scenario_base", "scenario_both")
    return {"layers": [importlib.import_module(name).NAME for name in names]}


def _state(_request: dict[str, Any], _context: Any) -> dict[str, Any]:
    return {"worker": WORKER, "calls": calls}


def _raise(request: dict[str, Any], _context: Any) -> dict[str, Any]:
    raise ProbeError(request.get("text", "on demand"))


def _log(request: dict[str, Any], _context: Any) -> dict[str, Any]:
    text = request["text"]
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, text)
    sys.stdout.write(f"{text} on stdout\n")
    sys.stderr.write(f"{text} on stderr\n")
    try:
        _raise(request, _context)
    except ProbeError:
        logger.exception("%s with a traceback", text)
    return {}


def _exit(request: dict[str, Any], _context: Any) -> dict[str, Any]:
    sys.exit(int(request.get("status", 3)))


def _not_json(_request: dict[str, Any], _context: Any) -> dict[str, Any]:
    return {"answer": object()}


def _sleep(request: dict[str, Any], _context: Any) -> dict[str, Any]:
    time.sleep(float(request["seconds"]))
    return {}


def _allocate(request: dict[str, Any], _context: Any) -> dict[str, Any]:
    block = bytearray(b"\x01") * (int(request["mib"]) * 1024 * 1024)
    time.sleep(float(request.get("hold_seconds", 0)))
    return {"bytes": len(block)}


ACTIONS: dict[str, Callable[[dict[str, Any], Any], dict[str, Any]]] = {
    "context": _context,
    "environment": _environment,
    "layers": _layers,
    "state": _state,
    "log": _log,
    "raise": _raise,
    "exit": _exit,
    "not_json": _not_json,
    "sleep": _sleep,
    "allocate": _allocate,
}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run the request's `action`; unlike the other functions it lets failures out."""
    global calls
    calls += 1
    request = json.loads(event["body"] or "{}") if "body" in event else event
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    action = request["action"]
    body = {"success": True, "action": action, **ACTIONS[action](request, context)}
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body) if action != "not_json" else body["answer"],
    }
