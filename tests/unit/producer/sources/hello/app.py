"""A function."""

from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer with the event."""
    return {"statusCode": 200, "body": str(event)}
