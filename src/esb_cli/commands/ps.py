"""`esb ps`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb ps\nesb ps --env dev-feature-x")
@environment_options
@json_option
@pass_output
def command(output: Output, choice: Choice) -> None:
    """List the environments of the project; with --env the services and function workers of one.

    Those that pytest has brought up and keeps, or is running tests in, are among them.
    """
    from esb_cli.listing import environments, services, table

    if choice.env is None:
        rows = environments(choice.project())
        columns = ["name", "profile", "mode", "status", "url", "detail"]
        key, nothing = "environments", "no environment"
    else:
        rows = services(choice.target())
        columns = ["name", "kind", "status", "detail"]
        key, nothing = "services", f"nothing runs in {choice.env}"
    output.result({key: rows}, table(columns, rows) if rows else nothing)
