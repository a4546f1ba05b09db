"""Running a command inside an environment."""

import os
import subprocess
import sys
from collections.abc import Sequence

from esb_cli.project import Target
from esb_cli.running import found
from esb_cli.variables import variables_of
from esb_e2e_plugin.errors import EsbError, UserError, nearest
from esb_e2e_plugin.lifecycle.backend import engine_of, engine_variables, project_of
from esb_e2e_plugin.lifecycle.docker_variables import for_commands
from esb_e2e_plugin.lifecycle.engine_events import SERVICE_LABEL


def execute(
    target: Target, service: str | None, words: Sequence[str], *, capture: bool
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end.

    Args:
        target: the environment.
        service: the service whose container it runs in; None for the front door.
        words: the command.
        capture: whether its output is returned instead of shown.

    Raises:
        EsbError: the environment or the service is not running, or the command cannot be started.
        UserError: there is no such service.
    """
    found(target)
    entry = target.scenario.entry
    if entry.mode == "process":
        if service is not None:
            raise UserError(
                f"environment {target.name} has no containers: its services are processes of this machine",
                "leave --service out: the command gets the environment's variables",
            )
        return _run(words, {**target.project.environ, **variables_of(target, aws=True)}, capture=capture)
    container = _container(target, service or entry.gateway.service)
    environment = for_commands(
        engine_variables(target.scenario, target.project.environ), entry.docker_context
    )
    terminal = ["--interactive"] if not capture else []
    if not capture and sys.stdin.isatty() and sys.stdout.isatty():
        terminal.append("--tty")
    return _run(["docker", "exec", *terminal, container, *words], environment, capture=capture)


def _container(target: Target, service: str) -> str:
    engine = engine_of(target.scenario, target.project.environ)
    try:
        by_service = {
            labels[SERVICE_LABEL]: container
            for container in engine.containers(project_of(target.scenario))
            if SERVICE_LABEL in (labels := container["Labels"])
        }
    finally:
        engine.close()
    if service not in by_service:
        near = nearest(service, by_service)
        raise UserError(
            f"environment {target.name} has no service {service!r}; it has {', '.join(sorted(by_service))}",
            None if near is None else f"did you mean {near!r}?",
        )
    container = by_service[service]
    if container["State"] != "running":
        raise EsbError(f"{service} is {container['State']}: {container['Status']}", "see: esb logs --service")
    return str(container["Id"])


def _run(
    words: Sequence[str], environment: dict[str, str], *, capture: bool
) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            list(words),
            env=environment,
            stdin=subprocess.DEVNULL if capture else None,
            capture_output=capture,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise EsbError(f"{words[0]} cannot be run: {os.strerror(error.errno or 0)}") from error
