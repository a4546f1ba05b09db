"""`esb artifact apply`."""

from pathlib import Path

import click

from esb_cli.command import Command
from esb_cli.output import Output, json_option, pass_output


@click.command(
    cls=Command,
    example="esb artifact apply --artifact e2e/artifacts/e2e-docker/artifact.yml --out config",
)
@click.option(
    "--artifact",
    "manifest",
    metavar="MANIFEST",
    type=click.Path(path_type=Path),
    required=True,
    help="The artifact.yml.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="The output folder: absent, empty, or written by an earlier run.",
)
@click.option(
    "--secret-env",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Lines NAME=value with the secrets that the artifacts require.",
)
@click.option("--strict", is_flag=True, help="Runtime metadata that does not fit is an error, not a warning.")
@click.option("--additive", is_flag=True, help="Keep what an earlier run left in the folder, and add to it.")
@json_option
@pass_output
def command(
    output: Output, manifest: Path, out: Path, secret_env: Path | None, *, strict: bool, additive: bool
) -> None:
    """Check manifest, runtime metadata and secrets, then merge into a folder, as `artifactctl apply` does."""
    from dataclasses import asdict

    from artifactctl.apply import apply

    result = apply(manifest, out, secret_env=secret_env, strict=strict, additive=additive)
    if not output.as_json:
        for warning in result.warnings:
            output.note(f"warning: {warning}")
    state = "new config" if result.changed else "unchanged config"
    counts = f"{result.functions} functions, {result.routes} routes, {result.resources} resources"
    output.result(asdict(result), f"{state} {result.digest}: {counts}")
