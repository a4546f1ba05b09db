"""The options of a pytest session: what registers them, and where pytest keeps what was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.options import (
    COMMAND_LINE,
    ENVIRONMENT_VARIABLE,
    LISTS,
    MATRIX_LOCATION,
    OPTIONS,
    PROFILE,
    Option,
    expected,
    find,
    names_in,
)

_INI_TYPES: Mapping[str, Literal["linelist", "string", "bool", "int", "float"]] = {
    "names": "linelist",
    "name": "string",
    "targets": "linelist",
    "path": "string",
    "reports": "linelist",
    "flag": "bool",
    "choice": "string",
    "count": "int",
    "seconds": "float",
}


def add_options(parser: pytest.Parser) -> None:
    """Register every option with its ini key in one group."""
    group = parser.getgroup("esb")
    for option in OPTIONS:
        text = f"{option.help} [{option.variable}]"
        if option.default is not None:
            text = f"{option.help} (default: {_shown(option.default)}) [{option.variable}]"
        if option.kind == "flag":
            group.addoption(option.flag, dest=option.dest, action="store_true", default=None, help=text)
        else:
            action = "append" if option.kind in LISTS else "store"
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
    value, source = find(Configured(config), environ, PROFILE)
    return names_in(value, PROFILE.flag if source == COMMAND_LINE else source)


def names_instance(config: pytest.Config, environ: Mapping[str, str]) -> bool:
    """Tell whether `ESB_ENV` may name an entry of a matrix: where there is none, it means something else."""
    if ENVIRONMENT_VARIABLE not in environ:
        return False
    named = any(
        find(Configured(config), environ, option)[0]
        for option in OPTIONS
        if option.name in ("matrix", "root")
    )
    return named or (config.rootpath / MATRIX_LOCATION).is_file()


def needs_profile(config: pytest.Config) -> bool:
    """Tell whether the command line holds an option that says nothing without an environment."""
    option = config.option
    flags = (option.esb_build_only, option.esb_test_only, option.esb_reuse)
    return any(flags) or bool(option.esb_test_target or option.esb_report)


class Configured:
    """What was given to pytest, also early: before conftest files are loaded."""

    def __init__(self, config: pytest.Config) -> None:
        """Look into `config`, also into the early one of `pytest_load_initial_conftests`."""
        self._config = config

    @property
    def folder(self) -> Path:
        """Where pytest was started."""
        return self._config.invocation_params.dir

    @property
    def ini_folder(self) -> Path:
        """Where its ini file lies."""
        config = self._config
        return config.rootpath if config.inipath is None else config.inipath.parent

    def on_command_line(self, option: Option) -> Any:
        """Return what the command line says."""
        # Before conftest files are loaded only the namespace of known arguments is filled.
        for namespace in (self._config.option, self._config.known_args_namespace):
            if (given := getattr(namespace, option.dest, None)) is not None:
                return given
        return None

    def in_ini(self, option: Option) -> Any:
        """Return what the ini file says."""
        try:
            return self._config.getini(option.dest)
        except (ValueError, TypeError, pytest.UsageError) as error:
            raise UserError(f"ini {option.dest}: {error}", f"expected {expected(option)}") from error


def _shown(default: float | str) -> str:
    return default if isinstance(default, str) else f"{default:g}"
