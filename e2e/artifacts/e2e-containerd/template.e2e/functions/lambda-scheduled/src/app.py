"""Leaves a note of each run in DynamoDB."""

import functools
import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

import boto3

logger = logging.getLogger(__name__)


@functools.cache
def _dynamodb() -> Any:
    return boto3.client("dynamodb")


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Write the item `scheduled-run` with the time of this run and the event that started it."""
    if event.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    last_run = datetime.now(UTC).isoformat()
    item = {"id": {"S": "scheduled-run"}, "last_run": {"S": last_run}, "event": {"S": json.dumps(event)}}
    _dynamodb().put_item(TableName=os.environ["TABLE_NAME"], Item=item)
    logger.info("scheduled run at %s", last_run)
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"success": True, "last_run": last_run}),
    }
