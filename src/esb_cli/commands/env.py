"""`esb env`."""

from pathlib import Path

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(
    cls=Command,
    example="esb env --env dev-feature-x -o dev-feature-x.env\n"
    'eval "$(esb env --env dev-feature-x --shell --aws)"',
)
@click.option("--shell", is_flag=True, help="Print `export` lines for a shell in place of a .env file's.")
@click.option("--aws", is_flag=True, help="Add the variables by which AWS tools find the environment.")
@click.option(
    "--output",
    "-o",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write them into a file that only this user can read. Compose reads a file more than once: no pipe.",
)
@environment_options
@json_option
@pass_output
def command(output: Output, choice: Choice, *, shell: bool, aws: bool, file: Path | None) -> None:
    """Print the variables of an environment, its credentials among them, as lines of a .env file.

    They are what its compose file was filled in with, so that docker compose finds it by them.
    """
    from esb_cli.variables import for_env_file, for_shell, variables_of
    from esb_e2e_plugin.errors import UserError
    from esb_e2e_plugin.store import write_atomically

    variables = variables_of(choice.target(), aws=aws)
    text = (for_shell if shell else for_env_file)(variables)
    if file is None:
        output.result({"variables": variables}, text)
        return
    try:
        write_atomically(file.absolute(), f"{text}\n")
    except OSError as error:
        raise UserError(f"--output: {file} cannot be written: {error.strerror}") from error
    output.result({"file": str(file)}, f"{len(variables)} variables in {file}")
