"""Shows the proxy event as the gateway made it, or answers exactly what the request says."""

import base64
import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> Any:
    """Answer with the event itself; with a JSON body `{"respond": X}` answer X, whatever it is."""
    if event.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    request = _json_body(event)
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    if "respond" in request:
        return request["respond"]
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(event),
    }


def _json_body(event: dict[str, Any]) -> dict[str, Any]:
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body
    try:
        request = json.loads(raw)
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
