"""One injected fault, and what the first lines of the summary have to say of it."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from esb_e2e_plugin.failure import Kind
from tests.faults.project import Project
from tests.faults.run import Result

FIRST_LINES = 15
"""The first screen: within so many lines of the summary everything has to be said."""

Inject = Callable[[Any], AbstractContextManager[None] | None]


@dataclass(frozen=True)
class Fault:
    """Something that is made to go wrong.

    Attributes:
        id: what goes wrong.
        phase: where it has to be noticed.
        kind: the class that it has to get.
        component: pattern of who is guilty; `{project}` is the project's folder, `{name}` its name, as below.
        remedy: pattern of what to do about it.
        cause: pattern of what happened.
        inject: brings it about in a project; what it returns is entered around the run.
        options: of the run.
        shows: pattern of what the summary has to show of the guilty one's own lines.
        leaves: whether something stays.
        stays: whether clean-up fails by it, too.
        is_outside: whether it keeps the run from taking the environment.
    """

    id: str
    phase: str
    kind: Kind
    component: str
    remedy: str
    cause: str
    inject: Inject
    options: tuple[str, ...] = ()
    shows: str = ""
    leaves: bool = False
    stays: bool = False
    is_outside: bool = False


class Corpus:
    """The faults of one way to run an environment."""

    def __init__(self) -> None:
        """Hold none yet."""
        self.faults: list[Fault] = []

    def fault(
        self, name: str, phase: str, kind: Kind, component: str, *, cause: str, remedy: str, **more: Any
    ) -> Callable[[Inject], Inject]:
        """Add a fault, see `Fault`; decorates what brings it about."""

        def add(inject: Inject) -> Inject:
            self.faults.append(Fault(name, phase, kind, component, remedy, cause, inject, **more))
            return inject

        return add


@contextmanager
def injected(fault: Fault, project: Project) -> Iterator[None]:
    """Bring a fault about for as long as a run takes."""
    with fault.inject(project) or nullcontext():
        yield


def check(fault: Fault, project: Project, environment: str, result: Result) -> None:
    """Assert that a run fails by a fault, once, and that its first screen says all about it."""
    assert result.code == 1, result.output
    failed = re.findall(r"= Failed: (.*?) =", result.output)
    # What reset could not remove, clean-up cannot either, and says so, too.
    also = [f"{environment} > cleanup"] if fault.stays else []
    assert failed == [f"{environment} > {fault.phase}", *also], result.output
    screen = result.summary.splitlines()[:FIRST_LINES]
    told = {name: text for line in reversed(screen) for name, text in re.findall(r"^(\w+): +(.+)$", line)}
    names = {"project": re.escape(str(project.root)), "name": getattr(project, "name", "")}
    told = {"class": "", "component": "", "cause": "", "remedy": "", **told}
    assert told["class"] == fault.kind.value, result.summary
    assert re.fullmatch(_filled(fault.component, names), told["component"]), result.summary
    assert re.search(_filled(fault.cause, names), told["cause"]), result.summary
    assert re.search(_filled(fault.remedy, names), told["remedy"]), result.summary
    assert re.search(fault.shows, result.summary.partition("last lines of ")[2]), result.summary
    assert "fault of the plugin" not in result.output
    # Who cannot even take an environment writes no events of it.
    events = [one for one in project.events() if one["kind"] == "phase.finished" and not one["ok"]]
    expected = [] if fault.is_outside else [(told["class"], told["component"])]
    assert [(one["class"], one["component"]) for one in events[: 1 if fault.stays else None]] == expected


def _filled(pattern: str, names: dict[str, str]) -> str:
    for name, text in names.items():
        pattern = pattern.replace(f"{{{name}}}", text)
    return pattern
