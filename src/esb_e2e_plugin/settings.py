"""What the user asked for, read once into one frozen record."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from esb_e2e_plugin.errors import UserError, nearest
from esb_e2e_plugin.options import (
    COMMAND_LINE,
    LISTS,
    MATRIX_LOCATION,
    OPTIONS,
    Given,
    Option,
    expected,
    find,
    names_in,
)

_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,24}")
_NO_DEADLINE_SECONDS = 1e6  # eleven days: what waits cannot wait for infinity
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})

REPORT_SUFFIXES = (".html", ".json")
"""What the name of a report may end in."""


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
        keep_failed: Leave the environments that failed as they are.
        reuse: Take environments that an earlier run left, redo what changed, and leave them up at the end.
        no_cache: Build every image anew.
        max_starting: Environments that come up at once; None for what the machine can do.
        max_environments: Environments that are there at once; None for any number.
        log_lines: Lines of the log in the summary of a failed environment.
        reports: Files to write a report of the run to, absolute; what each ends in is its format.
        output: How the run is shown: "auto", "live", "plain", "stream" or "quiet".
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
    keep_failed: bool
    reuse: bool
    no_cache: bool
    max_starting: int | None
    max_environments: int | None
    log_lines: int
    reports: tuple[Path, ...]
    output: str
    lock_timeout: float
    timeout_reset: float
    timeout_compose: float
    timeout_deploy: float
    sources: Mapping[str, str] = field(hash=False)

    @property
    def leaves_running(self) -> bool:
        """Whether environments that came up outlive the run."""
        return self.keep or self.build_only or self.reuse

    @property
    def single_profile(self) -> bool:
        """Whether exactly one environment is named."""
        return len(self.profiles) == 1 and self.profiles[0].casefold() != "all"

    def instance_of(self, profile: str) -> str:
        """Return the name of a profile's instance, in lower case."""
        return (self.env or (f"{profile}-{self.suffix}" if self.suffix else profile)).lower()

    def without_deadlines(self) -> Settings:
        """Return these settings with all the time that a person at a debugger may need."""
        return replace(
            self,
            lock_timeout=_NO_DEADLINE_SECONDS,
            timeout_reset=_NO_DEADLINE_SECONDS,
            timeout_compose=_NO_DEADLINE_SECONDS,
            timeout_deploy=_NO_DEADLINE_SECONDS,
        )

    def matrix_path(self, rootpath: Path) -> Path:
        """Return the matrix file: the one named, else the usual place under the root or `rootpath`."""
        return self.matrix or (self.root or rootpath) / MATRIX_LOCATION


def read_settings(given: Given, environ: Mapping[str, str]) -> Settings:
    """Read and check every option: command line, environment, ini file, default, in this order.

    Args:
        given: What the user gave.
        environ: The environment variables of this process.

    Raises:
        UserError: A value is malformed or two options contradict each other.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in OPTIONS:
        raw, source = find(given, environ, option)
        attribute = option.name + "s" if option.kind in LISTS else option.name
        values[attribute] = _parse(option, raw, source, given)
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
    if settings.reuse and settings.test_only:
        raise UserError(
            f"--esb-reuse ({sources['reuse']}) and --esb-test-only ({sources['test_only']}) contradict each "
            "other: the one redoes what changed, the other changes nothing",
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


def _parse(option: Option, raw: Any, source: str, given: Given) -> Any:
    label = option.flag if source == COMMAND_LINE else source
    match option.kind:
        case "names":
            return names_in(raw, label)
        case "name":
            return None if raw is None else _name(raw, label)
        case "targets":
            return _targets(raw or (), label, _base(given, source))
        case "path":
            return None if raw is None else _path(raw, label, _base(given, source))
        case "reports":
            return _reports(raw or (), label, _base(given, source))
        case "flag":
            return _truth(raw, label)
        case "choice":
            return option.default if raw is None else _choice(option, raw, label)
        case _:
            return option.default if raw is None else _number(option, raw, label)


def _name(raw: str, label: str) -> str:
    name = raw.strip()
    if not _INSTANCE.fullmatch(name):
        raise UserError(
            f"{label}: {raw!r} is no name for an environment",
            "expected at most 25 letters, digits, '-' and '_', a letter or digit first",
        )
    return name


def _choice(option: Option, raw: str, label: str) -> str:
    word = raw.strip().casefold()
    if word not in option.choices:
        near = nearest(word, option.choices)
        hint = f"; did you mean {near!r}?" if near is not None else ""
        raise UserError(f"{label}: {raw!r} is not {expected(option)}{hint}")
    return word


def _targets(raw: str | Iterable[str], label: str, base: Path) -> tuple[str, ...]:
    targets: dict[str, None] = {}
    for target in filter(str.strip, raw.split("\n")) if isinstance(raw, str) else raw:
        path, separator, rest = target.strip().partition("::")
        targets[f"{_path(path, label, base)}{separator}{rest}"] = None
    return tuple(targets)


def _reports(raw: str | Iterable[str], label: str, base: Path) -> tuple[Path, ...]:
    paths = [
        _path(name, label, base)
        for name in (raw.split("\n") if isinstance(raw, str) else raw)
        if name.strip()
    ]
    for path in paths:
        if path.suffix not in REPORT_SUFFIXES:
            raise UserError(
                f"{label}: {path}: unknown suffix {path.suffix!r}",
                f"name a file that ends in {' or '.join(REPORT_SUFFIXES)}",
            )
    return tuple(dict.fromkeys(paths))


def _path(raw: str, label: str, base: Path) -> Path:
    if not raw.strip() or "\0" in raw:
        raise UserError(f"{label}: {raw!r} is no path")
    return Path(os.path.normpath(base / raw.strip()))


def _base(given: Given, source: str) -> Path:
    return given.ini_folder if source.startswith("ini ") else given.folder


def _truth(raw: str | bool | None, label: str) -> bool:
    if raw is None or isinstance(raw, bool):
        return bool(raw)
    word = raw.strip().casefold()
    if word not in _TRUE | _FALSE:
        raise UserError(
            f"{label}: {raw!r} is neither true nor false", "expected 1, true, yes, on, 0, false, no or off"
        )
    return word in _TRUE


def _number(option: Option, raw: str | float, label: str) -> int | float:
    try:
        number = int(raw) if option.kind == "count" else float(raw)
    except (ValueError, OverflowError):
        number = math.nan
    if not (0 < number < math.inf):
        raise UserError(f"{label}: {raw!r} is not {expected(option)}")
    return number
