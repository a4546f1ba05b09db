"""What a command says: text for people, or one JSON object for programs."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


class Output:
    """Where the result of one command goes.

    Attributes:
        as_json: Whether programs read it.
    """

    def __init__(self) -> None:
        self.as_json = False

    def result(self, data: Mapping[str, Any], text: str | None = None) -> None:
        """Write the result of the command.

        Args:
            data: The result as plain data.
            text: The same for people; None for nothing.
        """
        if self.as_json:
            click.echo(json.dumps({"ok": True, **data}, default=str))
        elif text is not None:
            click.echo(text)

    def note(self, text: str) -> None:
        """Write what is no result, but worth knowing."""
        click.echo(text, err=True)

    def failure(self, command: str, message: str, remedy: str | None) -> None:
        """Write in one line why the command failed.

        Args:
            command: Its whole name.
            message: What happened.
            remedy: What to do about it.
        """
        if self.as_json:
            click.echo(json.dumps({"ok": False, "error": {"message": message, "remedy": remedy}}))
        if sys.stderr is not None:  # closed by the caller
            said = message if not remedy else f"{message} ({remedy})"
            click.echo(f"{command}: {' '.join(said.split())}", err=True)


pass_output = click.make_pass_decorator(Output, ensure=True)
"""Hands a command its `Output` as the first argument."""


def json_option(command: _F) -> _F:
    """Add `--json`."""

    def choose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.ensure_object(Output).as_json = value

    return click.option(
        "--json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=choose,
        help="Print the result as one JSON object.",
    )(command)
