"""Which engine docker's command line talks to, by its variables."""

from collections.abc import Mapping

DEFAULT_CONTEXT = "default"

_NAMING = ("DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT")


def for_commands(variables: Mapping[str, str], context: str | None) -> dict[str, str]:
    """Return variables with which docker's command line talks to the engine that `endpoint.find` finds."""
    return dict(variables) if context is None else _at(variables, context)


def for_no_engine(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables with which docker's command line minds no engine that is badly named or away."""
    return _at(variables, DEFAULT_CONTEXT)


def _at(variables: Mapping[str, str], context: str) -> dict[str, str]:
    # DOCKER_HOST would win over the context.
    others = {name: value for name, value in variables.items() if name not in _NAMING}
    return others | {"DOCKER_CONTEXT": context}
