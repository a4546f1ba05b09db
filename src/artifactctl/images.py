"""Preparing images: bases, functions and fixtures are in the engine, and in the registry where there is one.

What an image is follows from its content digest, which it carries as a label. An image that is there with
the right digest is left alone; one that is there under another name gets a second name.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from artifactctl import build_inputs, dockerfile, image_push, image_reference, jars
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


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """One image that is ready.

    Attributes:
        reference: its name.
        kind: `base`, `function`, `fixture`, or `external` if nothing here builds it.
        digest: content digest, 64 hex digits; None for an external one.
        action: `present`, `tagged` (it was there under another name), `built` or `pulled`.
        pushed: the name that it was pushed by; None if it was not, or did not have to be.
        id: the engine's own id of it, another one after each build.
    """

    reference: str
    kind: str
    digest: str | None
    action: str
    pushed: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """Every image of a manifest.

    Attributes:
        images: bases, then functions by name, then fixtures, then external ones.
        starts: ids of the images, by name, that bases and functions start from and that nothing here builds.
    """

    images: tuple[PreparedImage, ...]
    starts: Mapping[str, str] = field(default_factory=dict)

    def function_ids(self) -> dict[str, str]:
        """Return the ids of the images that functions run from, by their names."""
        return {
            image.reference: image.id for image in self.images if image.id is not None and image.kind != BASE
        }

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
            the names of base images; None takes the process' own.
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
    image_push.check(wanted, registries)
    return _Preparation(manifest, wanted, registries, no_cache=no_cache, commands=commands).run()


@dataclass(frozen=True, slots=True)
class _Step:
    """An image on its way.

    Attributes:
        own_bases: content digest of each base that is built from a runtime-base, by its name.
        owns_name: False for a base whose name another one gets; it is then known by its digest only.
    """

    target: Target
    digest: str
    own_bases: Mapping[str, str]
    owns_name: bool = True

    @property
    def content(self) -> str:
        return _content_reference(self.target.reference, self.digest)

    @property
    def reference(self) -> str:
        return self.target.reference if self.owns_name else self.content


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
        steps = [
            _Step(base, base_digests[key], {}, owns_name=owners[key[0]] == key) for key, base in bases.items()
        ]
        self._found |= self._engine.inspect(step.reference for step in steps if not step.owns_name)
        prepared = self._each(self._prepare, steps, self._is_present)
        own_bases = [self._own_bases(target, base_digests) for target in targets]
        prepared += self._each(
            self._prepare,
            [
                _Step(target, target.recipe.digest({**external, **own}), own)
                for target, own in zip(targets, own_bases, strict=True)
            ],
            self._is_present,
        )
        prepared += self._each(self._existing, self._plan.existing, lambda name: name in self._found)
        pushed_as = image_push.push(
            [image.reference for image in prepared], self._registries, self._engine, self._commands
        )
        changed = [image.reference for image in prepared if image.action != PRESENT]
        now = {**self._found, **self._engine.inspect(changed)}
        ids = {reference: image.id for reference, image in now.items()}
        return PrepareResult(
            tuple(
                replace(image, pushed=pushed_as.get(image.reference), id=ids.get(image.reference))
                for image in prepared
            ),
            external,
        )

    def _external_id(self, reference: str) -> str:
        if (found := self._found.get(reference)) is not None:
            return found.id
        from artifactctl import base_images

        return base_images.obtain(reference, self._engine, self._commands, self._cache)

    @staticmethod
    def _own_bases(target: Target, base_digests: Mapping[tuple[str, Path], str]) -> dict[str, str]:
        """Return the digest of each base of `target` that is built from a runtime-base."""
        if target.runtime_base is None:
            return {}
        names = filter(image_reference.is_lambda_base, target.recipe.bases)
        return {name: base_digests[name, target.runtime_base] for name in names}

    def _is_present(self, step: _Step) -> bool:
        found = self._found.get(step.reference)
        return not self._no_cache and found is not None and found.digest == step.digest

    def _prepare(self, step: _Step) -> PreparedImage:
        """Make sure that the image with this content digest is there under its name."""
        return PreparedImage(step.reference, step.target.kind, step.digest, self._ensure(step))

    def _ensure(self, step: _Step) -> str:
        if self._is_present(step):
            return PRESENT
        if not self._no_cache and self._tag(step.content, step.reference):
            return TAGGED
        # Whoever waits here for the same image finds it built.
        with self._cache.lock("image", step.content, self._commands):
            if not self._no_cache and self._tag(step.content, step.reference):
                return TAGGED
            self._commands.say(f"building {step.reference}")
            replacements = {base: self._base_content(base, own) for base, own in step.own_bases.items()}
            self._build(step.target, step.content, step.digest, replacements)
            if step.reference != step.content:
                self._engine.tag(step.content, step.reference)
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
            if recipe.pom is not None:
                found = jars.collect(recipe.pom, self._commands, self._cache)
                build_inputs.collect(found).copy_to(context / "jars")
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
        from artifactctl import packages

        interpreter = self._engine.interpreter(base)
        source = packages.site_packages(requirements, interpreter, self._commands, self._cache)
        build_inputs.collect(source).copy_to(target)

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

    def _each(
        self,
        do: Callable[[_Item], PreparedImage],
        items: Iterable[_Item],
        is_quick: Callable[[_Item], bool],
    ) -> list[PreparedImage]:
        """Do it for all of them; what is not quick some at a time, and the first failure ends the others."""
        results: dict[int, PreparedImage] = {}
        slow: dict[int, _Item] = {}
        for number, item in enumerate(items):
            if is_quick(item):
                results[number] = do(item)
            else:
                slow[number] = item
        results |= zip(slow, self._commands.at_once(do, slow.values()), strict=True)
        return [results[number] for number in sorted(results)]


def _content_reference(reference: str, digest: str) -> str:
    """Return the name that says what the image is; every other name is an alias of it."""
    return f"{image_reference.repository(reference)}:{digest[:_TAG_LENGTH]}"
