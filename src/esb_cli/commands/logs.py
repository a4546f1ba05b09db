"""`esb logs`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(
    cls=Command,
    example="esb logs --env dev-feature-x -f\n"
    "esb logs --env dev-feature-x --trace 1-65f2a0b1-0123456789abcdef01234567",
)
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C, or until the environment is gone.")
@click.option(
    "--service", "-s", metavar="SERVICE", help="Lines of this service; `function` for all functions."
)
@click.option("--function", metavar="FUNCTION", help="Lines of this function.")
@click.option("--trace", metavar="ID", help="Lines of the call with this trace id.")
@click.option("--tail", "-n", metavar="N", type=click.IntRange(0), help="The last N lines that match only.")
@environment_options
@json_option
@pass_output
def command(
    output: Output,
    choice: Choice,
    *,
    follow: bool,
    service: str | None,
    function: str | None,
    trace: str | None,
    tail: int | None,
) -> None:
    """Print what the services and functions of an environment have written, in the order of its time.

    With --json each line is a JSON object.
    """
    from esb_cli.log_lines import Wanted, trace_id_of
    from esb_cli.logging_out import show_logs
    from esb_e2e_plugin.errors import UserError

    wanted_trace = None if trace is None else trace_id_of(trace)
    if trace is not None and wanted_trace is None:
        raise UserError(
            f"--trace: {trace!r} is no trace id", "expected one such as 1-65f2a0b1-0123456789abcdef01234567"
        )
    wanted = Wanted(service, function, wanted_trace)
    show_logs(output, choice.target(), wanted, tail=tail, follow=follow)
