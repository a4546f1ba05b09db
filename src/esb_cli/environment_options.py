"""The options of commands that are about an environment."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from esb_cli.project import Project, Target

_F = TypeVar("_F", bound=Callable[..., Any])

_STATES = Path(".esb", "e2e", "state")
_TIMES = {
    "lock_timeout": "Longest wait for a run that holds the environment, in seconds.",
    "timeout_reset": "Deadline of the reset phase, in seconds.",
    "timeout_compose": "Deadline of the compose phase, in seconds.",
    "timeout_deploy": "Deadline of the deploy phase, in seconds.",
}


@dataclass(frozen=True)
class Choice:
    """The environment that was named on the command line; what is missing is looked up when it is asked for.

    Attributes:
        env: Its name, or None.
        profile: The entry of the matrix that it is made from, or None.
        matrix: The matrix, or None.
        options: More options of its run, by name.
    """

    env: str | None
    profile: str | None
    matrix: Path | None
    options: Mapping[str, Any]

    def project(self) -> "Project":
        """Return the project.

        Raises:
            UserError: There is none.
        """
        from esb_cli.project import find_project

        return find_project(self.matrix, os.environ, Path.cwd(), self.options)

    def target(self) -> "Target":
        """Return the environment, whether or not it is there.

        Raises:
            UserError: There is no project, or no such profile.
        """
        return self.project().target(self.env, self.profile)


def project_options(command: _F) -> _F:
    """Add `--matrix`; the command gets a `Choice` without an environment as `choice`."""
    return _with_choice(_matrix_option(command))


def environment_options(command: _F) -> _F:
    """Add `--env`, `--profile` and `--matrix`; the command gets a `Choice` as `choice`."""
    command = _with_choice(command)
    command = _matrix_option(command)
    command = click.option(
        "--profile",
        metavar="PROFILE",
        help="Entry of the matrix that it is made from.",
        shell_complete=_complete_profile,
    )(command)
    return click.option(
        "--env",
        "-e",
        metavar="NAME",
        help="Name of the environment  [default: ESB_ENV, else 'default'].",
        shell_complete=_complete_environment,
    )(command)


def bring_up_options(command: _F) -> _F:
    """Add what a bring-up can be told beside the environment; before `environment_options`."""
    for name, text in reversed(_TIMES.items()):
        command = click.option(
            "--" + name.replace("_", "-"), metavar="S", type=click.FloatRange(0, min_open=True), help=text
        )(command)
    keep = "Leave an environment that failed as it is."
    command = click.option("--keep-failed", is_flag=True, default=None, help=keep)(command)
    return click.option("--no-cache", is_flag=True, default=None, help="Build every image anew.")(command)


def _matrix_option(command: _F) -> _F:
    return click.option(
        "--matrix",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The matrix of environments  [default: that of the project around the current folder].",
    )(command)


def _with_choice(command: _F) -> _F:
    @wraps(command)
    def with_choice(*args: Any, matrix: Path | None, **given: Any) -> Any:
        named = {name: given.pop(name, None) for name in ("env", "profile")}
        names = [name for name in (*_TIMES, "no_cache", "keep_failed") if name in given]
        options = {name: given.pop(name) for name in names}
        return command(*args, choice=Choice(matrix=matrix, options=options, **named), **given)

    return with_choice  # type: ignore[return-value]


def _complete_environment(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    # No matrix is read: a shell waits for the answer.
    folder = next((path for each in _here() if (path := each / _STATES).is_dir()), None)
    names = sorted(path.name for path in folder.iterdir()) if folder is not None else []
    return [CompletionItem(name) for name in names if name.startswith(start)]


def _complete_profile(ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    from esb_e2e_plugin.errors import UserError

    try:
        entries = Choice(None, None, ctx.params.get("matrix"), {}).project().matrix.entries
    except UserError:
        return []
    return [CompletionItem(entry.name) for entry in entries if entry.name.startswith(start)]


def _here() -> Iterator[Path]:
    folder = Path.cwd()
    yield from (folder, *folder.parents)
