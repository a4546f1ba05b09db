"""Generating artifacts: the options of commands that do, and what they come to in a project."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from esb_cli.output import Output
from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.options import ENVIRONMENT_VARIABLE, MATRIX_LOCATION

if TYPE_CHECKING:
    from esb_e2e_plugin.matrix import Entry, Matrix
    from esb_producer.generate import Generated

_F = TypeVar("_F", bound=Callable[..., Any])
_MODES = ("process", "docker", "containerd", "firecracker")
_TAG = "ESB_IMAGE_TAG"


@dataclass(frozen=True)
class Generation:
    """What a command was asked to generate.

    Attributes:
        templates: In the order in which they are applied.
        folder: Takes the manifest and the artifact roots.
        base: The folder that templates are recorded relative to.
        overrides: `parameters`, `image_uris` and `image_runtimes` of the request.
        matrix: The project's, or None outside of one.
        entry: The environment in it whose artifacts are generated, or None.
    """

    templates: Sequence[Path]
    env: str
    mode: str
    project: str
    folder: Path
    base: Path
    overrides: Mapping[str, Mapping[str, str]]
    force: bool
    matrix: "Matrix | None" = None
    entry: "Entry | None" = None

    @property
    def manifest(self) -> Path:
        """The manifest that is written."""
        return self.folder / "artifact.yml"

    def check(self, output: Output) -> None:
        """Say that the folder is what the templates come to.

        Raises:
            EsbError: It is not.
        """
        from esb_producer import folder

        names = folder.differing(self.folder, self._generated(output).files)
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise EsbError(
                f"{self.folder} is not what it is made from: {', '.join(names[:3])}{more}",
                "generate it again without --check",
            )
        output.result({"manifest": str(self.manifest), "changed": False}, f"{self.manifest}: up to date")

    def write(self, output: Output) -> bool:
        """Write manifest and roots, and tell whether anything had to change."""
        from esb_producer import folder

        return folder.write(self.folder, self._generated(output).files, force=self.force)

    def build(self, output: Output, *, no_cache: bool) -> str:
        """Build what the functions run from, and return how many images there were of each kind."""
        from collections import Counter

        from artifactctl.images import prepare

        said = None if output.as_json else output.note
        prepared = prepare(
            self.manifest, no_cache=no_cache, fixtures=self.fixtures(), environ=self.environ(), log=said
        )
        counts = Counter(image.action for image in prepared.images)
        return ", ".join(f"{count} {action}" for action, count in sorted(counts.items())) or "none"

    def environ(self) -> dict[str, str]:
        """Return the variables of a build; without a tag of its own, images are called `latest`."""
        return {**os.environ, _TAG: os.environ.get(_TAG) or "latest"}

    def fixtures(self) -> Mapping[str, Path]:
        """Return the folders of images that the matrix puts in the place of image functions."""
        from esb_e2e_plugin.lifecycle.fixture_images import fixture_images
        from esb_e2e_plugin.planner import plan

        if self.matrix is None or self.entry is None:
            return {}
        (scenario,) = plan(self.matrix, [self.entry.name]).scenarios
        return fixture_images(scenario, self.matrix.root, self.environ())

    def config(self, given: Path | None) -> Path:
        """Return the folder that the services of the environment read.

        Raises:
            UserError: None was given, and the matrix knows none.
        """
        known = None
        if self.matrix is not None and self.entry is not None:
            known = self.entry.config_path(self.matrix.root, self.entry.name.lower())
        if (folder := given or known) is None:
            raise UserError("no folder is known for the configuration", "name one with --config")
        return folder

    def _generated(self, output: Output) -> "Generated":
        from esb_producer.generate import Request, generate

        made = generate(
            Request(
                self.templates, self.env, self.mode, base=self.base, project=self.project, **self.overrides
            )
        )
        if not output.as_json:
            for warning in made.warnings:
                output.note(f"warning: {warning}")
        return made


def generation_options(command: _F) -> _F:
    """Add the options of a generation; the command takes them as one `generation`."""

    @functools.wraps(command)
    def run(*args: Any, **values: Any) -> Any:
        names = ("templates", "env", "mode", "out", "project", "parameters", "image_uris", "image_runtimes")
        own = {name: values.pop(name) for name in (*names, "force", "matrix")}
        return command(*args, generation=_generation(**own), **values)

    options = [
        click.option(
            "-t",
            "--template",
            "templates",
            metavar="FILE",
            type=click.Path(path_type=Path),
            multiple=True,
            required=True,
            help="A SAM template; again for each one more, in the order in which they are applied.",
        ),
        click.option(
            "-e",
            "--env",
            envvar=ENVIRONMENT_VARIABLE,
            metavar="NAME",
            required=True,
            help=f"The environment that it is for [{ENVIRONMENT_VARIABLE}].",
        ),
        click.option("-m", "--mode", type=click.Choice(_MODES), required=True, help="How its services run."),
        click.option(
            "-o",
            "--out",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="A folder of its own for the artifacts; in a project, that of the environment's manifest.",
        ),
        click.option(
            "--project", default="esb", show_default=True, metavar="NAME", help="Starts the names of images."
        ),
        _pairs("-p", "--parameter", "parameters", "NAME=VALUE", "The value of a parameter of a template."),
        _pairs("--image-uri", "image_uris", "FUNCTION=IMAGE", "The image of an image function."),
        _pairs(
            "--image-runtime", "image_runtimes", "FUNCTION=RUNTIME", "Its language: python, java17 or java21."
        ),
        click.option(
            "--matrix",
            metavar="FILE",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="The matrix, where it is not in its usual place.",
        ),
        click.option("--force", is_flag=True, help="Overwrite what was changed by hand in generated files."),
    ]
    for option in reversed(options):
        run = option(run)
    return run  # type: ignore[return-value]


def _pairs(*declared: str) -> Callable[[Any], Any]:
    *names, form, text = declared
    left = form.partition("=")[0]

    def read(_ctx: click.Context, _option: click.Parameter, given: Sequence[str]) -> dict[str, str]:
        pairs = {}
        for item in given:
            name, equals, value = item.partition("=")
            if not equals or not name.strip():
                raise click.BadParameter(f"{item!r} is not {form}")
            if name in pairs:
                raise click.BadParameter(f"{left} {name} is given twice")
            pairs[name.strip()] = value
        return pairs

    return click.option(*names, metavar=form, multiple=True, callback=read, help=text)


def _generation(
    *,
    templates: Sequence[Path],
    env: str,
    mode: str,
    out: Path | None,
    project: str,
    parameters: dict[str, str],
    image_uris: dict[str, str],
    image_runtimes: dict[str, str],
    force: bool,
    matrix: Path | None,
) -> Generation:
    found = _matrix(matrix)
    entry = _entry(found, env) if out is None else None
    if entry is not None:
        image_uris = {**entry.image_uri_overrides, **image_uris}
        image_runtimes = {**entry.image_runtime_overrides, **image_runtimes}
    own = entry.artifact_manifest if entry is not None else None
    folder = out or (own.parent if own is not None else None)
    if folder is None:
        where = "this is no project" if found is None else f"the matrix has no manifest for {env}"
        raise UserError(f"no folder is known for the artifacts: {where}", "name one with --out")
    return Generation(
        templates=templates,
        env=env,
        mode=mode,
        project=project,
        folder=folder,
        base=found.root if found is not None else Path.cwd(),
        overrides={"parameters": parameters, "image_uris": image_uris, "image_runtimes": image_runtimes},
        force=force,
        matrix=found,
        entry=entry,
    )


def _matrix(given: Path | None) -> "Matrix | None":
    """Return the matrix that was named, else the nearest one in its usual place, at or above this folder."""
    from esb_e2e_plugin.matrix import load_matrix

    if given is not None:
        return load_matrix(given)
    here = Path.cwd()
    usual = (folder / MATRIX_LOCATION for folder in (here, *here.parents))
    found = next((path for path in usual if path.is_file()), None)
    return load_matrix(found) if found is not None else None


def _entry(matrix: "Matrix | None", env: str) -> "Entry | None":
    entries = matrix.entries if matrix is not None else ()
    return next((entry for entry in entries if entry.name.casefold() == env.casefold()), None)
