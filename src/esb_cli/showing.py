"""An environment as its user sees it."""

from typing import Any

from esb_cli.output import Output
from esb_e2e_plugin.environment import Environment


def facts(environment: Environment) -> dict[str, Any]:
    """Return what programs may know of an environment: everything but its secrets."""
    data = environment.to_data()
    del data["credentials"]
    return data


def show_environment(output: Output, environment: Environment, state: str, **more: Any) -> None:
    """Say that an environment is up, and where."""
    lines = [f"{environment.name} {state}: {environment.urls.gateway}"]
    if not more.get("already"):
        lines.append(f"call a function: esb invoke --env {environment.name} FUNCTION")
        lines.append(f"take it down: esb down --env {environment.name}")
    output.result({"environment": facts(environment), **more}, "\n".join(lines))
