"""`esb artifact generate`."""

import click

from esb_cli.command import Command
from esb_cli.generating import Generation, generation_options
from esb_cli.output import Output, json_option, pass_output


@click.command(
    cls=Command,
    example="esb artifact generate -t e2e/fixtures/template.e2e.yaml -e e2e-local -m process",
)
@generation_options
@click.option("--check", is_flag=True, help="Change nothing; fail if the folder is not what it is made from.")
@click.option("--build-images", is_flag=True, help="Build what the functions run from, as `deploy` would.")
@click.option("--no-cache", is_flag=True, help="Build images that are there, too.")
@json_option
@pass_output
def command(
    output: Output, generation: Generation, *, check: bool, build_images: bool, no_cache: bool
) -> None:
    """Turn SAM templates into artifact roots and one manifest; nothing is applied.

    In a project, the folder and what runs instead of image functions are those of the environment in the
    matrix. What was written by hand is never overwritten without --force.
    """
    if no_cache and not build_images:
        raise click.UsageError("--no-cache is for --build-images")
    if check and build_images:
        raise click.UsageError("--check changes nothing, and --build-images does")
    if check:
        generation.check(output)
        return
    changed = generation.write(output)
    images = generation.build(output, no_cache=no_cache) if build_images else None
    state = "written" if changed else "unchanged"
    built = "" if images is None else f"; images: {images}"
    output.result(
        {"manifest": str(generation.manifest), "changed": changed, "images": images},
        f"{generation.manifest}: {state}{built}",
    )
