"""`esb url`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output

_NAMES = ("gateway", "gateway_http", "agent_metrics", "database", "s3", "authentication")


@click.command(cls=Command, example="esb url --env dev-feature-x s3")
@click.argument("service", type=click.Choice(_NAMES), default="gateway")
@environment_options
@json_option
@pass_output
def command(output: Output, choice: Choice, service: str) -> None:
    """Print where a service of an environment is reached; by default its gateway.

    The gateway's certificate is signed by the environment's own authority: ESB_CA_CERTIFICATE in `esb env`.
    """
    from dataclasses import asdict

    from esb_cli.running import found

    environment, _ = found(choice.target())
    urls = asdict(environment.urls)
    output.result({"url": urls[service], "urls": urls}, urls[service])
