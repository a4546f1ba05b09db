"""`esb doctor`."""

import os

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, project_options
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb doctor")
@project_options
@json_option
@pass_output
@click.pass_context
def command(context: click.Context, output: Output, choice: Choice) -> None:
    """Look for what keeps environments from coming up on this machine, and say what to do about it.

    Each line is ok, a warning or a problem. A problem makes the exit code 1. Nothing is changed.
    """
    from dataclasses import asdict

    from esb_cli.facts import gather
    from esb_cli.findings import findings
    from esb_e2e_plugin.errors import UserError

    project, missing = None, None
    try:
        project = choice.project()
    except UserError as error:
        if choice.matrix is not None:
            raise
        missing = error.message
    found = findings(gather(project, missing, os.environ))
    problems = sum(finding.level == "problem" for finding in found)
    lines = []
    for finding in found:
        remedy = f": {finding.remedy}" if finding.remedy and finding.level != "ok" else ""
        lines.append(f"{finding.level:8} {finding.topic}: {finding.text}{remedy}")
    output.result({"findings": [asdict(finding) for finding in found]}, "\n".join(lines))
    if problems:
        output.note(f"esb doctor: {problems} problem{'s' if problems > 1 else ''}")
        context.exit(1)
