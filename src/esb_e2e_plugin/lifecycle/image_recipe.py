"""Images made from a Dockerfile and sources of the project, known by the digest of all that goes in."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifactctl import base_images, dockerfile, regular_file
from artifactctl.commands import CommandError, Commands
from artifactctl.docker_engine import DIGEST_LABEL, DockerEngine, Image
from artifactctl.dockerfile import DockerfileError
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache
from esb_e2e_plugin.failure import Kind, StepError

DOCKERFILE: Final = "Dockerfile"

_FORMAT = "1"
_LIMIT_BYTES = 1024 * 1024
_TAG_LENGTH = 12


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile, and the digest of the image that it makes.

    Attributes:
        name: the image's name, without a tag.
        dockerfile: the text of the Dockerfile.
        arguments: its build arguments.
        digest: see `digest_of`.
    """

    name: str
    dockerfile: str
    arguments: Mapping[str, str]
    digest: str

    @property
    def reference(self) -> str:
        """The name of the image of this digest."""
        return f"{self.name}:{self.digest[:_TAG_LENGTH]}"

    @property
    def latest(self) -> str:
        """The name of the image that was asked for last."""
        return f"{self.name}:latest"


class Workshop:
    """Where recipes become images.

    Args:
        commands: runs `docker` and what makes bases; its `stop()` ends a build.
        no_cache: build even if the image is there.
    """

    def __init__(self, commands: Commands, *, no_cache: bool) -> None:
        self.commands = commands
        self.cache = HostCache(commands.environ)
        self.engine = DockerEngine(commands)
        self._no_cache = no_cache

    def base_of(self, path: Path, variable: str) -> tuple[str, dict[str, str]]:
        """Return the image that a Dockerfile starts from, and the build arguments that choose it.

        Args:
            path: of the Dockerfile.
            variable: names another base, as a variable of the environment and a build argument alike.
        """
        return base_of(path, variable, self.commands.environ)

    def obtain(self, base: str) -> str:
        """Make sure that the engine has `base`, and return its id."""
        return base_images.obtain(base, self.engine, self.commands, self.cache)

    def is_latest(self, recipe: Recipe, found: Mapping[str, Image]) -> bool:
        """Return whether the image is the one that was asked for last, so that there is nothing to do."""
        latest = found.get(recipe.latest)
        if self._no_cache or latest is None:
            return False
        return latest.digest == recipe.digest and recipe.reference in latest.tags

    def is_wanted(self, recipe: Recipe) -> bool:
        """Return whether the image has to be built."""
        if self._no_cache:
            return True
        found = self.engine.inspect([recipe.reference]).get(recipe.reference)
        return found is None or found.digest != recipe.digest

    def ensure(self, recipe: Recipe, fill: Callable[[Path], None]) -> None:
        """Build the image where it is wanted.

        Args:
            recipe: what is built.
            fill: puts what the Dockerfile copies into the folder of the build's context.
        """
        # Whoever waits here for the same image finds it built.
        with self.cache.lock("image", recipe.reference, self.commands):
            if self.is_wanted(recipe):
                self._build(recipe, fill)

    def _build(self, recipe: Recipe, fill: Callable[[Path], None]) -> None:
        self.commands.say(f"building {recipe.reference}")
        environ = self.commands.environ
        project = environ.get("ESB_PROJECT", "esb").removesuffix(f"-{environ.get('ESB_ENV', '')}")
        labels = {"com.esb.managed": "true", "com.esb.project": project, DIGEST_LABEL: recipe.digest}
        with tempfile.TemporaryDirectory(prefix="esb-services-") as folder:
            context = Path(folder, "context")
            context.mkdir()
            (context / DOCKERFILE).write_text(recipe.dockerfile, encoding="utf-8")
            fill(context)
            self.engine.build(
                context,
                recipe.reference,
                label=recipe.name,
                labels=labels,
                arguments=recipe.arguments,
                no_cache=self._no_cache,
            )


def base_of(path: Path, variable: str, environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the image that a Dockerfile starts from, and the build arguments that choose it.

    Args:
        path: of the Dockerfile.
        variable: names another base, as a variable of the environment and a build argument alike.
        environ: the environment.
    """
    chosen = environ.get(variable, "").strip()
    arguments = {variable: chosen} if chosen else {}
    try:
        return dockerfile.bases(text_of(path), arguments)[-1], arguments
    except DockerfileError as error:
        raise ArtifactError(str(error), path=path, line=error.line) from None


def text_of(path: Path) -> str:
    """Return the text of a source file."""
    return regular_file.read(path, _LIMIT_BYTES).decode("utf-8", "replace")


def digest_of(*parts: str) -> str:
    """Return the digest of all that goes into an image."""
    # Each part by its own digest: no two lists of parts run into the same text.
    each = (hashlib.sha256(part.encode("utf-8", "surrogateescape")).hexdigest() for part in parts)
    return hashlib.sha256("\n".join((_FORMAT, *each)).encode()).hexdigest()


def step_error(what: str, error: ArtifactError) -> StepError:
    """Return the error of an image that cannot be had."""
    where = f"{error.path.name}: " if error.path is not None else ""
    reason = f"{error.value}: {error.rule}" if error.value is not None else error.rule
    return StepError(
        f"{what} cannot be had: {where}{reason}",
        remedy=error.remedy or "",
        service="images",
        kind=Kind.IMAGE_BUILD,
        component=(error.value or what).strip("'"),
        lines=error.output if isinstance(error, CommandError) else (),
    )
