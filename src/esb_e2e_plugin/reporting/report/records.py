"""What a report says, as frozen records; the published JSON Schema is made from them.

Times are seconds since the epoch, durations seconds, both with milliseconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

from esb_e2e_plugin.matrix import Mode

VERSION: Literal[1] = 1
"""Version of the format; a reader refuses any other one."""

Outcome = Literal["failed", "error", "crashed", "xpassed", "not_run", "xfailed", "skipped", "passed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""Every outcome of a test, the one that deserves most attention first."""

BAD_OUTCOMES = frozenset({"failed", "error", "crashed"})
"""The outcomes that make a run fail."""

EventKind = Literal["service", "lease", "progress", "left"]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of what is known of a failed test.

    Attributes:
        title: what it is, such as `esb logs` or `Captured stdout call`.
        text: its content; what was too long says so.
    """

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TestRecord:
    """One test in one environment.

    Attributes:
        id: its node id.
        scenario: the node id without the environment: the same in all environments.
        environment: name of the environment; null for a test that needs none.
        outcome: how it ended; `error` is a failed setup or teardown, `not_run` one that never
            began, or was cut short.
        file: its file, relative to pytest's root.
        line: its line there, from 1; null where it is unknown.
        failed_line: the line of that file at which it failed; null where it failed elsewhere, or did not.
        worker: the xdist worker that ran it; null without xdist.
        started: when it began; null where it did not.
        setup: how long its setup took, with the wait for its environment.
        call: how long it took itself.
        teardown: how long its teardown took.
        attempts: how often it was run.
        message: why it failed or was skipped, in one line.
        sections: all that is known of a failed test, the sections of this plugin first.
    """

    id: str
    scenario: str
    environment: str | None
    outcome: Outcome
    file: str
    line: int | None = None
    failed_line: int | None = None
    worker: str | None = None
    started: float | None = None
    setup: float = 0.0
    call: float = 0.0
    teardown: float = 0.0
    attempts: int = 1
    message: str = ""
    sections: tuple[Section, ...] = ()

    __test__ = False  # no test class, whatever its name begins with


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of an environment.

    Attributes:
        name: `reset`, `compose`, `deploy`, `test` or `cleanup`.
        started: when it began.
        finished: when it ended; null where nobody saw that.
        ok: whether it went well; null while it was not over.
        cause: why it failed, or empty.
    """

    name: str
    started: float
    finished: float | None = None
    ok: bool | None = None
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Something that took time: a wait, a step of a phase, a command, a service that came up or was there.

    Attributes:
        name: what it was.
        started: when it began.
        finished: when it ended; null where nobody saw that.
        ok: whether it went well; null where that is no question.
        detail: more about it, such as the whole command.
    """

    name: str
    started: float
    finished: float | None = None
    ok: bool | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """Something that happened at one moment.

    Attributes:
        at: when.
        kind: what it is about: a service, leased ports, progress, or something left behind.
        subject: the service, or empty.
        text: what happened.
        bad: whether it was a fault.
    """

    at: float
    kind: EventKind
    subject: str
    text: str
    bad: bool = False


@dataclass(frozen=True, kw_only=True)
class FailureRecord:
    """Why an environment failed.

    Attributes:
        phase: where.
        kind: its class, such as `image build`.
        component: what is guilty.
        cause: what happened, in one line.
        remedy: what to do about it, or empty.
        service: the guilty service; null where none is known.
        service_lines: its last lines.
        test: node id of the test that showed it; null where none did.
    """

    phase: str
    kind: str
    component: str
    cause: str
    remedy: str = ""
    service: str | None = None
    service_lines: tuple[str, ...] = ()
    test: str | None = None


@dataclass(frozen=True, kw_only=True)
class EnvironmentRecord:
    """What happened to one environment in one run.

    Attributes:
        name: the instance's name.
        profile: its entry in the matrix.
        mode: what drove its services.
        ok: whether everything in it went well, its tests and its removal included; null where it never began.
        phases: in their order.
        waits: what it waited for before it began.
        steps: steps of phases, and commands.
        services: from start to readiness, and from there to their end.
        events: what happened at one moment, in this order.
        failures: causes of its failure, first the one that counts.
        log: path of its log.
        log_lines: the last lines of its log, where it failed.
    """

    name: str
    profile: str
    mode: Mode
    ok: bool | None
    phases: tuple[Phase, ...] = ()
    waits: tuple[Span, ...] = ()
    steps: tuple[Span, ...] = ()
    services: tuple[Span, ...] = ()
    events: tuple[EventRecord, ...] = ()
    failures: tuple[FailureRecord, ...] = ()
    log: str = ""
    log_lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run of pytest: a whole one, or one shard.

    Attributes:
        id: its id.
        started: when it began.
        finished: when this was written.
        exit_code: pytest's exit code.
        interrupted: whether somebody ended it early.
        command: the command line.
        root: the project's root.
        python: version of Python.
        pytest: version of pytest.
        plugin: version of this plugin.
        environments: in the order of the plan.
        tests: in the order of the collection.
    """

    id: str
    started: float
    finished: float
    exit_code: int
    interrupted: bool
    command: tuple[str, ...]
    root: str
    python: str
    pytest: str
    plugin: str
    environments: tuple[EnvironmentRecord, ...] = ()
    tests: tuple[TestRecord, ...] = ()

    def counts(self, environment: str | None = None) -> dict[Outcome, int]:
        """Return how many tests ended in each outcome.

        Args:
            environment: count only its tests; None for all.
        """
        found = Counter(test.outcome for test in self.tests if environment in (None, test.environment))
        return {outcome: found[outcome] for outcome in OUTCOMES if found[outcome]}


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a report says.

    Attributes:
        runs: one, or several where reports were merged.
        version: version of this format.
    """

    runs: tuple[RunRecord, ...]
    version: Literal[1] = VERSION


def scenario_of(nodeid: str, profile: str | None) -> str:
    """Return a node id without the environment that leads its parameters.

    Args:
        nodeid: such as `test_a.py::test_echo[e2e-docker-python]`.
        profile: the environment's entry in the matrix; None for a test without one.

    Returns:
        Such as `test_a.py::test_echo[python]`.
    """
    if profile is None:
        return nodeid
    name, bracket, parameters = nodeid.partition(f"[{profile}")
    if bracket and parameters == "]":
        return name
    if bracket and parameters.startswith("-"):
        return f"{name}[{parameters[1:]}"
    return nodeid


def node_id(scenario: str, profile: str | None) -> str:
    """Return the node id of a scenario in an environment, as `scenario_of` takes it apart."""
    if profile is None:
        return scenario
    name, bracket, parameters = scenario.partition("[")
    return f"{name}[{profile}-{parameters}" if bracket else f"{name}[{profile}]"
