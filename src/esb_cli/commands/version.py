"""`esb version`."""

import platform

import click

from esb_cli.command import Command
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb version --json")
@json_option
@pass_output
def command(output: Output) -> None:
    """Print the version of esb and of the Python that it runs on."""
    from importlib.metadata import version

    versions = {"version": version("pytest-esb-e2e"), "python": platform.python_version()}
    output.result(versions, f"esb {versions['version']} (Python {versions['python']})")
