"""`esb deploy`."""

from pathlib import Path

import click

from esb_cli.command import Command
from esb_cli.generating import Generation, generation_options
from esb_cli.output import Output, json_option, pass_output


@click.command(cls=Command, example="esb deploy -t e2e/fixtures/template.e2e.yaml -e e2e-docker -m docker")
@generation_options
@click.option(
    "--config",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="What the services read; in a project, that of the environment.",
)
@click.option(
    "--secret-env",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Lines NAME=value with the secrets that the artifacts require.",
)
@click.option("--strict", is_flag=True, help="Runtime metadata that does not fit is an error, not a warning.")
@click.option("--additive", is_flag=True, help="Keep what an earlier run left in the folder, and add to it.")
@click.option("--no-cache", is_flag=True, help="Build images that are there, too.")
@json_option
@pass_output
def command(
    output: Output,
    generation: Generation,
    config: Path | None,
    secret_env: Path | None,
    *,
    strict: bool,
    additive: bool,
    no_cache: bool,
) -> None:
    """Generate artifacts from SAM templates, build what their functions run from, and apply them once.

    In mode process nothing is built. Tables and buckets are made by the provisioner of the environment.
    """
    from dataclasses import asdict

    from artifactctl.apply import apply

    folder = generation.config(config)
    generation.write(output)
    images = generation.build(output, no_cache=no_cache) if generation.mode != "process" else None
    result = apply(generation.manifest, folder, secret_env=secret_env, strict=strict, additive=additive)
    if not output.as_json:
        for warning in result.warnings:
            output.note(f"warning: {warning}")
    state = "new config" if result.changed else "unchanged config"
    counts = f"{result.functions} functions, {result.routes} routes, {result.resources} resources"
    built = "" if images is None else f"images: {images}; "
    output.result(
        {"manifest": str(generation.manifest), "images": images, **asdict(result)},
        f"{built}{state} {result.digest}: {counts}",
    )
