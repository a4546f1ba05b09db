"""What a service that serves says of itself."""

import os
from typing import Any


def healthy(**facts: Any) -> dict[str, Any]:
    """Return the body of a `/health` answer.

    It carries the run that the service belongs to, so that nobody takes another process on the same port
    for it.

    Args:
        facts: what else the service tells.
    """
    return {"status": "healthy", "run_id": os.environ.get("ESB_RUN_ID", ""), **facts}
