"""docs/esb.md tells of every command, and what it shows is understood."""

import re
import shlex
from pathlib import Path

import click
import pytest

from esb_cli.catalogue import COMMANDS, GROUPS
from esb_cli.main import command_line

PAGE = (Path(__file__).parents[2] / "docs" / "esb.md").read_text()
CALLS = re.findall(r"^esb (.+)$", PAGE, re.MULTILINE)


def test_every_command_is_in_the_table() -> None:
    """By its whole name."""
    names = [*COMMANDS, *(f"{group} {name}" for group, (_, names) in GROUPS.items() for name in names)]
    assert [name for name in names if f"`esb {name}`" not in PAGE] == []


@pytest.mark.parametrize("call", CALLS)
def test_what_the_page_calls_is_understood(call: str) -> None:
    """Command, options and arguments."""
    name, *given = shlex.split(call)
    command = command_line().get_command(click.Context(command_line()), name)
    assert command is not None
    command.make_context(name, given)
