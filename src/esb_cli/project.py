"""Which project a command is about, and which environment of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from esb_cli.ini import Ini, find_ini
from esb_e2e_plugin.context import environment_paths, states_folder
from esb_e2e_plugin.environment import Paths
from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.matrix import Matrix, load_matrix
from esb_e2e_plugin.options import ENVIRONMENT_VARIABLE, MATRIX_LOCATION, PROFILE, Option, find, names_in
from esb_e2e_plugin.planner import Plan, Scenario, plan
from esb_e2e_plugin.settings import Settings, read_settings
from esb_e2e_plugin.store import StateFile

DEFAULT_ENVIRONMENT: Final = "default"
DEFAULT_PROFILE: Final = "e2e-local"

# What pytest alone can be asked for: a variable that asks it means nothing to a command.
_OF_PYTEST = frozenset({"suffix", "test_only", "test_target", "keep", "build_only", "reuse"})


@dataclass(frozen=True)
class Asked:
    """What a command was asked for; `options.Given` of a command.

    Attributes:
        folder: Where it was called.
        ini: The options of the ini file.
        options: Values by the option's name, such as `timeout_compose`.
    """

    folder: Path
    ini: Ini
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ini_folder(self) -> Path:
        """Where paths of the ini file start."""
        return self.ini.folder

    def on_command_line(self, option: Option) -> Any:
        """Return what the command line says."""
        return self.options.get(option.name)

    def in_ini(self, option: Option) -> Any:
        """Return what the ini file says."""
        return None if option.name in {*_OF_PYTEST, "env"} else self.ini.values.get(option.dest)


@dataclass(frozen=True)
class Project:
    """A project with a matrix.

    Attributes:
        matrix: Its environments.
        asked: What the command was asked for.
        environ: The caller's variables, without those that mean something to pytest alone.
    """

    matrix: Matrix
    asked: Asked
    environ: Mapping[str, str]

    @property
    def root(self) -> Path:
        """The project root."""
        return self.matrix.root

    def environments(self) -> list[str]:
        """Return the names of the environments that have a state, sorted."""
        folder = states_folder(self.root)
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in found if (path / "state.json").is_file())

    def target(self, env: str | None, profile: str | None = None) -> "Target":
        """Return an environment of the project, whether or not it is there.

        Args:
            env: Its name; None for the one of `ESB_ENV`, else `default`.
            profile: The entry of the matrix that it is made from; None for what its name, its state, the
                variables and the ini file say.

        Raises:
            UserError: There is no such profile, or the environment was made from another one.
        """
        name = (env or self.environ.get(ENVIRONMENT_VARIABLE, "").strip() or DEFAULT_ENVIRONMENT).strip()
        known = {entry.name.casefold(): entry.name for entry in self.matrix.entries}
        made_from = StateFile(states_folder(self.root) / name.lower()).profile()
        if made_from is not None and profile is not None and made_from.casefold() != profile.casefold():
            raise UserError(
                f"environment {name} was made from {made_from}, not from {profile}",
                f"choose another name, or take it down: esb down --env {name}",
            )
        chosen = profile or known.get(name.casefold()) or made_from or self._usual_profile()
        options = {**self.asked.options, "profile": [chosen], "env": name}
        settings = replace(read_settings(replace(self.asked, options=options), self.environ), build_only=True)
        planned = plan(self.matrix, settings.profiles, instance_of=settings.instance_of)
        return Target(self, settings, planned)

    def _usual_profile(self) -> str:
        given, source = find(self.asked, self.environ, PROFILE)
        names = () if given is None else names_in(given, source)
        if len(names) > 1:
            raise UserError(f"{source} names several profiles: {', '.join(names)}", "name one with --profile")
        return names[0] if names else DEFAULT_PROFILE


@dataclass(frozen=True)
class Target:
    """The environment that a command is about.

    Attributes:
        project: Its project.
        settings: The options of a run of it.
        plan: A plan with its scenario alone.
    """

    project: Project
    settings: Settings
    plan: Plan

    @property
    def scenario(self) -> Scenario:
        """What it runs."""
        return self.plan.scenarios[0]

    @property
    def name(self) -> str:
        """Its name, in lower case."""
        return self.scenario.name

    @cached_property
    def paths(self) -> Paths:
        """Its files and folders."""
        return environment_paths(self.scenario, self.project.root)

    @property
    def state(self) -> StateFile:
        """Its state file."""
        return StateFile(self.paths.state)


def find_project(
    matrix: Path | None, environ: Mapping[str, str], folder: Path, options: Mapping[str, Any] | None = None
) -> Project:
    """Return the project that a command is about.

    Args:
        matrix: The matrix that was named; None for that of the variables, of the ini file, or of the
            nearest project in `folder` or above it.
        environ: The caller's variables.
        folder: Where the command was called.
        options: Values by the option's name.

    Raises:
        UserError: There is no matrix.
    """
    own = {name: value for name, value in environ.items() if name not in _VARIABLES_OF_PYTEST}
    ini = find_ini(folder if matrix is None else (folder / matrix).parent)
    asked = Asked(folder, ini, {**(options or {}), "matrix": None if matrix is None else str(matrix)})
    settings = read_settings(asked, {**own, ENVIRONMENT_VARIABLE: ""})
    path = settings.matrix or _usual_matrix(settings.root, folder)
    if path is None:
        raise UserError(
            f"no project here: there is no {MATRIX_LOCATION} in {folder} or above it",
            "go into a project, or name its matrix with --matrix FILE",
        )
    if not path.is_file():
        raise UserError(f"there is no matrix at {path}", "name it with --matrix FILE")
    return Project(load_matrix(path, settings.root), asked, own)


_VARIABLES_OF_PYTEST = frozenset(f"ESB_{name.upper()}" for name in _OF_PYTEST)


def _usual_matrix(root: Path | None, folder: Path) -> Path | None:
    folders = (folder, *folder.parents) if root is None else (root,)
    return next((path for each in folders if (path := each / MATRIX_LOCATION).is_file()), None)
