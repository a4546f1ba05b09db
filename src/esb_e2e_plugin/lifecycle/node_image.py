"""The container image of runtime-node, built from the project's own sources where they changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from artifactctl import build_inputs
from artifactctl.commands import Commands
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.lifecycle.image_recipe import (
    DOCKERFILE,
    Recipe,
    Workshop,
    base_of,
    digest_of,
    step_error,
    text_of,
)

IMAGE: Final = "esb-runtime-node"
IMAGE_VARIABLE: Final = "ESB_RUNTIME_NODE_IMAGE"
BASE_VARIABLE: Final = "NODE_BASE_IMAGE"

_SOURCES = Path("services", "runtime-node")
_PACKAGE = Path("services", "esb_services")
_ENTRY_POINT = "runtime_node"


def ensure(root: Path, commands: Commands, *, no_cache: bool = False) -> dict[str, str]:
    """Make sure that the engine has the image of runtime-node as the sources are now.

    Args:
        root: the project root; without `services/runtime-node/Dockerfile` there is nothing to do.
        commands: runs `docker`. In its environment `NODE_BASE_IMAGE` names another base, and an image that
            `ESB_RUNTIME_NODE_IMAGE` names is taken as it is. Its `stop()` ends the build.
        no_cache: build even if the image is there.

    Returns:
        Variables for the compose file.

    Raises:
        StepError: the image cannot be had; carries the last lines of what failed.
    """
    if not builds(root, commands.environ):
        return {}
    try:
        return {IMAGE_VARIABLE: _build(root, Workshop(commands, no_cache=no_cache))}
    except ArtifactError as error:
        raise step_error("the image of runtime-node", error) from error


def base(root: Path, environ: Mapping[str, str]) -> str:
    """Return the name of the image that it is built on.

    Raises:
        ArtifactError: its Dockerfile cannot be understood.
    """
    return base_of(root / _SOURCES / DOCKERFILE, BASE_VARIABLE, environ)[0]


def builds(root: Path, environ: Mapping[str, str]) -> bool:
    """Return whether the image is made from the sources of the project at `root`."""
    named = environ.get(IMAGE_VARIABLE, "").strip()
    return not named and (root / _SOURCES / DOCKERFILE).is_file()


def _build(root: Path, workshop: Workshop) -> str:
    folder = root / _SOURCES
    own, services = build_inputs.collect(folder), _entry_point(root / _PACKAGE)
    base, arguments = workshop.base_of(folder / DOCKERFILE, BASE_VARIABLE)
    found = workshop.engine.inspect([base, f"{IMAGE}:latest"])
    base_id = found[base].id if base in found else workshop.obtain(base)
    digest = digest_of(base_id, *own.lines(), *services.lines())
    recipe = Recipe(IMAGE, text_of(folder / DOCKERFILE), arguments, digest)
    if workshop.is_latest(recipe, found):
        return recipe.reference

    def fill(context: Path) -> None:
        own.copy_to(context / "node")
        services.copy_to(context / _PACKAGE.name)

    workshop.ensure(recipe, fill)
    workshop.engine.tag(recipe.reference, recipe.latest)
    return recipe.reference


def _entry_point(package: Path) -> build_inputs.Inputs:
    """Return the entry point and what it shares with the services, without the services themselves."""
    collected = build_inputs.collect(package)
    needed = [
        (name, entry)
        for name, entry in collected.entries
        if Path(name).parts[0] == _ENTRY_POINT or (len(Path(name).parts) == 1 and name.endswith(".py"))
    ]
    return build_inputs.Inputs(package, tuple(needed))
