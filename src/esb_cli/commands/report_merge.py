"""`esb report merge`."""

from pathlib import Path

import click

from esb_cli.command import Command
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb report merge all.json shard-1.json shard-2.json")
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("reports", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
@pass_output
def command(output: Output, out: Path, reports: tuple[Path, ...]) -> None:
    """Make one report of several, such as those of the shards of a CI run.

    A run that several of them hold counts once. OUT may be one of IN.
    """
    from esb_e2e_plugin.reporting.report.merge import merge

    merged = merge(reports, out)
    runs = len(merged.runs)
    output.result({"report": str(out), "runs": runs}, f"{out}: {runs} run{'' if runs == 1 else 's'}")
