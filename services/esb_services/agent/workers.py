"""What workers have in common on every runtime: names, limits, and how their ends are told."""

import json
import re
import secrets
import signal
from collections.abc import Sequence

from esb_services.agent.runtime import WorkerSpec, WorkerStartError

MIB = 1024 * 1024
START_SECONDS = 30.0
"""Deadline for a worker to take invocations."""
TAIL_LINES = 10
"""How many of its last lines a worker that could not be started shows."""
MAX_LABEL = 63


def worker_name(project: str, function: str) -> str:
    """Return a new name `<project>-<function>-<8 hex>` that is a DNS label of at most 63 characters."""
    stem = re.sub(r"[^a-z0-9]+", "-", f"{project}-{function}".lower()).strip("-")
    return f"{stem[: MAX_LABEL - 9].rstrip('-')}-{secrets.token_hex(4)}"


def memory_max(spec: WorkerSpec) -> int:
    """Return the worker's memory limit in bytes, 0 for none.

    Raises:
        WorkerStartError: the configured size is not a number of MiB.
    """
    value = spec.environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")
    if not value.isascii() or not value.isdigit():
        raise WorkerStartError(
            f"function {spec.function} could not be started: AWS_LAMBDA_FUNCTION_MEMORY_SIZE is {value!r};"
            " expected a whole number of MiB"
        )
    return int(value) * MIB


def exited(status: int) -> str:
    """Tell an exit status, as the end of a sentence that starts with the worker's name."""
    try:
        # the supervisor passes the signal that killed the function on as a shell does
        return f"exited with status {status} ({signal.Signals(status - 128).name})"
    except ValueError:
        return f"exited with status {status}"


def memory_exceeded(limit: int) -> str:
    """Tell that a worker was killed at its limit of `limit` bytes; it ends a sentence, see `exited`."""
    return f"exceeded its memory limit of {limit // MIB} MiB and was killed"


def start_failure(name: str, cause: str, output: Sequence[str]) -> WorkerStartError:
    """Return the error of a worker that could not be started.

    Args:
        name: the worker's name.
        cause: why, as the end of a sentence that starts with the name.
        output: the last lines that it wrote; the very last one goes beside the cause.
    """
    lines = [_message(line) for line in output[-TAIL_LINES:]]
    summary = ": ".join([f"worker {name} {cause}", *lines[-1:]])
    return WorkerStartError("\n".join([summary, *lines[:-1]]))


def _message(line: str) -> str:
    try:
        return str(json.loads(line)["message"])
    except (ValueError, TypeError, KeyError):
        return line
