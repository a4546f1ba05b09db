"""Groups of commands that are imported when they are called: a help text must not wait for all of them."""

from collections.abc import Mapping
from importlib import import_module

import click

from esb_cli.command import write_example


class LazyGroup(click.Group):
    """A group that knows the names of its commands and a line about each."""

    def __init__(
        self, name: str, summaries: Mapping[str, str], *, prefix: str = "", text: str = "", example: str = ""
    ) -> None:
        """Import nothing yet.

        Args:
            name: What the group is called.
            summaries: What each command does, by its name.
            prefix: What stands before a command's name in its module's.
            text: Help text of the group.
            example: How it is used.
        """
        super().__init__(name, help=text, context_settings={"help_option_names": ["-h", "--help"]})
        self._summaries = summaries
        self._prefix = prefix
        self._example = example

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, also of those that were added."""
        return sorted({*self._summaries, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if (added := super().get_command(ctx, cmd_name)) is not None:
            return added
        if cmd_name not in self._summaries:
            return None
        module = f"esb_cli.commands.{self._prefix}{cmd_name}".replace("-", "_")
        command: click.Command = import_module(module).command
        command.name, command.short_help = cmd_name, self._summaries[cmd_name]
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does, without importing one."""
        added = {name: command.get_short_help_str(limit=100) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**self._summaries, **added}.items()))

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        if self._example:
            write_example(formatter, self._example)
