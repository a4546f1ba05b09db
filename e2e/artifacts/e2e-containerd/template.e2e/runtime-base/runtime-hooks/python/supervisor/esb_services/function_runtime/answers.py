"""Answers of Java functions in the shape that those of Python functions have."""

import json
from typing import Any

MARSHAL_ERROR = "Runtime.MarshalError"
UNSERIALIZABLE = "An error occurred during JSON serialization of response"
"""What the Java runtime interface client says of a value that it cannot write."""


def uniform_answer(*, failed: bool, body: bytes, request_id: str) -> tuple[bool, bytes]:
    """Return whether an invocation failed, and the body of its answer.

    Args:
        failed: whether the client reported an error.
        body: what it reported.
        request_id: of the invocation.
    """
    if failed:
        return True, _failure(json.loads(body), request_id)
    try:
        json.loads(body)
    except ValueError as error:
        # a stream handler may write what it wants
        report = {"errorType": MARSHAL_ERROR, "errorMessage": f"Unable to marshal response: {error}"}
        return True, _failure(report, request_id)
    return False, body


def _failure(report: dict[str, Any], request_id: str) -> bytes:
    kind = MARSHAL_ERROR if report.get("errorMessage") == UNSERIALIZABLE else report.get("errorType")
    uniform = {
        "errorMessage": report.get("errorMessage") or "",
        "errorType": kind or "",
        "requestId": request_id,
        "stackTrace": report.get("stackTrace") or [],
    }
    return json.dumps(uniform, ensure_ascii=False).encode()
