"""Showing the logs of an environment."""

import json

import click

from esb_cli.log_lines import Line, Wanted, in_order, shown
from esb_cli.log_sources import log_sources
from esb_cli.output import Output
from esb_cli.project import Target
from esb_cli.running import begin, is_there, up_command
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.redaction import Redactor


def show_logs(output: Output, target: Target, wanted: Wanted, *, tail: int | None, follow: bool) -> None:
    """Print the lines that are wanted, with the environment's secrets hidden.

    Args:
        output: where they go.
        target: the environment.
        wanted: which lines.
        tail: how many of the last ones; None for all.
        follow: whether to go on until the environment is gone, or the user has enough.

    Raises:
        EsbError: there is nothing of the environment.
    """
    if not is_there(target, begin(target, lambda _environment, _text: None)):
        raise EsbError(f"environment {target.name} is not there", f"bring it up: {up_command(target)}")
    redact = Redactor()
    state = target.state.read()
    if state is not None and state.environment:
        redact.add(state.environment["credentials"].values())

    def show(line: Line) -> None:
        text = json.dumps(line.data(), ensure_ascii=False) if output.as_json else shown(line)
        click.echo(redact(text))

    sources = log_sources(target)
    try:
        for line in in_order(filter(wanted.takes, sources.read()), tail):
            show(line)
        if follow:
            for line in sources.follow():
                if wanted.takes(line):
                    show(line)
            output.note(f"{target.name} is gone")
    except KeyboardInterrupt:
        if not follow:
            raise
    finally:
        sources.close()
