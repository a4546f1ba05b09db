"""In which order the services of a compose project are started. Pure: the normalised model in."""

from collections.abc import Mapping
from typing import Any


def needs_compose(services: Mapping[str, Any]) -> bool:
    """Return whether only Compose can start them: conditions are waited for, or a service runs repeatedly.

    Args:
        services: by name, as Compose reads them.
    """
    return any(
        condition.get("condition") not in (None, "service_started")
        for service in services.values()
        for condition in (service.get("depends_on") or {}).values()
    ) or any(_replicas(service) > 1 for service in services.values())


def waves(services: Mapping[str, Any]) -> list[set[str]]:
    """Return the services in sets, each of which can be started at once when those before it run.

    Args:
        services: by name, as Compose reads them.
    """
    before = {name: _first(service) & services.keys() for name, service in services.items()}
    found: list[set[str]] = []
    while before:
        # Compose refuses a circle; were there one, the rest would start at once.
        wave = {name for name, others in before.items() if not others & before.keys()} or set(before)
        found.append(wave)
        before = {name: others for name, others in before.items() if name not in wave}
    return found


def needs(services: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return what each service needs to run, by what it waits for.

    Args:
        services: by name, as Compose reads them.
    """
    return {name: frozenset(_first(service)) for name, service in services.items()}


def _first(service: Mapping[str, Any]) -> set[str]:
    """Return the services that must run before `service` starts."""
    lenders = (str(service.get(key) or "").partition(":") for key in ("network_mode", "pid", "ipc"))
    return {*(service.get("depends_on") or {}), *(owner for kind, _, owner in lenders if kind == "service")}


def _replicas(service: Mapping[str, Any]) -> int:
    return int(service.get("scale") or (service.get("deploy") or {}).get("replicas") or 1)
