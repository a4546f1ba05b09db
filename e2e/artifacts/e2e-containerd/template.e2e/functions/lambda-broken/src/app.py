"""Cannot be loaded: what happens when a deployment forgot something that its function needs."""

from typing import Any


def handler(_event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Never runs."""
    return {"statusCode": 200, "body": "unreachable"}


raise ImportError("the module that was left out of the package")
