"""The smoke contract: one action for each thing that a function must be able to reach."""

import functools
import json
import logging
import os
import time
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

logger = logging.getLogger(__name__)


@functools.cache
def _client(service: Any) -> Any:
    return boto3.client(service, config=Config(s3={"addressing_style": "path"}))


def _echo(request: dict[str, Any]) -> dict[str, Any]:
    return {"message": f"Echo: {request['message']}"}


def _dynamodb_put(request: dict[str, Any]) -> dict[str, Any]:
    item = {"id": {"S": request["key"]}, "value": {"S": request["value"]}}
    _client("dynamodb").put_item(TableName=os.environ["TABLE_NAME"], Item=item)
    return {}


def _s3_put(request: dict[str, Any]) -> dict[str, Any]:
    _client("s3").put_object(Bucket=request["bucket"], Key=request["key"], Body=request["content"].encode())
    return {}


def _chain_invoke(request: dict[str, Any]) -> dict[str, Any]:
    payload = json.dumps({"message": "from-chain"})
    answer = _client("lambda").invoke(FunctionName=request["target"], Payload=payload)
    child = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise RuntimeError(f"{request['target']} failed: {child['errorMessage']}")
    return {"child": child}


def _test_cloudwatch(_request: dict[str, Any]) -> dict[str, Any]:
    logs = _client("logs")
    group, stream = f"/esb/connectivity/{uuid.uuid4()}", "events"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    now = int(time.time() * 1000)
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    events = [{"timestamp": now + i, "message": f"[{level}] event {i}"} for i, level in enumerate(levels)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return {"cloudwatch": {"log_group": group, "log_stream": stream}}


ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "echo": _echo,
    "dynamodb_put": _dynamodb_put,
    "s3_put": _s3_put,
    "chain_invoke": _chain_invoke,
    "test_cloudwatch": _test_cloudwatch,
}


def _run(action: str, request: dict[str, Any]) -> dict[str, Any]:
    if action not in ACTIONS:
        raise ValueError(f"unknown action {action!r}; known are {', '.join(ACTIONS)}")
    return ACTIONS[action](request)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Run the request's `action`; any failure is a 500 that says what went wrong."""
    request = json.loads(event["body"] or "{}") if "body" in event else event
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    action = request.get("action", "echo")
    try:
        return _response(200, {"success": True, "action": action, **_run(action, request)})
    except Exception as error:
        logger.exception("action %s failed", action)
        return _response(
            500, {"success": False, "action": action, "error": f"{type(error).__name__}: {error}"}
        )


def _response(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body),
    }
