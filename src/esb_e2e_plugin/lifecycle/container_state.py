"""What an engine tells of a container, as a deviation from how it should be. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from esb_e2e_plugin.diagnosis import Deviation, Way

_LONGEST_OUTPUT = 200


def deviation(
    service: str, state: Mapping[str, Any] | None, *, has_to_run: bool, now: float
) -> Deviation | None:
    """Return how a service's container is not as it should be, or None.

    Args:
        service: its name.
        state: the engine's `State` of the container; None where it is gone.
        has_to_run: whether it may not end, not even with success.
        now: the time, in seconds since the epoch, where the engine tells none.
    """
    if state is None:
        return Deviation(service, Way.REMOVED, now, f"the container of {service} was removed")
    status = state["Status"]
    if status == "paused":
        return Deviation(service, Way.PAUSED, now, f"{service} was paused")
    if status in ("exited", "dead"):
        at = seconds(state.get("FinishedAt"), now)
        if state.get("OOMKilled"):
            what = f"{service} was killed for exceeding its memory limit"
            return Deviation(service, Way.OUT_OF_MEMORY, at, what)
        code = state["ExitCode"]
        way = Way.ENDED if code != 0 or has_to_run else Way.ENDED_WELL
        return Deviation(service, way, at, f"{service} exited with status {code}")
    health = state.get("Health") or {}
    if health.get("Status") == "unhealthy":
        failing = _last_failing(health.get("Log") or ())
        said = said_by(failing[-1]) if failing else ""
        at = seconds(failing[0].get("Start"), now) if failing else now
        return Deviation(service, Way.UNHEALTHY, at, f"{service} turned unhealthy{said and f': {said}'}")
    return None


def said_by(check: Mapping[str, Any]) -> str:
    """Return exit code and output of a health check, in one line."""
    output = " ".join(str(check.get("Output", "")).split())
    return f"exit {check.get('ExitCode')}: {output[:_LONGEST_OUTPUT]}"


def last_error(lines: Sequence[str]) -> str | None:
    """Return what a service said last in a structured line of level ERROR, or None."""
    for line in reversed(lines):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("level") == "ERROR":
            return str(record.get("message") or "") or None
    return None


def seconds(timestamp: object, otherwise: float) -> float:
    """Return an engine's timestamp in seconds since the epoch, or `otherwise` where it is none."""
    try:
        found = datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return otherwise
    return found if found > 0 else otherwise  # year 1 stands for never


def _last_failing(checks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the checks that failed without a good one after them."""
    found: list[Mapping[str, Any]] = []
    for check in reversed(checks):
        if check.get("ExitCode") == 0:
            break
        found.insert(0, check)
    return found
