"""What every command of `esb` is: one line, a description, and an example that can be run as it stands."""

from typing import Any

import click


class Command(click.Command):
    """A command with an example in its help.

    Attributes:
        example: One command line or several.
    """

    def __init__(self, *args: Any, example: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.example = example

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        write_example(formatter, self.example)


def write_example(formatter: click.HelpFormatter, example: str) -> None:
    """Write command lines as they are: a line that was wrapped could not be copied."""
    with formatter.section("Example"):
        for line in example.splitlines():
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
