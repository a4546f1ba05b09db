"""`esb down`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb down --env dev-feature-x")
@environment_options
@json_option
@pass_output
def command(output: Output, choice: Choice) -> None:
    """Remove an environment: containers, function workers, networks, volumes, processes, and its state.

    Images and the log stay. One that a run holds is refused; one that is not there is fine.
    """
    from esb_cli.bringing_up import say
    from esb_cli.running import begin, held, is_there
    from esb_e2e_plugin.errors import EsbError
    from esb_e2e_plugin.lifecycle import ending

    target = choice.target()
    run = begin(target, say if not output.as_json else lambda _environment, _text: None, wait=False)
    if not is_there(target, run):
        output.result({"environment": target.name, "removed": False}, f"{target.name} is not there")
        return
    with held(target, run) as holding:
        failure = ending.remove(holding)
    if failure is not None:
        raise EsbError(failure.one_line(), failure.remedy or None)
    output.result({"environment": target.name, "removed": True}, f"{target.name} is gone")
