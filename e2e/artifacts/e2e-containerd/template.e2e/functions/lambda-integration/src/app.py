"""Calls another function through the SDK, and waits for its answer or not."""

import functools
import json
import logging
import os
from typing import Any

import boto3

logger = logging.getLogger(__name__)


@functools.cache
def _lambda() -> Any:
    return boto3.client("lambda")


def _trace_root() -> str | None:
    header = os.environ.get("_X_AMZN_TRACE_ID", "")
    fields = dict(field.split("=", 1) for field in header.split(";") if "=" in field)
    return fields.get("Root")


def _invoke(target: str, message: str, *, wait: bool) -> dict[str, Any]:
    answer = _lambda().invoke(
        FunctionName=target,
        InvocationType="RequestResponse" if wait else "Event",
        Payload=json.dumps({"message": message}),
    )
    if not wait:
        return {"status": "async-started", "status_code": answer["StatusCode"]}
    child: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise RuntimeError(f"{target} failed: {child['errorMessage']}")
    return child


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Invoke `next_target` (default `lambda-echo`) with `message`; with `async` do not wait for it."""
    request = json.loads(event["body"] or "{}") if "body" in event else event
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    target = request.get("next_target", "lambda-echo")
    logger.info("invoking %s", target)
    try:
        child = _invoke(target, request.get("message", "from-chain"), wait=not request.get("async", False))
        return _response(200, {"success": True, "trace_id": _trace_root(), "child": child})
    except Exception as error:
        logger.exception("invoking %s failed", target)
        body = {"success": False, "action": "invoke", "error": f"{type(error).__name__}: {error}"}
        return _response(500, body)


def _response(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body),
    }
