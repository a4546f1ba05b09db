"""`esb exec`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, environment_options
from esb_cli.output import Output, json_option, pass_output


@click.command(
    cls=Command,
    example="esb exec --env dev-feature-x --service gateway -- ls /etc/esb/config",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--service", "-s", metavar="SERVICE", help="Where to run it  [default: the gateway].")
@click.argument("words", metavar="COMMAND [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
@environment_options
@json_option
@pass_output
@click.pass_context
def command(
    context: click.Context, output: Output, choice: Choice, service: str | None, words: tuple[str, ...]
) -> None:
    """Run a command in the container of a service.

    Where services are processes of this machine (mode process), it runs here, with the variables of the
    environment. It gets this terminal, if there is one. With --json its output is part of the answer.
    """
    from esb_cli.executing import execute

    done = execute(choice.target(), service, words, capture=output.as_json)
    if output.as_json:
        output.result({"exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr})
    if done.returncode != 0:
        output.note(f"esb exec: {words[0]} exited with status {done.returncode}")
        context.exit(1)
