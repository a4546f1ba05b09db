"""The life of one item in DynamoDB."""

import functools
import json
import logging
import os
import uuid
from collections.abc import Callable
from typing import Any

import boto3

logger = logging.getLogger(__name__)
TABLE = os.environ["TABLE_NAME"]


class BadRequestError(Exception):
    """The request misses something or asks for something unknown."""


@functools.cache
def _dynamodb() -> Any:
    return boto3.client("dynamodb")


def _key(request: dict[str, Any]) -> dict[str, Any]:
    if not request.get("id"):
        raise BadRequestError("id is missing")
    return {"id": {"S": request["id"]}}


def _put(request: dict[str, Any]) -> dict[str, Any]:
    item_id = request.get("id") or str(uuid.uuid4())
    item = {"id": {"S": item_id}, "value": {"S": str(request.get("value", ""))}}
    _dynamodb().put_item(TableName=TABLE, Item=item)
    return {"item_id": item_id}


def _get(request: dict[str, Any]) -> dict[str, Any]:
    item = _dynamodb().get_item(TableName=TABLE, Key=_key(request), ConsistentRead=True).get("Item")
    return {"found": item is not None, "item": item}


def _put_get(request: dict[str, Any]) -> dict[str, Any]:
    item_id = _put(request)["item_id"]
    return {"item_id": item_id, "retrieved_item": _get({"id": item_id})["item"]}


def _update(request: dict[str, Any]) -> dict[str, Any]:
    _dynamodb().update_item(
        TableName=TABLE,
        Key=_key(request),
        UpdateExpression="SET #value = :value",
        ExpressionAttributeNames={"#value": "value"},
        ExpressionAttributeValues={":value": {"S": str(request.get("value", ""))}},
    )
    return {"item_id": request["id"]}


def _delete(request: dict[str, Any]) -> dict[str, Any]:
    answer = _dynamodb().delete_item(TableName=TABLE, Key=_key(request), ReturnValues="ALL_OLD")
    return {"item_id": request["id"], "deleted": "Attributes" in answer}


ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "put_get": _put_get,
    "put": _put,
    "get": _get,
    "update": _update,
    "delete": _delete,
}


def _run(action: str, request: dict[str, Any]) -> dict[str, Any]:
    if action not in ACTIONS:
        raise BadRequestError(f"unknown action {action!r}; known are {', '.join(ACTIONS)}")
    return ACTIONS[action](request)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Run the request's `action` (default `put_get`) on the item `id` with the text `value`."""
    request = json.loads(event["body"] or "{}") if "body" in event else event
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    action = request.get("action", "put_get")
    try:
        return _response(200, {"success": True, **_run(action, request)})
    except BadRequestError as error:
        return _response(400, {"success": False, "action": action, "error": str(error)})
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
