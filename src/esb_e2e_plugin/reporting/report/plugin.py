"""The part of a session that makes reports: it listens to pytest, and writes when everything is over."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol
from xml.etree.ElementTree import ParseError

import pytest

from esb_e2e_plugin.owner import Owner
from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.reporting.report import files, github, junit
from esb_e2e_plugin.reporting.report.building import environment_record
from esb_e2e_plugin.reporting.report.outcomes import Outcomes
from esb_e2e_plugin.reporting.report.records import Report, RunRecord
from esb_e2e_plugin.reporting.report.wanted import in_github_actions
from esb_e2e_plugin.settings import Settings
from esb_e2e_plugin.store import write_atomically


class Source(Protocol):
    """What the session knows."""

    @property
    def run_id(self) -> str:
        """The run's id."""

    @property
    def owner(self) -> Owner:
        """The owner of its environments."""

    def profile_of(self, nodeid: str) -> str | None:
        """Return the profile of a test; None where it needs no environment."""


class ReportSession:
    """Makes reports, JUnit properties and annotations at the end of a session."""

    def __init__(self, config: pytest.Config, settings: Settings, plan: Plan, source: Source) -> None:
        """Listen to a session; writes nothing yet."""
        self._config = config
        self._settings = settings
        self._plan = plan
        self._source = source
        self._tests = Outcomes()
        self._started = time.time()
        self._run: RunRecord | None = None
        self._said: list[tuple[str, bool]] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Expect what this process will run."""
        self._tests.collected(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Expect what the workers will run; all have collected the same."""
        self._tests.collected(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what is said about a phase of a test."""
        self._tests.take(report, self._source.owner.redact)

    # The last one to look: environments are removed, and pytest's own JUnit file is written.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write the reports; those of an interrupted run also before the clean-up, which may be cut short."""
        if session.exitstatus == pytest.ExitCode.INTERRUPTED and self._settings.reports:
            self._write(self._record(int(session.exitstatus)))
            self._said.clear()
        result = yield
        self._run = self._record(int(session.exitstatus))
        self._write(self._run)
        self._extend_junit(self._run)
        if in_github_actions() and not self._config.pluginmanager.hasplugin("terminalreporter"):
            sys.stdout.write("".join(f"\n{line}" for line in self._annotations()) + "\n")
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the reports are; annotate, in GitHub Actions."""
        for line, bad in self._said:
            terminalreporter.write_line(line, red=bad)
        if in_github_actions():
            terminalreporter.ensure_newline()
            for line in self._annotations():
                terminalreporter.write_line(line)

    def _record(self, exit_code: int) -> RunRecord:
        plan, source, owner = self._plan, self._source, self._source.owner
        names = {scenario.profile: scenario.name for scenario in plan.scenarios}
        return RunRecord(
            id=source.run_id,
            started=round(self._started, 3),
            finished=round(time.time(), 3),
            exit_code=exit_code,
            interrupted=exit_code == pytest.ExitCode.INTERRUPTED,
            command=tuple(owner.redact(part) for part in ("pytest", *self._config.invocation_params.args)),
            root=str(plan.root),
            python=platform.python_version(),
            pytest=pytest.__version__,
            plugin=version("pytest-esb-e2e"),
            environments=tuple(
                environment_record(
                    scenario, owner.story(scenario.profile), source.run_id, plan.root, owner.redact
                )
                for scenario in plan.scenarios
            ),
            tests=self._tests.records(source.profile_of, names.__getitem__),
        )

    def _write(self, run: RunRecord) -> None:
        report = Report(runs=(run,))
        for path in self._settings.reports:
            try:
                files.write(report, path)
            except OSError as error:
                self._said.append((f"esb: the report {path} could not be written: {error}", True))
            else:
                self._said.append((f"esb: report: {path}", False))

    def _extend_junit(self, run: RunRecord) -> None:
        if (given := self._config.getoption("xmlpath", None)) is None:
            return
        path = Path(os.path.expandvars(given)).expanduser().absolute()
        try:
            write_atomically(
                path, junit.with_properties(path.read_text(encoding="utf-8"), run), _mode_of(path)
            )
        except (OSError, ParseError) as error:
            self._said.append((f"esb: {path} got no properties: {error}", True))

    def _annotations(self) -> list[str]:
        if self._run is None:
            return []
        places = {s.name: (s.entry.source, s.entry.line()) for s in self._plan.scenarios}
        workspace = Path(os.environ.get("GITHUB_WORKSPACE") or self._config.rootpath)
        return list(github.workflow_commands(self._run, places, self._config.rootpath, workspace))


def _mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777
