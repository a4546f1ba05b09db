"""`esb reset`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, bring_up_options, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb reset --env dev-feature-x")
@bring_up_options
@environment_options
@json_option
@pass_output
def command(output: Output, choice: Choice) -> None:
    """Bring an environment up anew from nothing, whatever is there of it: its data is gone.

    It also repairs one that is half there, as after a crash of the machine.
    """
    from esb_cli.bringing_up import bring_up
    from esb_cli.showing import show_environment

    show_environment(output, bring_up(choice.target()), "is up anew")
