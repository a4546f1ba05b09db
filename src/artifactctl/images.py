"""Preparing images: bases, functions and fixtures are in the engine, and in the registry where there is one.

What an image is follows from its content digest, which it carries as a label. An image that is there with
the right digest is left alone; one that is there under another name gets a second name.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from artifactctl import dockerfile, image_reference
from artifactctl.commands import CommandError, Commands
from artifactctl.docker_engine import DIGEST_LABEL, DockerEngine, Image
from artifactctl.errors import ArtifactError
from artifactctl.fields import Field
from artifactctl.host_cache import HostCache
from artifactctl.image_plan import BASE, Plan, Target, plan
from artifactctl.image_reference import Registries
from artifactctl.manifest import Manifest, load_manifest

TIMEOUT: Final = 1800.0
PRESENT: Final = "present"
TAGGED: Final = "tagged"
BUILT: Final = "built"
PULLED: Final = "pulled"
EXTERNAL: Final = "external"

# What only builds, pulls and pushes need is imported there: most runs find everything present.
_PULL_SECONDS = 300.0
_TAG_LENGTH = 32
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """One image that is ready.

    Attributes:
        reference: its name.
        kind: `base`, `function`, `fixture`, or `external` if nothing here builds it.
        digest: content digest, 64 hex digits; None for an external one.
        action: `present`, `tagged` (it was there under another name), `built` or `pulled`.
        pushed: the name that it was pushed by; None if it was not, or did not have to be.
    """

    reference: str
    kind: str
    digest: str | None
    action: str
    pushed: str | None = None


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """Every image of a manifest: bases, then functions by name, then fixtures, then external ones."""

    images: tuple[PreparedImage, ...]

    def count(self, action: str) -> int:
        """Return how many images it took `action` for."""
        return sum(image.action == action for image in self.images)


def prepare(
    manifest_path: Path,
    *,
    no_cache: bool = False,
    fixtures: Mapping[str, Path] | None = None,
    environ: Mapping[str, str] | None = None,
    log: Callable[[str], None] | None = None,
    timeout: float = TIMEOUT,
    commands: Commands | None = None,
) -> PrepareResult:
    """Build, and where a registry is in play push, what the manifest's functions run from.

    Args:
        manifest_path: the `artifact.yml`; its artifact roots are only read.
        no_cache: build what can be built even if it is there.
        fixtures: more images to build, the folder of each (with a Dockerfile) by its name.
        environ: the environment of `docker`, with `CONTAINER_REGISTRY`, `HOST_REGISTRY_ADDR` and
            `PYTHON_BASE_IMAGE`; None takes the process' own.
        log: takes each command and each line of output; may be called by several threads.
        timeout: seconds for everything together.
        commands: takes the place of `environ`, `log` and `timeout`; its `stop()` ends the preparation.

    Raises:
        ArtifactError: the input is wrong, or an image cannot be had; a `CommandError` carries the last
            lines of what failed.
    """
    commands = commands or Commands(os.environ if environ is None else environ, log, timeout)
    return prepare_manifest(
        load_manifest(manifest_path), no_cache=no_cache, fixtures=fixtures or {}, commands=commands
    )


def prepare_manifest(
    manifest: Manifest, *, no_cache: bool, fixtures: Mapping[str, Path], commands: Commands
) -> PrepareResult:
    """Prepare the images of a valid manifest; see `prepare`."""
    try:
        registries = Registries.from_environ(commands.environ)
    except ValueError as error:
        raise ArtifactError(str(error), remedy="correct the variable, or unset it") from None
    wanted = plan(manifest, fixtures, commands.environ)
    _check_pushable(wanted, registries)
    return _Preparation(manifest, wanted, registries, no_cache=no_cache, commands=commands).run()


def _check_pushable(wanted: Plan, registries: Registries) -> None:
    for target in (*wanted.bases.values(), *wanted.targets):
        if registries.host is not None and registries.pushed_as(target.reference) is None:
            raise ArtifactError(
                f"names another registry than CONTAINER_REGISTRY ({registries.runtime})",
                path=target.recipe.dockerfile,
                value=target.reference,
                remedy="name it without a registry, or unset CONTAINER_REGISTRY and HOST_REGISTRY_ADDR",
            )


class _Preparation:
    """One run over one plan."""

    def __init__(
        self, manifest: Manifest, wanted: Plan, registries: Registries, *, no_cache: bool, commands: Commands
    ) -> None:
        self._project = manifest.project
        self._plan = wanted
        self._registries = registries
        self._no_cache = no_cache
        self._commands = commands
        self._engine = DockerEngine(commands)
        self._cache = HostCache(commands.environ)
        self._found: dict[str, Image] = {}

    def run(self) -> PrepareResult:
        bases, targets = self._plan.bases, self._plan.targets
        names = [*(target.reference for target in (*bases.values(), *targets)), *self._plan.existing]
        pushed = [name for name in map(self._registries.pushed_as, names) if name is not None]
        self._found = self._engine.inspect([*names, *pushed, *self._plan.external_bases()])
        external = {name: self._external_id(name) for name in self._plan.external_bases()}
        base_digests = {key: base.recipe.digest(external) for key, base in bases.items()}
        # Two runtime-bases may claim one name: the last entry's gets it, as everywhere.
        owners = {key[0]: key for key in bases}
        prepared_bases = self._each(
            lambda key: self._base(bases[key], base_digests[key], owns=owners[key[0]] == key), bases
        )
        prepared = self._each(lambda target: self._target(target, base_digests, external), targets)
        existing = self._each(self._existing, self._plan.existing)
        owned = [
            image
            for key, image in zip(bases, prepared_bases, strict=True)
            if owners[key[0]] == key or image.action == BUILT
        ]
        return PrepareResult(self._push([*owned, *prepared, *existing]))

    def _external_id(self, reference: str) -> str:
        if (found := self._found.get(reference)) is not None:
            return found.id
        from artifactctl import base_images

        return base_images.obtain(reference, self._engine, self._commands, self._cache)

    def _base(self, base: Target, digest: str, *, owns: bool) -> PreparedImage:
        content = _content_reference(base.reference, digest)
        reference = base.reference if owns else content
        return PreparedImage(base.reference, BASE, digest, self._ensure(base, reference, digest, {}))

    def _target(
        self, target: Target, base_digests: Mapping[tuple[str, Path], str], external: Mapping[str, str]
    ) -> PreparedImage:
        digests = dict(external)
        if target.runtime_base is not None:
            for base in filter(image_reference.is_lambda_base, target.recipe.bases):
                digests[base] = base_digests[base, target.runtime_base]
        own_bases = {name: digest for name, digest in digests.items() if image_reference.is_lambda_base(name)}
        digest = target.recipe.digest(digests)
        action = self._ensure(target, target.reference, digest, own_bases)
        return PreparedImage(target.reference, target.kind, digest, action)

    def _ensure(self, target: Target, reference: str, digest: str, own_bases: Mapping[str, str]) -> str:
        """Make sure that `reference` is the image with this content digest, and return how."""
        content = _content_reference(reference, digest)
        if not self._no_cache:
            found = self._found.get(reference)
            if found is not None and found.digest == digest:
                return PRESENT
            if self._tag(content, reference):
                return TAGGED
        # Whoever waits here for the same image finds it built.
        with self._cache.lock("image", content, self._commands):
            if not self._no_cache and self._tag(content, reference):
                return TAGGED
            self._commands.say(f"building {reference}")
            replacements = {base: self._base_content(base, own) for base, own in own_bases.items()}
            self._build(target, content, digest, replacements)
            self._engine.tag(content, reference)
        return BUILT

    def _tag(self, content: str, reference: str) -> bool:
        if not self._engine.inspect([content]):
            return False
        self._engine.tag(content, reference)
        return True

    def _base_content(self, base: str, digest: str) -> str:
        """Return the name of a base by its digest: no other run can give that name to something else."""
        content = _content_reference(base, digest)
        if not self._engine.inspect([content]):
            found = self._engine.inspect([base]).get(base)
            if found is None or found.digest != digest:
                raise ArtifactError("was removed while it was in use", value=base, remedy="run it again")
            self._engine.tag(found.id, content)
        return content

    def _build(self, target: Target, content: str, digest: str, replacements: Mapping[str, str]) -> None:
        import tempfile

        recipe = target.recipe
        with tempfile.TemporaryDirectory(prefix="artifactctl-") as folder:
            context = Path(folder, "context")
            recipe.inputs.copy_to(context)
            text = dockerfile.rewritten(recipe.text, recipe.arguments, replacements)
            (context / recipe.dockerfile.relative_to(recipe.inputs.folder)).unlink()
            (context / "Dockerfile").write_text(text, encoding="utf-8")
            if recipe.requirements is not None:
                self._add_packages(recipe.requirements, recipe.bases[-1], context / "site-packages")
            labels = {
                "com.esb.managed": "true",
                "com.esb.project": self._project,
                DIGEST_LABEL: digest,
            }
            try:
                self._engine.build(
                    context,
                    content,
                    label=target.reference,
                    labels=labels,
                    arguments=recipe.arguments,
                    no_cache=self._no_cache,
                )
            except CommandError as error:
                error.path, error.value = recipe.dockerfile, repr(target.reference)
                raise

    def _add_packages(self, requirements: Path, base: str, target: Path) -> None:
        import shutil

        from artifactctl import packages

        interpreter = self._engine.interpreter(base)
        source = packages.site_packages(requirements, interpreter, self._commands, self._cache)
        shutil.copytree(source, target)
        for path in (target, *target.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def _existing(self, reference: str) -> PreparedImage:
        action = PRESENT
        if reference not in self._found:
            self._pull(reference, self._plan.existing[reference])
            action = PULLED
        return PreparedImage(reference, EXTERNAL, None, action)

    def _pull(self, reference: str, said: Field) -> None:
        source = self._registries.pushed_as(reference) or reference
        try:
            self._engine.pull(source, limit=_PULL_SECONDS)
        except CommandError as error:
            rule = f"has no Dockerfile, is not in the engine, and {source} {error.rule}"
            raise said.error(rule, "add functions/<name>/Dockerfile, or build or pull the image") from None
        if source != reference:
            self._engine.tag(source, reference)

    def _push(self, images: Sequence[PreparedImage]) -> tuple[PreparedImage, ...]:
        names = {image.reference: self._registries.pushed_as(image.reference) for image in images}
        if not any(names.values()):
            return tuple(images)
        self._found = self._engine.inspect([*names, *(name for name in names.values() if name is not None)])
        return tuple(self._each(lambda image: self._pushed(image, names[image.reference]), images))

    def _pushed(self, image: PreparedImage, name: str | None) -> PreparedImage:
        if name is None or self._is_pushed(self._found[image.reference], name):
            return image
        self._engine.tag(image.reference, name)
        self._commands.say(f"pushing {name}")
        self._engine.push(name)
        return replace(image, pushed=name)

    def _is_pushed(self, image: Image, name: str) -> bool:
        from artifactctl import registry

        known = f"{image_reference.repository(name)}@"
        digests = {digest.removeprefix(known) for digest in image.repo_digests if digest.startswith(known)}
        return bool(digests) and registry.manifest_digest(name) in digests

    def _each(self, do: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Do it for all of them, some at a time; the first failure ends the others."""
        todo = list(items)
        if len(todo) < 2:
            return [do(item) for item in todo]
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:
            futures = [pool.submit(do, item) for item in todo]
            try:
                done = wait(futures, return_when=FIRST_EXCEPTION).done
                failed = [future for future in futures if future in done and future.exception() is not None]
                return [future.result() for future in (failed or futures)]
            except BaseException:
                for future in futures:
                    future.cancel()
                self._commands.stop()
                raise


def _content_reference(reference: str, digest: str) -> str:
    """Return the name that says what the image is; every other name is an alias of it."""
    return f"{image_reference.repository(reference)}:{digest[:_TAG_LENGTH]}"
