"""Which tests run in which environments: parametrization, deselection, order."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from esb_e2e_plugin.planner import Plan

HOW_TO_SELECT = "select one with --esb-profile NAME"
ENVIRONMENT_FIXTURE = "esb_environment"
EXCLUSIVE = "esb_exclusive"
"""The marker of a test that takes its environment alone."""


class Selection:
    """The environments that tests get.

    Attributes:
        note: what to do about tests that got no environment.
        deselected: how many tests needed an environment and got none.
    """

    def __init__(
        self, plan: "Plan | None", named: "NamedTests | None" = None, note: str = HOW_TO_SELECT
    ) -> None:
        """Select from `plan`.

        Args:
            plan: the selected environments; None where there are none.
            named: the tests that the command line names with an environment, where no profile is selected.
            note: what to do about tests that got no environment; empty where nothing needs to be said.
        """
        self._plan = plan
        self._named = named
        self.note = note
        self.deselected = 0

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """Give a test that needs an environment those that it runs in; first in its id."""
        if ENVIRONMENT_FIXTURE not in metafunc.fixturenames or self._plan is None:
            return
        names = self._environments(metafunc.definition)
        if names:
            metafunc.parametrize(ENVIRONMENT_FIXTURE, names, indirect=True, scope="session", ids=names)

    def filter_and_sort(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Drop the tests that got no environment, and keep those of one environment together."""
        # Tests without an environment come first: they need not wait for anything.
        order: dict[str | None, int] = {
            name: index for index, name in enumerate(self._plan.names if self._plan else ())
        }
        kept: list[tuple[int, pytest.Item]] = []
        dropped: list[pytest.Item] = []
        for item in items:
            name = environment_of(item)
            if self._runs(item, name):
                kept.append((order.get(name, -1), item))
            else:
                dropped.append(item)
        if dropped:
            self.deselected += len(dropped)
            config.hook.pytest_deselected(items=dropped)
        kept.sort(key=itemgetter(0))
        items[:] = [item for _, item in kept]

    def _runs(self, item: pytest.Item, environment: str | None) -> bool:
        if environment is None:
            return not needs_environment(item)
        return self._named is None or self._named.includes(item)

    def _environments(self, definition: pytest.Item) -> Sequence[str]:
        assert self._plan is not None  # noqa: S101  checked by the caller
        names: Sequence[str] = self._plan.environments_for(definition.path)
        for mark in definition.iter_markers():
            if mark.name == "esb_env":
                allowed = {str(name).casefold() for name in mark.args}
                names = [name for name in names if name.casefold() in allowed]
            elif mark.name == "esb_mode":
                names = [name for name in names if self._plan.mode_of(name) in mark.args]
        return names


class NamedTests:
    """Node ids of the command line that may name an environment, as an IDE sends them."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        """Read the arguments of the command line.

        Args:
            arguments: paths and node ids.
            folder: the folder that they are relative to.
        """
        self._named: list[tuple[Path, str]] = []
        for argument in arguments:
            path, _, rest = argument.partition("::")
            if "[" in rest:
                self._named.append(((folder / path).resolve(), rest))

    def __bool__(self) -> bool:
        return bool(self._named)

    def environments(self, known: Sequence[str]) -> tuple[str, ...]:
        """Return those of the `known` environments that the ids name, in the order of `known`."""
        found = {name for _, rest in self._named for name in _leading(rest, known)}
        return tuple(name for name in known if name in found)

    def includes(self, item: pytest.Item) -> bool:
        """Tell whether an id of the command line names `item`, with its environment."""
        rest = item.nodeid.partition("::")[2]
        return any(path == item.path and named == rest for path, named in self._named)


def needs_environment(item: pytest.Item | pytest.Metafunc) -> bool:
    """Tell whether a test asks for an environment, directly or through other fixtures."""
    return ENVIRONMENT_FIXTURE in getattr(item, "fixturenames", ())


def environment_of(item: pytest.Item) -> str | None:
    """Return the name of the environment that a test runs in, or None."""
    callspec = getattr(item, "callspec", None)
    name = callspec.params.get(ENVIRONMENT_FIXTURE) if callspec is not None else None
    return name if isinstance(name, str) else None


def used_environments(session: pytest.Session) -> list[str | None]:
    """Return the profile of each collected test; None where it needs none, or will not run."""
    option = session.config.option
    # A worker runs what it has collected, whatever else cannot be collected.
    ends = not option.continue_on_collection_errors and not hasattr(session.config, "workerinput")
    if session.config.getoption("setupplan", False) or (session.testsfailed and ends):
        return [None] * len(session.items)
    return [environment_of(item) for item in session.items]


def is_exclusive(item: pytest.Item) -> bool:
    """Tell whether a test takes its environment alone."""
    return item.get_closest_marker(EXCLUSIVE) is not None


def units(items: Sequence[pytest.Item], dist: str) -> list[int | None]:
    """Return for each test the number of the unit that xdist's `--dist` keeps together; None for none.

    Args:
        items: the tests.
        dist: the mode of distribution.
    """
    numbers: dict[str, int] = {}
    keys = [_unit(item, dist) for item in items]
    return [None if key is None else numbers.setdefault(key, len(numbers)) for key in keys]


def _unit(item: pytest.Item, dist: str) -> str | None:
    match dist:
        case "loadscope":
            return item.parent.nodeid if item.parent is not None else None
        case "loadfile":
            return item.nodeid.partition("::")[0]
        case "loadgroup":
            marks = item.iter_markers("xdist_group")
            names = {str(mark.args[0] if mark.args else mark.kwargs.get("name", "default")) for mark in marks}
            return "_".join(sorted(names)) or None
        case _:
            return None


def _leading(rest: str, known: Sequence[str]) -> Iterator[str]:
    parameters = rest.partition("[")[2]
    fitting = [name for name in known if parameters.startswith((f"{name}]", f"{name}-"))]
    if fitting:
        yield max(fitting, key=len)  # e2e-docker2 and e2e-docker2-x may both fit: the longer one was meant
