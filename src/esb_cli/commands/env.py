"""`esb env`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(
    cls=Command,
    example="esb env --env dev-feature-x > dev-feature-x.env\n"
    'eval "$(esb env --env dev-feature-x --shell --aws)"',
)
@click.option("--shell", is_flag=True, help="Print `export` lines for a shell in place of a .env file's.")
@click.option("--aws", is_flag=True, help="Add the variables by which AWS tools find the environment.")
@environment_options
@json_option
@pass_output
def command(output: Output, choice: Choice, *, shell: bool, aws: bool) -> None:
    """Print the variables of an environment, its credentials among them, as lines of a .env file.

    They are what its compose file was filled in with, so that docker compose finds it by them.
    """
    from esb_cli.variables import for_env_file, for_shell, variables_of

    variables = variables_of(choice.target(), aws=aws)
    output.result({"variables": variables}, (for_shell if shell else for_env_file)(variables))
