"""`esb plan`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb plan --env dev-feature-x --profile e2e-docker")
@environment_options
@json_option
@pass_output
def command(output: Output, choice: Choice) -> None:
    """Print what `esb up` would do: names, ports, subnets, images, phases. Nothing is started.

    Ports and subnets are those that are free now; a run that begins before may take them.
    """
    from esb_cli.bringing_up import check
    from esb_cli.planning import planned, text_of

    target = choice.target()
    check(target)
    plan = planned(target)
    output.result({"plan": plan}, text_of(plan))
