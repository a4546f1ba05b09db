"""The events of a function: routes of an API, and schedules."""

import json
import re
from collections.abc import Mapping
from typing import Any

from artifactctl import schedule
from artifactctl.runtime_config import METHODS
from esb_producer import subset
from esb_producer.model import Route
from esb_producer.node import Node, meant
from esb_producer.scope import Scope

_SEGMENT = re.compile(r"\{[A-Za-z0-9._-]+\}|\{[A-Za-z0-9._-]+\+\}|[^{}/]+")


def read(
    events: Node | None, function: str, scope: Scope
) -> tuple[list[Route], list[dict[str, Any]], list[str]]:
    """Return routes, schedules as functions.yml has them, and warnings.

    Raises:
        TemplateError: an event is not supported, or wrong.
    """
    routes: list[Route] = []
    schedules: list[dict[str, Any]] = []
    warnings: list[str] = []
    resolved = scope.resolve(events) if events is not None else None
    for event in resolved.mapping().values() if resolved is not None else ():
        kind = event.required("Type")
        known = subset.EVENTS.get(kind.string())
        if known is None:
            names = sorted(subset.EVENTS)
            raise kind.error(
                f"events of this type are not supported; supported are {', '.join(names)}",
                meant(kind.string(), names) or "remove it",
            )
        for key, node in event.mapping().items():
            if key not in ("Type", "Properties"):
                raise node.error("is not supported; supported are Properties, Type", "remove it", show=False)
        properties = event.required("Properties")
        warnings += known.check(properties)
        if kind.value == "Api":
            routes.append(_route(properties, function))
        elif _is_enabled(properties):
            schedules.append(_schedule(properties))
        else:
            warnings.append(event.told("is disabled and left out"))
    return routes, schedules, warnings


def _route(properties: Node, function: str) -> Route:
    path = properties.required("Path")
    text = path.string()
    if not text.startswith("/"):
        raise path.error("expected a path that starts with /")
    segments = text[1:].split("/")
    for number, segment in enumerate(segments, 1):
        wrong = segment and not _SEGMENT.fullmatch(segment)
        if wrong or ("+}" in segment and number < len(segments)):
            raise path.error("expected parts such as items, {id}, or a last one such as {proxy+}")
    method = properties.required("Method")
    upper = method.string().upper()
    if upper == "OPTIONS" or upper not in METHODS:
        raise method.error(f"expected one of {', '.join(METHODS)}", meant(upper, METHODS))
    return Route(text, upper, function)


def _is_enabled(properties: Node) -> bool:
    enabled, state = properties.get("Enabled"), properties.get("State")
    if enabled is not None and state is not None:
        raise state.error("expected Enabled or State, not both", show=False)
    if state is not None:
        return state.one_of(("ENABLED", "DISABLED")) == "ENABLED"
    return enabled is None or enabled.boolean()


def _schedule(properties: Node) -> dict[str, Mapping[str, Any]]:
    expression = properties.required("Schedule")
    text = expression.string().strip()
    if (rule := schedule.problem(text)) is not None:
        raise expression.error(rule)
    found: dict[str, Any] = {"rate" if text.startswith("rate") else "expression": text}
    payload = properties.get("Input")
    if payload is not None:
        try:
            found["input"] = json.loads(payload.string())
        except (ValueError, RecursionError):
            raise payload.error("expected JSON") from None
    return {"schedule": found}
