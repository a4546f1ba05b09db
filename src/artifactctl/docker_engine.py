"""The Docker engine, through its command line: contexts, credentials and builders are its business."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from artifactctl import image_reference
from artifactctl.commands import CommandError, Commands, Completed, checked

DIGEST_LABEL: Final = "com.esb.digest"

_NO_ENGINE = ("Cannot connect to the Docker daemon", "error during connect", "permission denied while trying")
_INSTALL = "install Docker with buildx (on Debian: make engine)"
_FIELDS = "{{json .Id}} {{json .RepoTags}} {{json .RepoDigests}} {{json .Config.Labels}}"
_PROBE = (
    "import json,platform,sys;"
    "print(json.dumps([sys.version_info[:2],platform.machine(),platform.libc_ver()[1]]))"
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the engine.

    Attributes:
        id: the engine's own id.
        tags: every name it has, in the engine's spelling.
        repo_digests: what registries know it by, as `name@sha256:…`.
        digest: the content digest that `prepare-images` gave it; None if something else made it.
    """

    id: str
    tags: frozenset[str]
    repo_digests: frozenset[str]
    digest: str | None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python of an image: what decides which wheels fit.

    Attributes:
        version: major and minor.
        machine: such as x86_64.
        libc: version of glibc as major and minor.
    """

    version: tuple[int, int]
    machine: str
    libc: tuple[int, int]


class DockerEngine:
    """The engine that `docker` talks to in the environment of `commands`."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._builder: str | None = None

    def inspect(self, references: Iterable[str]) -> dict[str, Image]:
        """Return those of `references` that the engine has.

        Raises:
            CommandError: the engine does not answer.
        """
        wanted = {image_reference.normalized(reference): reference for reference in references}
        if not wanted:
            return {}
        done = self._docker("image", "inspect", "--format", _FIELDS, *wanted, quiet=True)
        if done.code != 0 and not any("No such image" in line for line in done.tail):
            checked(done, "the engine cannot be asked for its images", _answer_remedy())
        found: dict[str, Image] = {}
        for line in filter(None, done.stdout.splitlines()):
            image = _image(line)
            for name in image.tags | image.repo_digests:
                if name in wanted:
                    found[wanted[name]] = image
        return found

    def build(
        self,
        context: Path,
        reference: str,
        *,
        label: str,
        labels: Mapping[str, str],
        arguments: Mapping[str, str],
        no_cache: bool,
    ) -> None:
        """Build `reference` from the folder `context`, without network, by the engine's own builder.

        Args:
            context: with its `Dockerfile`.
            reference: the name that the image gets.
            label: tells the lines of this build in the log from those of others.
            labels: of the image.
            arguments: build arguments.
            no_cache: use nothing of earlier builds.

        Raises:
            CommandError: the build failed; carries its last lines.
        """
        argv = ["build", "--network", "none", "--progress", "plain", "--tag", reference]
        for option, values in (("--label", labels), ("--build-arg", arguments)):
            for name, value in values.items():
                argv += [option, f"{name}={value}"]
        if no_cache:
            argv.append("--no-cache")
        # A builder chosen by `docker buildx use` keeps its results to itself.
        extra = {"DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": self._own_builder()}
        done = self._docker(*argv, str(context), extra=extra, label=label)
        no_builder = any("buildx component is missing" in line for line in done.tail)
        checked(done, "the build failed", _INSTALL if no_builder else "correct its Dockerfile")

    def tag(self, source: str, reference: str) -> None:
        """Give the image `source` (name or id) one more name."""
        checked(self._docker("image", "tag", source, reference), f"cannot tag {reference}")

    def pull(self, reference: str, *, limit: float) -> None:
        """Pull `reference` within `limit` seconds.

        Raises:
            CommandError: it cannot be pulled.
        """
        checked(self._docker("image", "pull", "--quiet", reference, limit=limit), "cannot be pulled")

    def push(self, reference: str) -> None:
        """Push `reference` to the registry that it names.

        Raises:
            CommandError: the registry does not take it.
        """
        remedy = "check CONTAINER_REGISTRY and HOST_REGISTRY_ADDR, and that the registry answers"
        checked(
            self._docker("image", "push", "--quiet", reference, label=reference),
            f"cannot push {reference}",
            remedy,
        )

    def import_root(self, archive: Path, reference: str, changes: Sequence[str]) -> None:
        """Make the image `reference` of a root file system, with Dockerfile instructions on top."""
        options = [word for change in changes for word in ("--change", change)]
        done = self._docker("image", "import", *options, str(archive), reference)
        checked(done, f"cannot import {reference}")

    def interpreter(self, reference: str) -> Interpreter:
        """Return what the Python in the image `reference` is like.

        Raises:
            CommandError: it has none, or one that no wheel fits.
        """
        options = ("--rm", "--network", "none", "--label", "com.esb.managed=true", "--entrypoint", "python3")
        remedy = "name another image in PYTHON_BASE_IMAGE"
        done = checked(
            self._docker("run", *options, reference, "-c", _PROBE, quiet=True),
            f"{reference} has no Python 3 that runs",
            remedy,
        )
        version, machine, libc = json.loads(done.stdout)
        try:
            major, minor = (int(part) for part in libc.split(".")[:2])
        except ValueError:
            raise CommandError("its Python is not built for glibc", value=reference, remedy=remedy) from None
        return Interpreter((version[0], version[1]), machine, (major, minor))

    def _own_builder(self) -> str:
        if self._builder is None:
            done = checked(
                self._docker("context", "show", quiet=True), "the engine's context cannot be asked for"
            )
            # The engine's own builder is called like its context.
            self._builder = done.stdout.strip() or "default"
        return self._builder

    def _docker(
        self,
        *arguments: str,
        quiet: bool = False,
        extra: Mapping[str, str] | None = None,
        limit: float | None = None,
        label: str | None = None,
    ) -> Completed:
        try:
            done = self._commands.run(
                ["docker", *arguments], quiet=quiet, extra=extra, limit=limit, label=label
            )
        except CommandError as error:
            if "not installed" in error.rule:
                error.remedy = _INSTALL
            raise
        if done.code != 0 and any(sign in line for line in done.tail for sign in _NO_ENGINE):
            checked(done, "the Docker engine does not answer", _answer_remedy())
        return done


def _answer_remedy() -> str:
    return "start it, so that `docker info` answers (on Debian: make engine)"


def _image(line: str) -> Image:
    decoder = json.JSONDecoder()
    values: list[Any] = []
    position = 0
    while position < len(line):
        value, end = decoder.raw_decode(line, position)
        values.append(value)
        position = end + 1
    identifier, tags, digests, labels = values
    return Image(
        identifier, frozenset(tags or ()), frozenset(digests or ()), (labels or {}).get(DIGEST_LABEL)
    )
