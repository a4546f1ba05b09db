"""Pytest's reports of the phases of a test, folded into one record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from esb_e2e_plugin.events import plain_text
from esb_e2e_plugin.reporting.report.limits import Budget
from esb_e2e_plugin.reporting.report.records import BAD_OUTCOMES, Outcome, Section, TestRecord, scenario_of

_OURS = "esb"
_LONGEST_MESSAGE = 400
_CRASHED = "???"  # xdist's own word for the phase in which a worker crashed


class PhaseReport(Protocol):
    """What is used of `pytest.TestReport`."""

    nodeid: str
    when: Any
    outcome: Any
    location: tuple[str, int | None, str]
    sections: list[tuple[str, str]]
    longrepr: Any
    duration: float
    start: float


@dataclass
class _Case:
    file: str = ""
    line: int | None = None
    failed_line: int | None = None
    worker: str | None = None
    started: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    outcome: Outcome = "not_run"
    message: str = ""
    sections: tuple[Section, ...] = ()


class Outcomes:
    """The tests of a run, from the collection on; filled by the reports of their phases."""

    def __init__(self) -> None:
        """Know of no test yet."""
        self._tests: dict[str, _Case] = {}
        self._budget = Budget()

    def collected(self, nodeids: Iterable[str]) -> None:
        """Expect these tests, in this order."""
        for nodeid in nodeids:
            self._tests.setdefault(nodeid, _Case(file=nodeid.partition("::")[0]))

    def take(self, report: PhaseReport, redact: Callable[[str], str]) -> None:
        """Take the report of one phase of a test.

        Args:
            report: the report.
            redact: hides the secrets of the test's environment.
        """
        test = self._tests.setdefault(report.nodeid, _Case())
        if report.when in ("setup", _CRASHED) and (not test.attempts or report.when in test.seconds):
            test.attempts += 1
            test.outcome, test.message, test.sections, test.started = "not_run", "", (), None
            test.failed_line = None
            test.seconds.clear()
        test.file, line, _ = report.location
        test.line = None if line is None else line + 1
        test.worker = getattr(report, "worker_id", None) or _worker_of(report) or test.worker
        if test.started is None and report.start:
            test.started = round(report.start, 3)
        test.seconds[report.when] = round(test.seconds.get(report.when, 0.0) + report.duration, 3)
        outcome = _outcome(report)
        if outcome is not None and _is_worse(outcome, test.outcome):
            test.outcome = outcome
            test.message = redact(_message(report))[:_LONGEST_MESSAGE]
            test.failed_line = _failed_line(report, test.file) if outcome in BAD_OUTCOMES else None
        if outcome in BAD_OUTCOMES or (test.outcome in BAD_OUTCOMES and report.when == "teardown"):
            found = _merged(test.sections, _sections(report, redact))
            test.sections = self._budget.spend(found)

    def records(
        self, profile_of: Callable[[str], str | None], environment_of: Callable[[str], str]
    ) -> tuple[TestRecord, ...]:
        """Return every test in the order of the collection.

        Args:
            profile_of: the profile of a test, by its node id; None where it needs no environment.
            environment_of: the name of an environment, by its profile.
        """
        records = []
        for nodeid, test in self._tests.items():
            profile = profile_of(nodeid)
            records.append(
                TestRecord(
                    id=nodeid,
                    scenario=scenario_of(nodeid, profile),
                    environment=None if profile is None else environment_of(profile),
                    outcome=test.outcome,
                    file=test.file,
                    line=test.line,
                    failed_line=test.failed_line,
                    worker=test.worker,
                    started=test.started,
                    setup=test.seconds.get("setup", 0.0),
                    call=test.seconds.get("call", 0.0),
                    teardown=test.seconds.get("teardown", 0.0),
                    attempts=max(test.attempts, 1),
                    message=test.message,
                    sections=test.sections,
                )
            )
        return tuple(records)


def _outcome(report: PhaseReport) -> Outcome | None:
    """Return what a phase says about its test; None where it says nothing."""
    if report.when == _CRASHED:
        return "crashed"
    if report.outcome == "failed":
        return "failed" if report.when == "call" else "error"
    if report.outcome == "skipped":
        return "xfailed" if hasattr(report, "wasxfail") else "skipped"
    if report.outcome == "passed" and report.when == "call":
        return "xpassed" if hasattr(report, "wasxfail") else "passed"
    return None


_SEVERITY: dict[Outcome, int] = {
    "not_run": 0,
    "passed": 1,
    "skipped": 2,
    "xfailed": 2,
    "xpassed": 2,
    "error": 3,
    "failed": 4,
    "crashed": 5,
}


def _is_worse(outcome: Outcome, before: Outcome) -> bool:
    return _SEVERITY[outcome] > _SEVERITY[before]


def _message(report: PhaseReport) -> str:
    if (reason := getattr(report, "wasxfail", None)) is not None:
        return str(reason).removeprefix("reason: ")
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    text = getattr(crash, "message", None) or (str(longrepr) if longrepr is not None else "")
    line = next((plain_text(line).strip() for line in text.splitlines() if line.strip()), "")
    return line.removeprefix("Failed: ")  # what pytest.fail says is the whole message


def _failed_line(report: PhaseReport, file: str) -> int | None:
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.lineno if crash is not None and f"/{crash.path}".endswith(f"/{file}") else None


def _sections(report: PhaseReport, redact: Callable[[str], str]) -> list[Section]:
    """Return what a report of a failed phase says, with the sections of this plugin first."""
    found = [
        Section(title=plain_text(title), text=redact(plain_text(text)))
        for title, text in report.sections
        if text.strip()
    ]
    if report.outcome == "failed" and report.longrepr is not None:
        text = redact(plain_text(str(report.longrepr)))
        where = "" if report.when in ("call", _CRASHED) else f" in {report.when}"
        found.append(Section(title=f"Traceback{where}", text=text))
    return sorted(found, key=lambda section: _rank(section.title))


def _rank(title: str) -> int:
    if title.split(" ", 1)[0] == _OURS:
        return 0
    return 1 if title.startswith("Traceback") else 2


def _merged(earlier: Iterable[Section], later: Iterable[Section]) -> list[Section]:
    """Return the sections of two phases; a later one with the same title tells more."""
    by_title = {section.title: section for section in (*earlier, *later)}
    return sorted(by_title.values(), key=lambda section: _rank(section.title))


def _worker_of(report: PhaseReport) -> str | None:
    gateway = getattr(getattr(report, "node", None), "gateway", None)
    return getattr(gateway, "id", None)
