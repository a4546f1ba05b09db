"""`esb up`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, bring_up_options, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb up --env dev-feature-x --profile e2e-docker")
@bring_up_options
@environment_options
@json_option
@pass_output
def command(output: Output, choice: Choice) -> None:
    """Bring an environment up from nothing, and leave it running: reset, compose, deploy.

    One that is up and well already stays as it is. Ctrl-C removes what has come up so far.
    """
    from esb_cli.bringing_up import bring_up, running_already
    from esb_cli.showing import show_environment

    target = choice.target()
    environment = running_already(target)
    already = environment is not None
    environment = environment or bring_up(target)
    show_environment(output, environment, "is up already" if already else "is up", already=already)
