"""What a command does with an environment: begin a run of it, find it, hold it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from esb_cli.project import Target
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.lifecycle.backend import backend_of, mark_of, project_of
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.locks import HeldError
from esb_e2e_plugin.runs import new_run
from esb_e2e_plugin.store import EnvironmentState

_MOMENT_SECONDS = 1.0

Say = Callable[[str, str], None]
"""Receives the environment and a line about it."""


class NoHooks:
    """A project's hooks are pytest's: a command has none."""

    def deploy(self, environment: Environment, log: Callable[[str], None]) -> None:
        """Do nothing."""

    def ready(self, environment: Environment) -> None:
        """Do nothing."""

    def failed(self, environment: str, failure: Failure) -> None:
        """Do nothing."""


def begin(target: Target, say: Say, *, wait: bool = True) -> Run:
    """Return a run of an environment; starts and writes nothing.

    Args:
        target: the environment.
        say: receives each line for the terminal, from any thread.
        wait: whether to wait for a run that holds the environment.
    """
    settings = target.settings if wait else replace(target.settings, lock_timeout=_MOMENT_SECONDS)
    return new_run(target.plan, settings, target.project.environ, NoHooks(), say)


@contextmanager
def held(target: Target, run: Run) -> Iterator[Holding]:
    """Hold an environment as it is; whoever uses it gives it back.

    Raises:
        EsbError: another run holds it; names the holder.
    """
    try:
        holding = Holding.own(target.scenario, run, anew=False)
    except HeldError as error:
        raise EsbError(
            f"environment {target.name} is held by {error.holder}", "wait for the end of that run, or end it"
        ) from error
    holding.supervisor.skip_old_lines()
    yield holding


def is_there(target: Target, run: Run) -> bool:
    """Tell whether there is anything of an environment."""
    if target.state.path.exists():
        return True
    backend = backend_of(target.scenario, run)
    try:
        return bool(backend.left(project_of(target.scenario), mark_of(target.paths)))
    finally:
        backend.close()


def found(target: Target) -> tuple[Environment, EnvironmentState]:
    """Return an environment whose services are there, and its state.

    Raises:
        EsbError: it is not; says how to bring it up.
    """
    state = target.state.read()
    if state is None or not state.environment:
        raise EsbError(f"environment {target.name} is not running", f"bring it up: {up_command(target)}")
    return Environment.from_data(state.environment), state


def up_command(target: Target) -> str:
    """Return the command that brings an environment up."""
    profile = target.scenario.profile
    made_from = "" if profile.lower() == target.name else f" --profile {profile}"
    return f"esb up --env {target.name}{made_from}"


def env_file_values(target: Target) -> dict[str, str]:
    """Return what the env file of an environment says."""
    path = target.scenario.entry.env_file
    return dict(read_env_file(path)) if path is not None else {}
