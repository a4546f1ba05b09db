"""`esb completion`."""

import click

from esb_cli.command import Command
from esb_cli.output import Output, json_option, pass_output

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Command,
    example='eval "$(esb completion bash)"\nesb completion fish > ~/.config/fish/completions/esb.fish',
)
@click.argument("shell", type=click.Choice(_SHELLS))
@json_option
@pass_output
def command(output: Output, shell: str) -> None:
    """Print a script by which a shell completes commands, options, and names of environments and profiles."""
    from click.shell_completion import get_completion_class

    from esb_cli.main import command_line

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  one of click's own
    script = kind(command_line(), {}, "esb", "_ESB_COMPLETE")
    text = script.source_template % script.source_vars()  # source() asks bash for its version
    output.result({"shell": shell, "script": text}, text)
