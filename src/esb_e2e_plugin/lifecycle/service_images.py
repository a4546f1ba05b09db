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
from artifactctl.build_inputs import Inputs
from artifactctl.commands import CommandError, Commands
from artifactctl.docker_engine import DIGEST_LABEL, DockerEngine, Image
from artifactctl.dockerfile import DockerfileError
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache
from esb_e2e_plugin.failure import StepError

IMAGE: Final = "esb-services"
IMAGE_VARIABLE: Final = "ESB_SERVICES_IMAGE"
BASE_VARIABLE: Final = "PYTHON_BASE_IMAGE"
SECONDS: Final = 1800.0

_SOURCES = Path("services", "images")
_PACKAGE = Path("services", "esb_services")
_LATEST = f"{IMAGE}:latest"
_FORMAT = "1"
_LIMIT_BYTES = 1024 * 1024
_TAG_LENGTH = 12


def ensure(
    root: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    *,
    no_cache: bool = False,
    timeout: float = SECONDS,
) -> dict[str, str]:
    """Make sure that the engine has the image of the services as the sources are now.

    Args:
        root: the project root; without `services/images/Dockerfile` there is nothing to do.
        environment: of `docker` and `pip`; `PYTHON_BASE_IMAGE` names another base, and an image that
            `ESB_SERVICES_IMAGE` names is taken as it is.
        say: takes each command and each line of output; may be called by several threads.
        no_cache: build even if the image is there.
        timeout: seconds for everything together.

    Returns:
        Variables for the compose file.

    Raises:
        StepError: the image cannot be had; carries the last lines of what failed.
    """
    if environment.get(IMAGE_VARIABLE, "").strip() or not (root / _SOURCES / "Dockerfile").is_file():
        return {}
    commands = Commands(environment, say, timeout)
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
    finally:
        commands.stop()


def _what(error: ArtifactError) -> str:
    return f"{error.value}: {error.rule}" if error.value is not None else error.rule


@dataclass(frozen=True)
class _Recipe:
    """What the image is built from."""

    dockerfile: str
    arguments: Mapping[str, str]
    base: str
    pins: Path
    pinned: bytes
    sources: Inputs

    def digest(self, base_id: str) -> str:
        lines = [
            _FORMAT,
            hashlib.sha256(self.dockerfile.encode()).hexdigest(),
            hashlib.sha256(self.pinned).hexdigest(),
            f"base {base_id}",
            *self.sources.lines(),
        ]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


class _Build:
    """One look at the sources, and the build that it may lead to."""

    def __init__(self, root: Path, commands: Commands, *, no_cache: bool) -> None:
        self._root = root
        self._commands = commands
        self._no_cache = no_cache
        self._engine = DockerEngine(commands)
        self._cache = HostCache(commands.environ)

    def run(self) -> str:
        """Return the name of the image."""
        recipe = self._recipe()
        # One question for both: what an unchanged run needs to know.
        found = self._engine.inspect([recipe.base, _LATEST])
        digest = recipe.digest(self._base_id(recipe.base, found))
        reference = f"{IMAGE}:{digest[:_TAG_LENGTH]}"
        latest = found.get(_LATEST)
        if not self._no_cache and latest is not None and latest.digest == digest and reference in latest.tags:
            return reference
        # Whoever waits here for the same image finds it built.
        with self._cache.lock("image", reference, self._commands):
            if self._no_cache or not self._is_there(reference, digest):
                self._build(recipe, reference, digest)
            self._engine.tag(reference, _LATEST)
        return reference

    def _recipe(self) -> _Recipe:
        folder = self._root / _SOURCES
        path, pins = folder / "Dockerfile", folder / "requirements.txt"
        text = regular_file.read(path, _LIMIT_BYTES).decode("utf-8", "replace")
        chosen = self._commands.environ.get(BASE_VARIABLE, "").strip()
        arguments = {BASE_VARIABLE: chosen} if chosen else {}
        try:
            base = dockerfile.bases(text, arguments)[-1]
        except DockerfileError as error:
            raise ArtifactError(str(error), path=path, line=error.line) from None
        pinned = regular_file.read(pins, _LIMIT_BYTES)
        return _Recipe(text, arguments, base, pins, pinned, build_inputs.collect(self._root / _PACKAGE))

    def _base_id(self, base: str, found: Mapping[str, Image]) -> str:
        if base in found:
            return found[base].id
        return base_images.obtain(base, self._engine, self._commands, self._cache)

    def _is_there(self, reference: str, digest: str) -> bool:
        found = self._engine.inspect([reference]).get(reference)
        return found is not None and found.digest == digest

    def _build(self, recipe: _Recipe, reference: str, digest: str) -> None:
        self._commands.say(f"building {reference}")
        interpreter = self._engine.interpreter(recipe.base)
        installed = packages.site_packages(recipe.pins, interpreter, self._commands, self._cache)
        environ = self._commands.environ
        project = environ.get("ESB_PROJECT", "esb").removesuffix(f"-{environ.get('ESB_ENV', '')}")
        labels = {"com.esb.managed": "true", "com.esb.project": project, DIGEST_LABEL: digest}
        with tempfile.TemporaryDirectory(prefix="esb-services-") as folder:
            context = Path(folder, "context")
            context.mkdir()
            (context / "Dockerfile").write_text(recipe.dockerfile, encoding="utf-8")
            build_inputs.collect(installed).copy_to(context / "site-packages")
            recipe.sources.copy_to(context / "esb_services")
            self._engine.build(
                context,
                reference,
                label=IMAGE,
                labels=labels,
                arguments=recipe.arguments,
                no_cache=self._no_cache,
            )
