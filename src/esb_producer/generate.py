"""Templates → the files of their artifacts; nothing is written here."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from artifactctl.errors import ArtifactError
from artifactctl.manifest import MODES
from esb_producer import application, parameters, render, template, validation
from esb_producer.model import Application
from esb_producer.node import meant
from esb_producer.render import Identity
from esb_producer.sources import File


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be generated.

    Attributes:
        templates: in the order in which they are applied.
        env, mode, project: which environment the artifacts are for.
        base: the folder that templates are recorded relative to.
        parameters: overrides of templates' parameters, by name.
        image_uris: references of images by the name of an image function.
        image_runtimes: languages of image functions by name: `python`, `java17`, `java21`.
    """

    templates: Sequence[Path]
    env: str
    mode: str
    base: Path
    project: str = "esb"
    parameters: Mapping[str, str] = field(default_factory=dict)
    image_uris: Mapping[str, str] = field(default_factory=dict)
    image_runtimes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generated:
    """What templates come to.

    Attributes:
        files: by name below the folder of the manifest.
        warnings: located lines about what has no effect.
    """

    files: Mapping[str, File]
    warnings: tuple[str, ...]


def generate(request: Request) -> Generated:
    """Return the artifacts of a request.

    Raises:
        ArtifactError: something in it, in a template, or in the sources is wrong or not supported.
    """
    _check(request)
    inputs = application.Inputs(
        f"{request.project}-{request.env}", request.parameters, request.image_uris, request.image_runtimes
    )
    exports = application.Exports()
    read = [template.load(path) for path in request.templates]
    parameters.check_known(request.parameters, {name for one in read for name in one.parameters})
    applications = [
        application.resolve(one, _recorded(one.path, request.base), inputs, exports) for one in read
    ]
    repeated = _check_functions(request, applications)
    for one in read:
        validation.check(one)
    files = render.render(applications, Identity(request.project, request.env, request.mode))
    warnings = [line for one in applications for line in one.warnings]
    return Generated(files, (*warnings, *repeated))


def _check(request: Request) -> None:
    if request.mode not in MODES:
        raise ArtifactError(
            f"expected one of {', '.join(MODES)}",
            field="mode",
            value=request.mode,
            remedy=meant(request.mode, MODES),
        )
    for name, value in (("env", request.env), ("project", request.project)):
        if not value.strip() or not value.isprintable():
            raise ArtifactError("expected a name", field=name, value=value)
    if not request.templates:
        raise ArtifactError("expected at least one template", field="--template")
    seen: set[str] = set()
    for path in request.templates:
        real = os.path.realpath(path)
        if real in seen:
            raise ArtifactError("is given twice", path=path)
        seen.add(real)


def _recorded(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def _check_functions(request: Request, applications: Sequence[Application]) -> list[str]:
    """Refuse overrides that no function takes, and return warnings about functions that replace another."""
    places: dict[str, str] = {}
    warnings = []
    for one in applications:
        for function in one.functions:
            if function.name in places:
                warnings.append(f"{function.where}: replaces {function.name} of {places[function.name]}")
            places[function.name] = function.where
    for option, given in (("--image-uri", request.image_uris), ("--image-runtime", request.image_runtimes)):
        for name in given:
            if name not in places:
                remedy = meant(name, places.keys()) or f"the functions are {', '.join(sorted(places))}"
                raise ArtifactError("no template has this function", field=option, value=name, remedy=remedy)
    return warnings
