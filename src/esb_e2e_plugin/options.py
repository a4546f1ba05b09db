"""Command line, ini file and environment variables, read once into frozen settings."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from esb_e2e_plugin.errors import UserError

ENVIRONMENT_VARIABLE = "ESB_ENV"
MATRIX_LOCATION = Path("e2e", "environments", "test_matrix.yaml")

_Kind = Literal["names", "name", "targets", "path", "flag", "count", "seconds"]

_INSTANCE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,24}"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


# Every pytest run imports this module: a plain class costs a third of a dataclass.
class _Option:
    def __init__(
        self, name: str, kind: _Kind, text: str, metavar: str | None = None, default: float | None = None
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = text
        self.metavar = metavar
        self.default = default

    @property
    def flag(self) -> str:
        return "--esb-" + self.name.replace("_", "-")

    @property
    def dest(self) -> str:
        return f"esb_{self.name}"

    @property
    def variable(self) -> str:
        return f"ESB_{self.name.upper()}"


_PROFILE = _Option(
    "profile", "names", "run on this environment of the matrix; 'all' for every enabled one", "NAME"
)
_OPTIONS = (
    _PROFILE,
    _Option("env", "name", "name of the instance, with one profile (default: the profile's name)", "NAME"),
    _Option("suffix", "name", "bring up an instance of its own of each profile, named PROFILE-S", "S"),
    _Option(
        "matrix", "path", f"the matrix of environments (default: {MATRIX_LOCATION} under the root)", "FILE"
    ),
    _Option(
        "root",
        "path",
        "project root that the matrix' paths start from (default: found from the matrix)",
        "DIR",
    ),
    _Option("build_only", "flag", "bring environments up, run no test, and leave them running"),
    _Option("test_only", "flag", "use environments that are running already, and leave them running"),
    _Option(
        "test_target", "targets", "run this path or node id in place of the suites, on one environment", "T"
    ),
    _Option("keep", "flag", "leave environments running at the end"),
    _Option("no_cache", "flag", "build every image anew"),
    _Option("log_lines", "count", "lines of the log shown for a failed environment", "N", 40),
    _Option("lock_timeout", "seconds", "longest wait for another run's environment, in seconds", "S", 600.0),
    _Option("timeout_reset", "seconds", "deadline of the reset phase, in seconds", "S", 60.0),
    _Option("timeout_compose", "seconds", "deadline of the compose phase, in seconds", "S", 180.0),
    _Option("timeout_deploy", "seconds", "deadline of the deploy phase, in seconds", "S", 600.0),
)
_INI_TYPES: Mapping[str, Literal["linelist", "string", "bool", "int", "float"]] = {
    "names": "linelist",
    "name": "string",
    "targets": "linelist",
    "path": "string",
    "flag": "bool",
    "count": "int",
    "seconds": "float",
}


@dataclass(frozen=True)
class Settings:
    """What the user asked for, with where each value came from.

    Attributes:
        profiles: Names as given, without repetition (compared without case).
        env: Name of the instance of the one profile; None for the profile's own.
        suffix: Makes an instance of its own of each profile; None for none.
        matrix: The matrix file, absolute; None for its usual place (see `matrix_path`).
        root: The project root, absolute; None to find it from the matrix.
        build_only: Stop after the deploy phase and leave the environments up.
        test_only: Use running environments, and leave them as they are.
        test_targets: Absolute paths or node ids that replace suites and path arguments.
        keep: Leave the environments up at the end.
        no_cache: Build every image anew.
        log_lines: Lines of the log in the summary of a failed environment.
        lock_timeout: Longest wait for an environment's lock, in seconds.
        timeout_reset: Deadline of the reset phase, in seconds.
        timeout_compose: Deadline of the compose phase, in seconds.
        timeout_deploy: Deadline of the deploy phase, in seconds.
        sources: For each field: "command line", "environment ESB_X", "ini esb_x" or "default".
    """

    profiles: tuple[str, ...]
    env: str | None
    suffix: str | None
    matrix: Path | None
    root: Path | None
    build_only: bool
    test_only: bool
    test_targets: tuple[str, ...]
    keep: bool
    no_cache: bool
    log_lines: int
    lock_timeout: float
    timeout_reset: float
    timeout_compose: float
    timeout_deploy: float
    sources: Mapping[str, str] = field(hash=False)

    @property
    def single_profile(self) -> bool:
        """Whether exactly one environment is named."""
        return len(self.profiles) == 1 and self.profiles[0].casefold() != "all"

    def instance_of(self, profile: str) -> str:
        """Return the name of a profile's instance, in lower case."""
        return (self.env or (f"{profile}-{self.suffix}" if self.suffix else profile)).lower()

    def matrix_path(self, rootpath: Path) -> Path:
        """Return the matrix file: the one named, else the usual place under the root or `rootpath`."""
        return self.matrix or (self.root or rootpath) / MATRIX_LOCATION


def add_options(parser: pytest.Parser) -> None:
    """Register every option with its ini key in one group."""
    group = parser.getgroup("esb")
    for option in _OPTIONS:
        text = f"{option.help} [{option.variable}]"
        if option.default is not None:
            text = f"{option.help} (default: {option.default:g}) [{option.variable}]"
        if option.kind == "flag":
            group.addoption(option.flag, dest=option.dest, action="store_true", default=None, help=text)
        else:
            action = "append" if option.kind in ("names", "targets") else "store"
            group.addoption(
                option.flag, dest=option.dest, action=action, default=None, metavar=option.metavar, help=text
            )
        parser.addini(option.dest, f"as {option.flag}", type=_INI_TYPES[option.kind], default=None)


def profiles_named(config: pytest.Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the profiles that are named, cheaply and already before conftest files are loaded.

    Args:
        config: The configuration, also the early one of `pytest_load_initial_conftests`.
        environ: The environment variables of this process.

    Raises:
        UserError: The value has a wrong type, or names nothing.
    """
    value, source = _find(config, environ, _PROFILE)
    names: tuple[str, ...] = _parse(_PROFILE, value, source, config)
    return names


def needs_profile(config: pytest.Config) -> bool:
    """Tell whether the command line holds an option that says nothing without an environment."""
    option = config.option
    return bool(option.esb_build_only or option.esb_test_only or option.esb_test_target)


def read_settings(config: pytest.Config, environ: Mapping[str, str]) -> Settings:
    """Read and check every option: command line, environment, ini file, default, in this order.

    Args:
        config: The configuration, after options are parsed.
        environ: The environment variables of this process.

    Raises:
        UserError: A value is malformed or two options contradict each other.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in _OPTIONS:
        raw, source = _find(config, environ, option)
        attribute = option.name + "s" if option.kind in ("names", "targets") else option.name
        values[attribute] = _parse(option, raw, source, config)
        sources[attribute] = source if raw is not None else "default"
    settings = Settings(**values, sources=sources)
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    sources = settings.sources
    if settings.build_only and settings.test_only:
        raise UserError(
            f"--esb-build-only ({sources['build_only']}) and --esb-test-only ({sources['test_only']}) "
            "contradict each other",
            "give one of them",
        )
    if settings.env and settings.suffix:
        raise UserError(
            f"--esb-env ({sources['env']}) and --esb-suffix ({sources['suffix']}) both name the instance",
            "give one of them",
        )
    if settings.env and settings.profiles and not settings.single_profile:
        raise UserError(
            f"--esb-env ({sources['env']}) names one instance, but these profiles are selected: "
            f"{', '.join(settings.profiles)}",
            "name one with --esb-profile, or give --esb-suffix",
        )
    if settings.test_targets and not settings.single_profile:
        given = ", ".join(settings.profiles) or "none"
        raise UserError(
            f"--esb-test-target ({sources['test_targets']}) needs exactly one profile, got {given}",
            "name one with --esb-profile",
        )


def _find(config: pytest.Config, environ: Mapping[str, str], option: _Option) -> tuple[Any, str]:
    """Return the first value that is given, and its source; None when there is none."""
    # Before conftest files are loaded only the namespace of known arguments is filled.
    for namespace in (config.option, config.known_args_namespace):
        if (given := getattr(namespace, option.dest, None)) is not None:
            return given, "command line"
    given = environ.get(option.variable, "")
    if given.strip():
        return given, f"environment {option.variable}"
    source = f"ini {option.dest}"
    try:
        given = config.getini(option.dest)
    except (ValueError, TypeError, pytest.UsageError) as error:
        raise UserError(f"{source}: {error}", f"expected {_expected(option)}") from error
    return (None if given in ("", []) else given), source


def _parse(option: _Option, raw: Any, source: str, config: pytest.Config) -> Any:
    label = option.flag if source == "command line" else source
    match option.kind:
        case "names":
            names = _names(raw or ())
            if raw is not None and not names:
                raise UserError(f"{label}: names no profile", "give a name of the matrix, or 'all'")
            return names
        case "name":
            return None if raw is None else _name(raw, label)
        case "targets":
            return _targets(raw or (), label, _base(config, source))
        case "path":
            return None if raw is None else _path(raw, label, _base(config, source))
        case "flag":
            return _truth(raw, label)
        case _:
            return option.default if raw is None else _number(option, raw, label)


def _names(raw: str | Iterable[str]) -> tuple[str, ...]:
    lines = (raw,) if isinstance(raw, str) else raw
    names = (name.strip() for line in lines for name in line.replace("\n", ",").split(","))
    unique: dict[str, str] = {}
    for name in names:
        if name:
            unique.setdefault(name.casefold(), name)
    return tuple(unique.values())


def _name(raw: str, label: str) -> str:
    name = raw.strip()
    if not re.fullmatch(_INSTANCE, name):
        raise UserError(
            f"{label}: {raw!r} is no name for an environment",
            "expected at most 25 letters, digits, '-' and '_', a letter or digit first",
        )
    return name


def _targets(raw: str | Iterable[str], label: str, base: Path) -> tuple[str, ...]:
    targets: dict[str, None] = {}
    for target in filter(str.strip, raw.split("\n")) if isinstance(raw, str) else raw:
        path, separator, rest = target.strip().partition("::")
        targets[f"{_path(path, label, base)}{separator}{rest}"] = None
    return tuple(targets)


def _path(raw: str, label: str, base: Path) -> Path:
    if not raw.strip() or "\0" in raw:
        raise UserError(f"{label}: {raw!r} is no path")
    return Path(os.path.normpath(base / raw.strip()))


def _base(config: pytest.Config, source: str) -> Path:
    if not source.startswith("ini "):
        return config.invocation_params.dir
    return config.rootpath if config.inipath is None else config.inipath.parent


def _truth(raw: str | bool | None, label: str) -> bool:
    if raw is None or isinstance(raw, bool):
        return bool(raw)
    word = raw.strip().casefold()
    if word not in _TRUE | _FALSE:
        raise UserError(
            f"{label}: {raw!r} is neither true nor false", "expected 1, true, yes, on, 0, false, no or off"
        )
    return word in _TRUE


def _number(option: _Option, raw: str | float, label: str) -> int | float:
    try:
        number = int(raw) if option.kind == "count" else float(raw)
    except (ValueError, OverflowError):
        number = math.nan
    if not (0 < number < math.inf):
        raise UserError(f"{label}: {raw!r} is not {_expected(option)}")
    return number


def _expected(option: _Option) -> str:
    return {
        "names": "a list of names",
        "name": "a name",
        "targets": "a list of paths or node ids",
        "path": "a path",
        "flag": "true or false",
        "count": "a whole number of at least 1",
        "seconds": "a number of seconds greater than 0",
    }[option.kind]
