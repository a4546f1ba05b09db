"""The sections of a failed test's report: what it asked for, what was logged, how the services were.

They are part of the report itself, so that they reach an xdist controller, the terminal and every reporter.
"""

import os
import re
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from artifactctl import secrets
from esb_e2e_plugin.bringup import Bringup
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.events import plain_text
from esb_e2e_plugin.keys import RECORDER
from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.recorder import Recorder, TestRecord, trace_suffix
from esb_e2e_plugin.redaction import Redactor
from esb_e2e_plugin.reporting.section_texts import requests_text, states_text
from esb_e2e_plugin.reporting.trace_log import LogLine, excerpt, in_order_of_time, parse, unfinished
from esb_e2e_plugin.selection import environment_of

if TYPE_CHECKING:
    from esb_e2e_plugin.owner import Owner

REQUESTS = "esb requests"
LOGS = "esb logs"
CONTAINERS = "esb containers"

_INSPECT_SECONDS = 5.0
_SETTLE_SECONDS = 5.0
_SETTLE_BUDGET_SECONDS = 60.0
_POLL_SECONDS = 0.05
_MOST_BYTES_READ = 32 * 1024 * 1024
_TOKEN = re.compile(r"eyJ[\w-]{5,}\.eyJ[\w-]{5,}\.[\w-]{5,}")


def record_tests(config: pytest.Config, bringup: Bringup, plan: Plan) -> None:
    """Have the tests of this process recorded, and sections added to the reports of those that fail.

    Args:
        config: the configuration of the session.
        bringup: the way to the owner of the environments.
        plan: the selected environments.
    """
    recorder = config.stash.setdefault(RECORDER, Recorder())
    config.pluginmanager.register(FailureSections(recorder, bringup, plan), "esb_e2e_sections")


class FailureSections:
    """Adds the sections in the process that runs the tests."""

    def __init__(self, recorder: Recorder, bringup: Bringup, plan: Plan) -> None:
        """Know whom to ask.

        Args:
            recorder: knows what the test does.
            bringup: the way to the owner of the environments.
            plan: the selected environments.
        """
        self._recorder = recorder
        self._bringup = bringup
        self._secrets = _secret_files(plan)
        self._budget = _SETTLE_BUDGET_SECONDS

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """Begin the record of a test."""
        self._recorder.begin(item.nodeid, environment_of(item))
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the sections to the report of a failure."""
        report = yield
        test, profile = self._recorder.test, environment_of(item)
        if report.failed and profile is not None and test is not None and test.environment is not None:
            failure = self._bringup.failure(profile)
            # An environment that failed before says so once, in its own block.
            if failure is None or str(report.longrepr) != failure.one_line():
                report.sections.extend(self._sections(profile, test, test.environment))
        return report

    def _sections(self, profile: str, test: TestRecord, environment: Environment) -> list[tuple[str, str]]:
        try:
            return self._collected(profile, test, environment)
        except Exception as error:  # noqa: BLE001  a report without sections is better than none
            return [(LOGS, f"could not be collected: {type(error).__name__}: {error}")]

    def _collected(self, profile: str, test: TestRecord, environment: Environment) -> list[tuple[str, str]]:
        hide = _hiding(environment, self._secrets.get(profile))
        requests = list(test.requests)
        states = self._bringup.inspect(profile, _INSPECT_SECONDS)
        log = _Log(environment.paths.log, test.log_position, test.entered, hide)

        def trace(trace_id: str | None) -> bool:
            return trace_id == test.trace_id

        waiting, waited = self._settle(log, lambda: unfinished(log.lines, trace, requests))
        if waited:
            self._bringup.inspect(profile, _INSPECT_SECONDS)  # what ended last may have logged elsewhere
            log.read()
        text = excerpt(in_order_of_time(log.lines), trace)
        if waiting:
            text += f"\n… still to come after {waited:.1f} s: {', '.join(waiting)}"
        return _filled(
            (REQUESTS, requests_text(requests, test.dropped, hide)),
            (LOGS, text),
            (CONTAINERS, states_text(states, environment.project)),
        )

    def _settle(self, log: "_Log", unfinished: Callable[[], list[str]]) -> tuple[list[str], float]:
        """Wait until nothing is unfinished; return what still is, and how many seconds that took."""
        begun = now = time.monotonic()
        deadline = begun + min(_SETTLE_SECONDS, self._budget)
        log.read()
        while (waiting := unfinished()) and now < deadline:
            time.sleep(_POLL_SECONDS)
            log.read()
            now = time.monotonic()
        self._budget -= now - begun
        return waiting, now - begun


class CrashSections:
    """Adds them in xdist's controller for a test whose worker has ended: its node id leads to its trace."""

    def __init__(
        self,
        owner: "Owner",
        plan: Plan,
        profile_of: Mapping[str, str],
    ) -> None:
        """Know whom to ask.

        Args:
            owner: the owner of the environments.
            plan: the selected environments.
            profile_of: the environment of each test, by its node id.
        """
        self._owner = owner
        self._secrets = _secret_files(plan)
        self._profile_of = profile_of
        self._begun: dict[str, float] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember when a test began."""
        self._begun[nodeid] = time.time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Forget a test that has ended."""
        self._begun.pop(nodeid, None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Add what the services logged, and how they are now."""
        profile = self._profile_of.get(crashitem)
        environment = self._owner.environment(profile) if profile is not None else None
        if profile is None or environment is None:
            return
        begun = max(self._begun.pop(crashitem, 0.0), self._owner.ready_since(profile))
        states = self._owner.inspect(profile, _INSPECT_SECONDS)
        suffix, hide = trace_suffix(crashitem), _hiding(environment, self._secrets.get(profile))
        log = _Log(environment.paths.log, 0, begun, hide)
        log.read()
        text = excerpt(
            in_order_of_time(log.lines), lambda trace_id: trace_id is not None and trace_id.endswith(suffix)
        )
        report.sections += _filled((LOGS, text), (CONTAINERS, states_text(states, environment.project)))


class _Log:
    """An environment's log from a position on, as far as it was read.

    Attributes:
        lines: what was read, as it stands there.
        end: up to where, in bytes.
    """

    def __init__(self, path: Path, position: int, since: float, hide: Callable[[str], str]) -> None:
        self.lines: list[LogLine] = []
        self.end = position
        self._path = path
        self._since = since
        self._hide = hide

    def read(self) -> None:
        """Read the whole lines that are there by now; where they are too many, the last ones."""
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(self.end, size - _MOST_BYTES_READ))
            data = file.read(size - start)
        whole = data[: data.rfind(b"\n") + 1]
        self.end = start + len(whole)
        # Hidden before anything is cut off: half a secret would not be known as one.
        self.lines += parse(self._hide(whole.decode(errors="replace")), self._since)


def _filled(*sections: tuple[str, str]) -> list[tuple[str, str]]:
    return [(title, text) for title, text in sections if text]


def _secret_files(plan: Plan) -> dict[str, Path]:
    return {
        scenario.profile: scenario.entry.secret_env_file
        for scenario in plan.scenarios
        if scenario.entry.secret_env_file is not None
    }


def _hiding(environment: Environment, secret_file: Path | None) -> Callable[[str], str]:
    redact = Redactor()
    redact.add(vars(environment.credentials).values())
    if secret_file is not None:
        redact.add(secrets.read(secret_file).values())
    return lambda text: redact(_TOKEN.sub("***", plain_text(text)))
