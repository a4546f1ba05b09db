"""Docker Compose, through its command line: the only module that knows its arguments."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.supervisor import Command, Supervisor

DEPLOY_PROFILE = "deploy"
PROFILES_VARIABLE = "COMPOSE_PROFILES"

_NO_COMPOSE_STATUS = 125
_SERVICE_ERROR = re.compile(r"^ ?(?P<service>[\w.-]+) Error\b")
_BUILD_STEP = re.compile(r"^(?:#\d+|\s*>)? ?\[(?P<service>[\w.-]+)[ \]]")


def config_command(project: str, files: Sequence[Path]) -> list[str]:
    """Return the command that writes a project's compose files as one JSON document."""
    return [*_base(project), *_named(files), "--profile", "*", "config", "--format", "json"]


def is_missing(status: int, said: str) -> bool:
    """Return whether a docker command has ended so because it has no Compose."""
    return status == _NO_COMPOSE_STATUS or "is not a docker command" in said


def _base(project: str) -> list[str]:
    return ["docker", "compose", "--ansi", "never", "--progress", "plain", "-p", project]


def _named(files: Sequence[Path]) -> list[str]:
    return [argument for path in files for argument in ("-f", str(path))]


class Compose:
    """The compose project of one environment."""

    def __init__(
        self,
        supervisor: Supervisor,
        project: str,
        files: Sequence[Path],
        override: Path,
        environment: Mapping[str, str],
    ) -> None:
        """Name the project.

        Args:
            supervisor: runs the commands, in sessions of their own: Ctrl-C must not cancel them half way.
            project: the compose project.
            files: the project's own compose files.
            override: where `write_override` puts the environment's own.
            environment: all variables of the commands.
        """
        self._supervisor = supervisor
        self._command = [*_base(project), *_named([*files, override])]
        self._environment = environment

    def build(self, services: Sequence[str], deadline: Deadline, *, no_cache: bool = False) -> None:
        """Build the images of services."""
        try:
            self._run("compose-build", ["build", *(["--no-cache"] if no_cache else []), *services], deadline)
        except StepError as error:
            error.kind = Kind.IMAGE_BUILD
            error.component = _failed_build(error.lines, services)
            raise

    def create(self, deadline: Deadline) -> None:
        """Make networks, volumes and containers, those of the deploy profile too, and start nothing."""
        self._run(
            "compose-create",
            [*self._profiles(), "up", "--no-start", "--no-build", "--quiet-pull"],
            deadline,
        )

    def start_in_order(self, deadline: Deadline) -> None:
        """Start the services as their `depends_on` conditions demand."""
        self._run("compose-up", ["up", "--detach", "--no-build", "--no-recreate"], deadline)

    def _profiles(self) -> list[str]:
        # Named on the command line, profiles replace those of the variable.
        chosen = [name.strip() for name in self._environment.get(PROFILES_VARIABLE, "").split(",")]
        return [f"--profile={name}" for name in (DEPLOY_PROFILE, *chosen) if name]

    def _run(self, name: str, arguments: Sequence[str], deadline: Deadline) -> None:
        try:
            self._supervisor.run(Command(name, (*self._command, *arguments), self._environment), deadline)
        except StepError as error:
            if error.service == name and error.lines:
                error.message = f"{error.message}: {error.last_line.strip()}"
                error.component = _guilty_service(error.lines)
            raise


def _failed_build(lines: Sequence[str], services: Sequence[str]) -> str:
    """Return the service whose image Compose could not build, as its last lines tell."""
    for line in reversed(lines):
        if (found := _BUILD_STEP.match(line)) is not None and found["service"] in services:
            return found["service"]
    return services[0] if len(services) == 1 else "compose-build"


def _guilty_service(lines: Sequence[str]) -> str | None:
    """Return the service that Compose names beside the word `Error`, or None."""
    found = (_SERVICE_ERROR.match(line) for line in lines)
    return next((match["service"] for match in found if match is not None), None)
