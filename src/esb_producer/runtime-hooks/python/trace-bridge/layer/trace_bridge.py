"""Reads the trace of the running invocation from what the Lambda runtime leaves in the environment."""

import os

HEADER_VARIABLE = "_X_AMZN_TRACE_ID"


def trace_id() -> str | None:
    """Return the `Root` part of the running invocation's trace header, such as `1-5759e988-bd862e3f…`.

    Outside an invocation, or when the header has no `Root`, there is none.
    """
    for field in os.environ.get(HEADER_VARIABLE, "").split(";"):
        name, separator, value = field.strip().partition("=")
        if name == "Root" and separator and value:
            return value
    return None
