"""The container image of the platform's services, built from the project's own sources where they changed.

What the image is follows from its content digest, which it carries as a label: an image that is there with
the right digest is left alone.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifactctl import base_images, build_inputs, dockerfile, packages, regular_file
from artifactctl.commands import CommandError, Commands
from artifactctl.docker_engine import DIGEST_LABEL, DockerEngine
from artifactctl.dockerfile import DockerfileError
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache
from esb_e2e_plugin.failure import StepError

IMAGE: Final = "esb-services"
IMAGE_VARIABLE: Final = "ESB_SERVICES_IMAGE"
BASE_VARIABLE: Final = "PYTHON_BASE_IMAGE"

_SOURCES = Path("services", "images")
_PACKAGE = Path("services", "esb_services")
_DOCKERFILE = "Dockerfile"
_PACKAGES_DOCKERFILE = "packages.Dockerfile"
_LATEST = f"{IMAGE}:latest"
_PACKAGES_IMAGE = f"{IMAGE}-packages"
_PACKAGES_VARIABLE = "PACKAGES_IMAGE"
_FORMAT = "1"
_LIMIT_BYTES = 1024 * 1024
_TAG_LENGTH = 12


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
        where = f"{error.path.name}: " if error.path is not None else ""
        raise StepError(
            f"the image of the services cannot be had: {where}{_what(error)}",
            remedy=error.remedy or "",
            service="images",
            lines=error.output if isinstance(error, CommandError) else (),
        ) from error


def builds(root: Path, environ: Mapping[str, str]) -> bool:
    """Return whether the image is made from the sources of the project at `root`."""
    named = environ.get(IMAGE_VARIABLE, "").strip()
    return not named and (root / _SOURCES / _DOCKERFILE).is_file()


def _what(error: ArtifactError) -> str:
    return f"{error.value}: {error.rule}" if error.value is not None else error.rule


@dataclass(frozen=True)
class _Recipe:
    """A Dockerfile, and the digest of the image that it makes."""

    name: str
    dockerfile: str
    arguments: Mapping[str, str]
    digest: str

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.digest[:_TAG_LENGTH]}"


class _Build:
    """One look at the sources, and the builds that it may lead to."""

    def __init__(self, root: Path, commands: Commands, *, no_cache: bool) -> None:
        self._folder = root / _SOURCES
        self._sources = build_inputs.collect(root / _PACKAGE)
        self._pins = self._folder / "requirements.txt"
        self._commands = commands
        self._no_cache = no_cache
        self._engine = DockerEngine(commands)
        self._cache = HostCache(commands.environ)

    def run(self) -> str:
        """Return the name of the image."""
        below, above = self._text(_PACKAGES_DOCKERFILE), self._text(_DOCKERFILE)
        chosen = self._commands.environ.get(BASE_VARIABLE, "").strip()
        arguments = {BASE_VARIABLE: chosen} if chosen else {}
        base = self._base(below, arguments)
        # One question for both: what an unchanged run needs to know.
        found = self._engine.inspect([base, _LATEST])
        base_id = found[base].id if base in found else self._obtain(base)
        pinned = regular_file.read(self._pins, _LIMIT_BYTES).decode("utf-8", "replace")
        lower = _Recipe(_PACKAGES_IMAGE, below, arguments, _digest(below, base_id, pinned))
        digest = _digest(above, lower.digest, *self._sources.lines())
        upper = _Recipe(IMAGE, above, {_PACKAGES_VARIABLE: lower.reference}, digest)
        latest = found.get(_LATEST)
        if not self._no_cache and latest and latest.digest == digest and upper.reference in latest.tags:
            return upper.reference
        if self._no_cache or not self._is_there(upper):
            self._ensure(lower, lambda context: self._add_packages(base, context))
            self._ensure(upper, lambda context: self._sources.copy_to(context / _PACKAGE.name))
        self._engine.tag(upper.reference, _LATEST)
        return upper.reference

    def _text(self, name: str) -> str:
        return regular_file.read(self._folder / name, _LIMIT_BYTES).decode("utf-8", "replace")

    def _base(self, text: str, arguments: Mapping[str, str]) -> str:
        try:
            return dockerfile.bases(text, arguments)[-1]
        except DockerfileError as error:
            path = self._folder / _PACKAGES_DOCKERFILE
            raise ArtifactError(str(error), path=path, line=error.line) from None

    def _obtain(self, base: str) -> str:
        return base_images.obtain(base, self._engine, self._commands, self._cache)

    def _is_there(self, recipe: _Recipe) -> bool:
        found = self._engine.inspect([recipe.reference]).get(recipe.reference)
        return found is not None and found.digest == recipe.digest

    def _ensure(self, recipe: _Recipe, fill: Callable[[Path], None]) -> None:
        # Whoever waits here for the same image finds it built.
        with self._cache.lock("image", recipe.reference, self._commands):
            if self._no_cache or not self._is_there(recipe):
                self._build(recipe, fill)

    def _build(self, recipe: _Recipe, fill: Callable[[Path], None]) -> None:
        self._commands.say(f"building {recipe.reference}")
        environ = self._commands.environ
        project = environ.get("ESB_PROJECT", "esb").removesuffix(f"-{environ.get('ESB_ENV', '')}")
        labels = {"com.esb.managed": "true", "com.esb.project": project, DIGEST_LABEL: recipe.digest}
        with tempfile.TemporaryDirectory(prefix="esb-services-") as folder:
            context = Path(folder, "context")
            context.mkdir()
            (context / _DOCKERFILE).write_text(recipe.dockerfile, encoding="utf-8")
            fill(context)
            self._engine.build(
                context,
                recipe.reference,
                label=recipe.name,
                labels=labels,
                arguments=recipe.arguments,
                no_cache=self._no_cache,
            )

    def _add_packages(self, base: str, context: Path) -> None:
        interpreter = self._engine.interpreter(base)
        installed = packages.site_packages(self._pins, interpreter, self._commands, self._cache)
        build_inputs.collect(installed).copy_to(context / "site-packages")


def _digest(*parts: str) -> str:
    # Each part by its own digest: no two lists of parts run into the same text.
    each = (hashlib.sha256(part.encode("utf-8", "surrogateescape")).hexdigest() for part in parts)
    return hashlib.sha256("\n".join((_FORMAT, *each)).encode()).hexdigest()
