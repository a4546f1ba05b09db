"""Says a message back, with the name of the user whose token came with the request."""

import json
import logging
from typing import Any

logger = logging.getLogger(__name__)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer `{"message": M}` with `Echo: M`; leave one INFO and one DEBUG line in the log."""
    request = json.loads(event["body"] or "{}") if "body" in event else event
    if request.get("ping"):
        return {"statusCode": 200, "body": "pong"}
    message = request.get("message", "Hello")
    logger.info("echo answers: %s", message)
    logger.debug("echo was called with: %s", sorted(request))
    user = event.get("requestContext", {}).get("authorizer", {}).get("cognito:username")
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"success": True, "message": f"Echo: {message}", "user": user}),
    }
