"""Which images a manifest needs, what each is built from, and in which order: nothing is built here."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifactctl import build_inputs, dockerfile, image_reference, jars, regular_file
from artifactctl.build_inputs import Inputs
from artifactctl.dockerfile import DockerfileError
from artifactctl.errors import ArtifactError
from artifactctl.fields import Field
from artifactctl.manifest import Entry, Manifest
from artifactctl.merge import check_references, combine
from artifactctl.runtime_config import RuntimeConfig, read

RUNTIME_HOOKS: Final = "runtime-base/runtime-hooks"
BASE_VARIABLES: Final = {"python": "PYTHON_BASE_IMAGE", "java": "JAVA_BASE_IMAGE"}
"""What names another image for the runtime-base of a language."""
BASE: Final = "base"
FUNCTION: Final = "function"
FIXTURE: Final = "fixture"

_FORMAT = "1"
_LIMIT_BYTES = 1024 * 1024
_AGAIN = "generate the artifact again"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A folder that an image is built from.

    Attributes:
        inputs: everything in it.
        dockerfile: where its Dockerfile lies; the recipe keeps the text that it had.
        text: of the Dockerfile.
        arguments: build arguments.
        bases: the images that the Dockerfile starts from.
        requirements: pins of the packages that are laid beside it as `site-packages`, or None.
        pom: what pins the jars that are laid beside it as `jars`, or None.
    """

    inputs: Inputs
    dockerfile: Path
    text: str
    arguments: Mapping[str, str]
    bases: tuple[str, ...]
    requirements: Path | None = None
    pom: Path | None = None

    def digest(self, base_digests: Mapping[str, str]) -> str:
        """Return the content digest of the image: inputs, Dockerfile, digests of its bases, arguments."""
        lines = [
            _FORMAT,
            hashlib.sha256(self.text.encode()).hexdigest(),
            *(f"argument {name}={value}" for name, value in sorted(self.arguments.items())),
            *(f"base {base} {base_digests[base]}" for base in self.bases),
            *self.inputs.lines(),
        ]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class Target:
    """An image to be built.

    Attributes:
        reference: its name.
        kind: `base`, `function` or `fixture`.
        recipe: what it is built from.
        runtime_base: folder of the recipe that its base is built from where that is `esb-lambda-base` or
            `esb-lambda-java-base`, or None.
    """

    reference: str
    kind: str
    recipe: Recipe
    runtime_base: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that has to be in the engine when a manifest runs.

    Attributes:
        bases: by name and runtime-base folder, in the order of the manifest's entries.
        targets: functions by name, then fixtures.
        existing: images without a Dockerfile, each with the first place that names it.
    """

    bases: Mapping[tuple[str, Path], Target]
    targets: tuple[Target, ...]
    existing: Mapping[str, Field]

    def external_bases(self) -> tuple[str, ...]:
        """Return the images that recipes start from and that no recipe of the plan makes."""
        recipes = [target.recipe for target in (*self.bases.values(), *self.targets)]
        found = (base for recipe in recipes for base in recipe.bases)
        return tuple(dict.fromkeys(base for base in found if not image_reference.is_lambda_base(base)))


@dataclass(frozen=True, slots=True)
class _Function:
    """A function of the merged config: its image as the runtime will ask for it, and where that is said."""

    name: str
    reference: str
    said: Field
    root: Path
    language: str


def plan(manifest: Manifest, fixtures: Mapping[str, Path], environ: Mapping[str, str]) -> Plan:
    """Return what `manifest` needs.

    Args:
        manifest: a valid manifest.
        fixtures: the folder of each image that is built from no artifact, by its name.
        environ: fills `${VAR}` in the names of images; `PYTHON_BASE_IMAGE` and `JAVA_BASE_IMAGE` are handed
            to the bases' builds.

    Raises:
        ArtifactError: something is wrong with the config or with what an image is built from.
    """
    configs = [read(entry.runtime_config_dir, entry.artifact_root) for entry in manifest.artifacts]
    functions = _functions(manifest.artifacts, configs, environ)
    bases: dict[tuple[str, Path], Target] = {}
    targets: dict[str, Target] = {}
    makers: dict[str, _Function] = {}
    existing: dict[str, Field] = {}
    for function in functions:
        folder = _function_folder(function)
        if folder is None:
            existing.setdefault(function.reference, function.said)
            continue
        target = _target(function.reference, FUNCTION, folder, function, bases, environ)
        first = makers.setdefault(function.reference, function)
        if _differ(targets.setdefault(function.reference, target), target):
            rule = f"the function {first.name} builds another image of that name"
            raise function.said.error(rule, "give each its own name")
    made = {*targets, *fixtures}
    users = {function.reference: function for function in reversed(functions)}
    for reference, folder in sorted(fixtures.items()):
        if reference in targets:
            raise makers[reference].said.error("is built from a fixture as well", "give each its own name")
        user = users.get(reference) or _anybody(functions, manifest)
        targets[reference] = _target(reference, FIXTURE, folder, user, bases, environ)
    return Plan(
        bases, tuple(targets.values()), {name: said for name, said in existing.items() if name not in made}
    )


def _functions(
    entries: Sequence[Entry], configs: Sequence[RuntimeConfig], environ: Mapping[str, str]
) -> list[_Function]:
    merged = combine(configs)
    check_references(merged)
    roots = {
        name: entry.artifact_root
        for entry, config in zip(entries, configs, strict=True)
        for name in config.functions
    }
    found = []
    for name, function in sorted(merged.functions.items()):
        said = function.optional("image") or merged.other_defaults["image"]
        runtime = function.optional("runtime") or merged.other_defaults.get("runtime")
        language = "java" if runtime is not None and runtime.string().startswith("java") else "python"
        found.append(_Function(name, _reference(said, environ), said, roots[name], language))
    return found


def _reference(said: Field, environ: Mapping[str, str]) -> str:
    try:
        reference = image_reference.filled(said.string(), environ)
    except KeyError as error:
        raise said.error(f"${{{error.args[0]}}} is not set in the environment", "set it") from None
    if not image_reference.is_valid(reference):
        raise said.error("expected the name of an image: [host/]name[:tag], in lower case")
    return reference


def _function_folder(function: _Function) -> Path | None:
    folder = function.root / "functions" / function.name
    if not os.path.lexists(folder / "Dockerfile"):
        return None
    if not Path(os.path.realpath(folder)).is_relative_to(function.root):
        raise ArtifactError("is a link that leaves its artifact root", path=folder, remedy="copy the folder")
    return folder


def _anybody(functions: Iterable[_Function], manifest: Manifest) -> _Function:
    """Return whose runtime-base a fixture that no function names is built on."""
    found = next(iter(functions), None)
    if found is None:
        raise ArtifactError("has no function that a fixture image could serve", path=manifest.path)
    return found


def _target(
    reference: str,
    kind: str,
    folder: Path,
    function: _Function,
    bases: dict[tuple[str, Path], Target],
    environ: Mapping[str, str],
) -> Target:
    recipe = _recipe(folder, folder / "Dockerfile", {})
    hooks = function.root / RUNTIME_HOOKS / function.language
    lambda_bases = [base for base in recipe.bases if image_reference.is_lambda_base(base)]
    for base in lambda_bases:
        if (base, hooks) not in bases:
            bases[base, hooks] = _base(base, hooks, recipe.dockerfile, environ)
    return Target(reference, kind, recipe, hooks if lambda_bases else None)


def _base(reference: str, hooks: Path, wanted_by: Path, environ: Mapping[str, str]) -> Target:
    path = hooks / "docker/Dockerfile"
    root = hooks.parent.parent.parent
    if not path.is_file():
        rule = f"file not found: {wanted_by} starts from {reference}, which only runtime-base can build"
        raise ArtifactError(rule, path=path, remedy=f"{_AGAIN}, which stages runtime-base beside functions/")
    if not Path(os.path.realpath(path)).is_relative_to(root):
        raise ArtifactError("is a link that leaves its artifact root", path=path, remedy="copy the file")
    variable = BASE_VARIABLES[hooks.name]
    chosen = environ.get(variable, "").strip()
    if chosen and not image_reference.is_valid(chosen):
        raise ArtifactError("expected the name of an image", field=variable, value=chosen)
    recipe = _recipe(hooks, path, {variable: chosen} if chosen else {})
    if any(map(image_reference.is_lambda_base, recipe.bases)):
        raise ArtifactError(
            f"runtime-base may not start from {reference}, which it is", path=path, remedy=_AGAIN
        )
    if recipe.requirements is not None and not recipe.bases:
        raise ArtifactError("expected FROM an image with Python: requirements.txt lies beside it", path=path)
    return Target(reference, BASE, recipe)


def _recipe(folder: Path, path: Path, arguments: Mapping[str, str]) -> Recipe:
    content = regular_file.read(path, _LIMIT_BYTES)
    try:
        text = content.decode("utf-8")
        starts = dockerfile.bases(text, arguments)
    except UnicodeDecodeError:
        raise ArtifactError("is not UTF-8", path=path, remedy="save it as UTF-8") from None
    except DockerfileError as error:
        raise ArtifactError(str(error), path=path, line=error.line) from None
    for base in starts:
        if not image_reference.is_valid(base):
            raise ArtifactError("FROM expects the name of an image", path=path, value=base)
    requirements = path.with_name("requirements.txt")
    pins = requirements if path.parent != folder and requirements.is_file() else None
    project = path.with_name(jars.POM)
    pom = project if path.parent != folder and project.is_file() else None
    return Recipe(build_inputs.collect(folder), path, text, arguments, starts, pins, pom)


def _differ(one: Target, other: Target) -> bool:
    """Tell whether two targets of one name would be different images."""
    if one.runtime_base != other.runtime_base:
        return True
    same = dict.fromkeys((*one.recipe.bases, *other.recipe.bases), "")
    return one.recipe.digest(same) != other.recipe.digest(same)
