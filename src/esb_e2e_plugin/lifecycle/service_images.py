"""The container image of the platform's services, built from the project's own sources where they changed.

What the image is follows from its content digest, which it carries as a label: an image that is there with
the right digest is left alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from artifactctl import build_inputs, packages
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

IMAGE: Final = "esb-services"
IMAGE_VARIABLE: Final = "ESB_SERVICES_IMAGE"
BASE_VARIABLE: Final = "PYTHON_BASE_IMAGE"

_SOURCES = Path("services", "images")
_PACKAGE = Path("services", "esb_services")
_PACKAGES_DOCKERFILE = "packages.Dockerfile"
_PINS = "requirements.txt"
_LATEST = f"{IMAGE}:latest"
_PACKAGES_IMAGE = f"{IMAGE}-packages"
_PACKAGES_VARIABLE = "PACKAGES_IMAGE"


def ensure(root: Path, commands: Commands, *, no_cache: bool = False) -> dict[str, str]:
    """Make sure that the engine has the image of the services as the sources are now.

    Args:
        root: the project root; without `services/images/Dockerfile` there is nothing to do.
        commands: runs `docker` and `pip`. In its environment `PYTHON_BASE_IMAGE` names another base, and an
            image that `ESB_SERVICES_IMAGE` names is taken as it is. Its `stop()` ends the build.
        no_cache: build even if the image is there.

    Returns:
        Variables for the compose file.

    Raises:
        StepError: the image cannot be had; carries the last lines of what failed.
    """
    if not builds(root, commands.environ):
        return {}
    try:
        return {IMAGE_VARIABLE: _Build(root, commands, no_cache=no_cache).run()}
    except ArtifactError as error:
        raise step_error("the image of the services", error) from error


def base(root: Path, environ: Mapping[str, str]) -> str:
    """Return the name of the image that it is built on.

    Raises:
        ArtifactError: its Dockerfile cannot be understood.
    """
    return base_of(root / _SOURCES / _PACKAGES_DOCKERFILE, BASE_VARIABLE, environ)[0]


def builds(root: Path, environ: Mapping[str, str]) -> bool:
    """Return whether the image is made from the sources of the project at `root`."""
    named = environ.get(IMAGE_VARIABLE, "").strip()
    return not named and (root / _SOURCES / DOCKERFILE).is_file()


class _Build:
    """One look at the sources, and the builds that it may lead to."""

    def __init__(self, root: Path, commands: Commands, *, no_cache: bool) -> None:
        self._folder = root / _SOURCES
        self._sources = build_inputs.collect(root / _PACKAGE)
        self._workshop = Workshop(commands, no_cache=no_cache)

    def run(self) -> str:
        """Return the name of the image."""
        workshop = self._workshop
        base, arguments = workshop.base_of(self._folder / _PACKAGES_DOCKERFILE, BASE_VARIABLE)
        below, above = text_of(self._folder / _PACKAGES_DOCKERFILE), text_of(self._folder / DOCKERFILE)
        # One question for both: what an unchanged run needs to know.
        found = workshop.engine.inspect([base, _LATEST])
        base_id = found[base].id if base in found else workshop.obtain(base)
        pins = self._folder / _PINS
        lower = Recipe(_PACKAGES_IMAGE, below, arguments, digest_of(below, base_id, text_of(pins)))
        digest = digest_of(above, lower.digest, *self._sources.lines())
        upper = Recipe(IMAGE, above, {_PACKAGES_VARIABLE: lower.reference}, digest)
        if workshop.is_latest(upper, found):
            return upper.reference
        if workshop.is_wanted(upper):
            workshop.ensure(lower, lambda context: self._add_packages(base, context))
            workshop.ensure(upper, lambda context: self._sources.copy_to(context / _PACKAGE.name))
        workshop.engine.tag(upper.reference, upper.latest)
        return upper.reference

    def _add_packages(self, base: str, context: Path) -> None:
        workshop = self._workshop
        interpreter = workshop.engine.interpreter(base)
        installed = packages.site_packages(
            self._folder / _PINS, interpreter, workshop.commands, workshop.cache
        )
        build_inputs.collect(installed).copy_to(context / "site-packages")
