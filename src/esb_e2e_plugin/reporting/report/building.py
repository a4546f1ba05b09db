"""The record of a run, put together from what its parts know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from esb_e2e_plugin.context import environment_paths
from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.owner import Story
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.reporting.report.history import history
from esb_e2e_plugin.reporting.report.records import EnvironmentRecord, FailureRecord, Span
from esb_e2e_plugin.reporting.summary import readable


def environment_record(
    scenario: Scenario, story: Story, run_id: str, root: Path, redact: Callable[[str], str]
) -> EnvironmentRecord:
    """Return what a report says about one environment.

    Args:
        scenario: what ran.
        story: what happened to it.
        run_id: the run.
        root: the project's root.
        redact: hides its secrets.
    """
    told = history(map(json.loads, story.events), run_id)
    outcome = story.outcome
    failures = () if outcome is None else (outcome.failure, outcome.cleanup)
    taken = min((phase.started for phase in told.phases), default=None)
    return EnvironmentRecord(
        name=scenario.name,
        profile=scenario.profile,
        mode=scenario.entry.mode,
        ok=None if outcome is None else outcome.ok,
        phases=told.phases,
        waits=tuple(_waits(story, taken)),
        steps=told.steps,
        services=told.services,
        events=told.events,
        failures=tuple(_failure(failure, redact) for failure in failures if failure is not None),
        log=str(environment_paths(scenario, root).log),
        log_lines=tuple(redact(_readable(line)) for line in story.log_end),
    )


_SHORTEST_WAIT = 0.05  # anything shorter is nobody's question


def _waits(story: Story, taken: float | None) -> Iterable[Span]:
    """Yield what an environment waited for: room for it, then whoever held it."""
    for name, since, until in (
        ("waits for room", story.requested, story.begun),
        ("waits for its lock", story.begun, taken),
    ):
        if since is not None and until is not None and until - since >= _SHORTEST_WAIT:
            yield Span(name=name, started=round(since, 3), finished=until and round(until, 3))
        elif since is not None and until is None:
            yield Span(name=name, started=round(since, 3))
            return


def _readable(line: str) -> str:
    """Return a line of the log with its clock and source, and what a service wrote as a person reads it."""
    head, separator, rest = line.partition("] ")
    return head + separator + readable(rest, clock=False)


def _failure(failure: Failure, redact: Callable[[str], str]) -> FailureRecord:
    return FailureRecord(
        phase=failure.phase,
        kind=failure.kind.value,
        component=redact(failure.component),
        cause=redact(failure.cause),
        remedy=redact(failure.remedy),
        service=failure.service,
        service_lines=tuple(redact(readable(line)) for line in failure.service_lines),
        test=failure.test,
    )
