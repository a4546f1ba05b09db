"""The options: command line, ini file and environment variables. `settings` makes frozen values of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from esb_e2e_plugin.errors import UserError

COMMAND_LINE = "command line"
ENVIRONMENT_VARIABLE = "ESB_ENV"
MATRIX_LOCATION = Path("e2e", "environments", "test_matrix.yaml")

Kind = Literal["names", "name", "targets", "path", "flag", "count", "seconds"]


# Every pytest run imports this module: a plain class costs a third of a dataclass.
class Option:
    """One option, and the names that it has in each place.

    Attributes:
        name: its name, such as `log_lines`.
        kind: what its value is.
        help: what it does.
        metavar: what its value is called in the help.
        default: the value where none is given.
    """

    def __init__(
        self, name: str, kind: Kind, text: str, metavar: str | None = None, default: float | None = None
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = text
        self.metavar = metavar
        self.default = default

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--esb-" + self.name.replace("_", "-")

    @property
    def dest(self) -> str:
        """The key in the ini file."""
        return f"esb_{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"ESB_{self.name.upper()}"


PROFILE = Option(
    "profile", "names", "run on this environment of the matrix; 'all' for every enabled one", "NAME"
)
OPTIONS = (
    PROFILE,
    Option("env", "name", "name of the instance, with one profile (default: the profile's name)", "NAME"),
    Option("suffix", "name", "bring up an instance of its own of each profile, named PROFILE-S", "S"),
    Option(
        "matrix", "path", f"the matrix of environments (default: {MATRIX_LOCATION} under the root)", "FILE"
    ),
    Option(
        "root",
        "path",
        "project root that the matrix' paths start from (default: found from the matrix)",
        "DIR",
    ),
    Option("build_only", "flag", "bring environments up, run no test, and leave them running"),
    Option("test_only", "flag", "use environments that are running already, and leave them running"),
    Option(
        "test_target", "targets", "run this path or node id in place of the suites, on one environment", "T"
    ),
    Option("keep", "flag", "leave environments running at the end"),
    Option("keep_failed", "flag", "leave an environment that failed, or whose test failed, as it is"),
    Option("no_cache", "flag", "build every image anew"),
    Option("max_starting", "count", "environments that come up at once (default: by cores and memory)", "N"),
    Option("max_environments", "count", "environments that are there at once; 1: one after the other", "N"),
    Option("log_lines", "count", "lines of the log shown for a failed environment", "N", 40),
    Option("lock_timeout", "seconds", "longest wait for another run's environment, in seconds", "S", 600.0),
    Option("timeout_reset", "seconds", "deadline of the reset phase, in seconds", "S", 60.0),
    Option("timeout_compose", "seconds", "deadline of the compose phase, in seconds", "S", 180.0),
    Option("timeout_deploy", "seconds", "deadline of the deploy phase, in seconds", "S", 600.0),
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


def add_options(parser: pytest.Parser) -> None:
    """Register every option with its ini key in one group."""
    group = parser.getgroup("esb")
    for option in OPTIONS:
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
    value, source = find(config, environ, PROFILE)
    return names_in(value, PROFILE.flag if source == COMMAND_LINE else source)


def names_instance(config: pytest.Config, environ: Mapping[str, str]) -> bool:
    """Tell whether `ESB_ENV` may name an entry of a matrix: where there is none, it means something else."""
    if ENVIRONMENT_VARIABLE not in environ:
        return False
    named = any(find(config, environ, option)[0] for option in OPTIONS if option.name in ("matrix", "root"))
    return named or (config.rootpath / MATRIX_LOCATION).is_file()


def needs_profile(config: pytest.Config) -> bool:
    """Tell whether the command line holds an option that says nothing without an environment."""
    option = config.option
    return bool(option.esb_build_only or option.esb_test_only or option.esb_test_target)


def find(config: pytest.Config, environ: Mapping[str, str], option: Option) -> tuple[Any, str]:
    """Return the first value that is given, and its source; None when there is none.

    Args:
        config: The configuration, also the early one of `pytest_load_initial_conftests`.
        environ: The environment variables of this process.
        option: What to look for.

    Raises:
        UserError: The ini value has a wrong type.
    """
    # Before conftest files are loaded only the namespace of known arguments is filled.
    for namespace in (config.option, config.known_args_namespace):
        if (given := getattr(namespace, option.dest, None)) is not None:
            return given, COMMAND_LINE
    given = environ.get(option.variable, "")
    if given.strip():
        return given, f"environment {option.variable}"
    source = f"ini {option.dest}"
    try:
        given = config.getini(option.dest)
    except (ValueError, TypeError, pytest.UsageError) as error:
        raise UserError(f"{source}: {error}", f"expected {expected(option)}") from error
    return (None if given in ("", []) else given), source


def names_in(raw: str | Iterable[str] | None, label: str) -> tuple[str, ...]:
    """Return the names of comma lists, each one once without regard to case.

    Args:
        raw: What was given; None for nothing.
        label: Where it was given, for the message.

    Raises:
        UserError: Something was given that names nothing.
    """
    lines = (raw,) if isinstance(raw, str) else raw or ()
    names = (name.strip() for line in lines for name in line.replace("\n", ",").split(","))
    unique: dict[str, str] = {}
    for name in names:
        if name:
            unique.setdefault(name.casefold(), name)
    if raw is not None and not unique:
        raise UserError(f"{label}: names no profile", "give a name of the matrix, or 'all'")
    return tuple(unique.values())


def expected(option: Option) -> str:
    """Return what a value of an option is, for a message."""
    return {
        "names": "a list of names",
        "name": "a name",
        "targets": "a list of paths or node ids",
        "path": "a path",
        "flag": "true or false",
        "count": "a whole number of at least 1",
        "seconds": "a number of seconds greater than 0",
    }[option.kind]
