"""The options: command line, ini file and environment variables. `settings` makes frozen values of them.

Who asks for them is somebody else: pytest in `pytest_options`, or a command of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from esb_e2e_plugin.errors import UserError

COMMAND_LINE = "command line"
ENVIRONMENT_VARIABLE = "ESB_ENV"
MATRIX_LOCATION = Path("e2e", "environments", "test_matrix.yaml")

Kind = Literal["names", "name", "targets", "path", "reports", "flag", "count", "seconds", "choice"]


# Every pytest run imports this module: a plain class costs a third of a dataclass.
class Option:
    """One option, and the names that it has in each place.

    Attributes:
        name: its name, such as `log_lines`.
        kind: what its value is.
        help: what it does.
        metavar: what its value is called in the help.
        default: the value where none is given.
        choices: what a choice may be.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        text: str,
        metavar: str | None = None,
        default: float | str | None = None,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = text
        self.metavar = metavar
        self.default = default
        self.choices = choices

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


OUTPUTS = ("auto", "live", "plain", "stream", "quiet")
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
    Option(
        "reuse",
        "flag",
        "take environments that an earlier run left, redo what changed, and leave them running",
    ),
    Option("no_cache", "flag", "build every image anew"),
    Option("max_starting", "count", "environments that come up at once (default: by cores and memory)", "N"),
    Option("max_environments", "count", "environments that are there at once; 1: one after the other", "N"),
    Option("log_lines", "count", "lines of the log shown for a failed environment", "N", 40),
    Option("report", "reports", "write a report of the run, .html to look at or .json; repeatable", "FILE"),
    Option(
        "output",
        "choice",
        "auto: live on a terminal with several environments, stream with -v, quiet with -q, else plain",
        "|".join(OUTPUTS),
        "auto",
        OUTPUTS,
    ),
    Option("lock_timeout", "seconds", "longest wait for another run's environment, in seconds", "S", 600.0),
    Option("timeout_reset", "seconds", "deadline of the reset phase, in seconds", "S", 60.0),
    Option("timeout_compose", "seconds", "deadline of the compose phase, in seconds", "S", 180.0),
    Option("timeout_deploy", "seconds", "deadline of the deploy phase, in seconds", "S", 600.0),
)
LISTS = frozenset({"names", "targets", "reports"})
"""Kinds whose options are repeatable; settings give their attributes a plural."""


class Given(Protocol):
    """What a user gave to the program that reads the options."""

    @property
    def folder(self) -> Path:
        """Where paths of the command line and of variables start."""

    @property
    def ini_folder(self) -> Path:
        """Where paths of the ini file start."""

    def on_command_line(self, option: Option) -> Any:
        """Return what the command line says; None where it says nothing."""

    def in_ini(self, option: Option) -> Any:
        """Return what the ini file says; None, or something empty, where it says nothing.

        Raises:
            UserError: the value has a wrong type.
        """


def find(given: Given, environ: Mapping[str, str], option: Option) -> tuple[Any, str]:
    """Return the first value that is given, and its source; None when there is none.

    Args:
        given: What the user gave.
        environ: The environment variables of this process.
        option: What to look for.

    Raises:
        UserError: The ini value has a wrong type.
    """
    if (value := given.on_command_line(option)) is not None:
        return value, COMMAND_LINE
    text = environ.get(option.variable, "")
    if text.strip():
        return text, f"environment {option.variable}"
    value = given.in_ini(option)
    return (None if value in ("", []) else value), f"ini {option.dest}"


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
        "reports": "a list of files",
        "choice": f"one of {', '.join(option.choices)}",
        "flag": "true or false",
        "count": "a whole number of at least 1",
        "seconds": "a number of seconds greater than 0",
    }[option.kind]
