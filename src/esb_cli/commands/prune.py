"""`esb prune`."""

import click

from esb_cli.command import Command
from esb_cli.environment_options import Choice, project_options
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb prune --dry-run\nesb prune --images --infra")
@click.option("--images", is_flag=True, help="Also images that a newer one has replaced and nobody uses.")
@click.option("--infra", is_flag=True, help="Also the registry that environments share, if none uses it.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@project_options
@json_option
@pass_output
def command(output: Output, choice: Choice, *, images: bool, infra: bool, dry_run: bool) -> None:
    """Remove what dead runs have left: containers, networks, volumes, processes, state.

    Environments that are up, that a live run holds, or that are kept, stay as they are.
    """
    from esb_cli.pruning import prune
    from esb_e2e_plugin.errors import EsbError

    pruned = prune(choice.project(), images=images, infra=infra, dry_run=dry_run)
    done = "would remove" if dry_run else "removed"
    lines = [f"{done} {thing.kind} {thing.name}: {thing.where}" for thing in pruned if not thing.left]
    output.result({"removed": [thing.data() for thing in pruned]}, "\n".join(lines) or "nothing was left")
    if left := [f"{thing.kind} {thing.name}: {', '.join(thing.left)}" for thing in pruned if thing.left]:
        raise EsbError(f"still there: {'; '.join(left)}")
