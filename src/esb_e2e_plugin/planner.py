"""What runs where: the matrix and the names the user gave, as a plan of scenarios."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path

from esb_e2e_plugin.matrix import Entry, Matrix, Mode, Suite

TEST_TARGET_SUITE = "--esb-test-target"
LONGEST_NAME = 25


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One environment to run, with the tests that belong to it.

    Attributes:
        entry: Its entry in the matrix.
        name: The instance's name: lower case, part of the name of every resource.
        suites: What runs on it.
    """

    entry: Entry
    name: str
    suites: tuple[Suite, ...]

    @property
    def profile(self) -> str:
        """The entry's name, as node ids carry it."""
        return self.entry.name

    @property
    def targets(self) -> tuple[Path, ...]:
        """Files and folders with its tests, absolute, each one once."""
        return tuple(dict.fromkeys(target for suite in self.suites for target in suite.targets))

    def covers(self, path: Path) -> bool:
        """Tell whether a file's tests belong to this environment: in a suite's targets and not excluded."""
        real = os.path.realpath(path)
        return any(_inside(real, targets) and not _inside(real, exclude) for targets, exclude in self._areas)

    @cached_property
    def _areas(self) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
        return tuple((_real(suite.targets), _real(suite.exclude)) for suite in self.suites)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that was selected.

    Attributes:
        scenarios: The environments, as they were named.
        root: The project root.
        port_base: The first host port that environments may use.
        subnet_pool: The network that environments' networks are taken from.
        matrix_digest: Digest of the matrix that the plan was made from.
        arguments: What pytest is to collect when the command line names no path: paths and node ids.
        known_targets: Every target of the matrix, absolute, whether selected or not.
    """

    scenarios: tuple[Scenario, ...]
    root: Path
    port_base: int
    subnet_pool: IPv4Network
    matrix_digest: str
    arguments: tuple[str, ...]
    known_targets: tuple[Path, ...]
    _by_path: dict[Path, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The profiles, in the order of the plan."""
        return tuple(scenario.profile for scenario in self.scenarios)

    def mode_of(self, profile: str) -> Mode:
        """Return what drives the services of a profile of this plan."""
        return next(scenario.entry.mode for scenario in self.scenarios if scenario.profile == profile)

    def targets(self) -> tuple[Path, ...]:
        """Return the files and folders with the tests of all scenarios, each one once."""
        return tuple(dict.fromkeys(target for scenario in self.scenarios for target in scenario.targets))

    def environments_for(self, path: Path) -> tuple[str, ...]:
        """Return the profiles that a test in `path` runs on, in the order of the plan.

        These are the ones whose suites contain the file; for a file outside every target of the matrix, all.
        """
        found = self._by_path.get(path)
        if found is None:
            found = self._by_path[path] = self._environments_for(path)
        return found

    def _environments_for(self, path: Path) -> tuple[str, ...]:
        covering = tuple(scenario.profile for scenario in self.scenarios if scenario.covers(path))
        if covering or _inside(os.path.realpath(path), self._known):
            return covering
        return self.names

    @cached_property
    def _known(self) -> tuple[str, ...]:
        return _real(self.known_targets)


def plan(
    matrix: Matrix,
    names: Sequence[str],
    *,
    test_targets: Sequence[str] = (),
    instance_of: Callable[[str], str] = str.lower,
) -> Plan:
    """Plan a run.

    Args:
        matrix: The matrix.
        names: The profiles, compared without case; `all` for every enabled one.
        test_targets: Absolute paths or node ids that take the place of the suites.
        instance_of: Returns the name of a profile's instance.

    Raises:
        MatrixError: A name is not in the matrix, nothing is enabled, the name of an instance is too long, or
            two instances would share a folder.
    """
    scenarios = tuple(
        Scenario(
            entry=entry,
            name=_instance(matrix, entry, instance_of(entry.name)),
            suites=_suites(matrix, entry, test_targets),
        )
        for entry in matrix.select(names)
    )
    targets = dict.fromkeys(str(target) for scenario in scenarios for target in scenario.targets)
    return Plan(
        scenarios=scenarios,
        root=matrix.root,
        port_base=matrix.port_base,
        subnet_pool=matrix.subnet_pool,
        matrix_digest=matrix.digest,
        arguments=tuple(test_targets) or tuple(targets),
        known_targets=tuple(target for suite in matrix.suites.values() for target in suite.targets),
    )


def _instance(matrix: Matrix, entry: Entry, name: str) -> str:
    problem = None
    if len(name) > LONGEST_NAME:
        problem = f"its instance {name!r} has more than {LONGEST_NAME} characters"
    elif any(name == other.name.lower() for other in matrix.entries if other is not entry):
        problem = f"its instance {name!r} would share the folders of the entry of that name"
    if problem is not None:
        raise entry.error("", problem, remedy="choose another --esb-env or --esb-suffix")
    if name != entry.name.lower() and entry.config_dir is not None and "${ESB_ENV}" not in entry.config_dir:
        raise entry.error(
            "config_dir",
            f"the instances {entry.name.lower()!r} and {name!r} would share {entry.config_dir!r}",
            expected="a folder with ${ESB_ENV} in its name",
        )
    return name


def _suites(matrix: Matrix, entry: Entry, test_targets: Sequence[str]) -> tuple[Suite, ...]:
    if not test_targets:
        return tuple(matrix.suites[name] for name in entry.suites)
    paths = tuple(Path(target.partition("::")[0]) for target in test_targets)
    return (Suite(TEST_TARGET_SUITE, "what was named in place of the suites", paths),)


def _real(paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(os.path.realpath(path) for path in paths)


def _inside(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)
