"""The life of objects and buckets in S3."""

import functools
import json
import logging
import os
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

logger = logging.getLogger(__name__)


@functools.cache
def _s3() -> Any:
    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}))


def _bucket(request: dict[str, Any]) -> str:
    return str(request.get("bucket") or os.environ["BUCKET_NAME"])


def _put(request: dict[str, Any]) -> dict[str, Any]:
    bucket = _bucket(request)
    _s3().put_object(Bucket=bucket, Key=request["key"], Body=request["body"].encode())
    return {"bucket": bucket, "key": request["key"]}


def _get(request: dict[str, Any]) -> dict[str, Any]:
    bucket = _bucket(request)
    answer = _s3().get_object(Bucket=bucket, Key=request["key"])
    return {"content": answer["Body"].read().decode(), "bucket": bucket, "key": request["key"]}


def _list(request: dict[str, Any]) -> dict[str, Any]:
    pages = _s3().get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=_bucket(request), Prefix=request.get("prefix", ""))
    return {"objects": [entry["Key"] for page in found for entry in page.get("Contents", [])]}


def _delete(request: dict[str, Any]) -> dict[str, Any]:
    bucket = _bucket(request)
    _s3().delete_object(Bucket=bucket, Key=request["key"])
    return {"bucket": bucket, "key": request["key"]}


def _create_bucket(request: dict[str, Any]) -> dict[str, Any]:
    region = os.environ.get("AWS_REGION", "us-east-1")
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    _s3().create_bucket(Bucket=request["bucket"], **place)
    return {"bucket": request["bucket"]}


def _test(request: dict[str, Any]) -> dict[str, Any]:
    place = {"bucket": _bucket(request), "key": f"test/{uuid.uuid4()}"}
    _put({**place, "body": "s3 test"})
    answer = _get(place)
    _delete(place)
    return answer


ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "test": _test,
    "put": _put,
    "get": _get,
    "list": _list,
    "delete": _delete,
    "create_bucket": _create_bucket,
}


def _run(action: str, request: dict[str, Any]) -> dict[str, Any]:
    if action not in ACTIONS:
        raise ValueError(f"unknown action {action!r}; known are {', '.join(ACTIONS)}")
    return ACTIONS[action](request)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Run the request's `action` (default `test`) on `bucket` (default: the one of the template)."""
    request = json.loads(event["body"] or "{}") if "body" in event else event
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    action = request.get("action", "test")
    try:
        return _response(200, {"success": True, **_run(action, request)})
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
