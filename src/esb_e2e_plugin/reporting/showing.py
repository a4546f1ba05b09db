"""The hooks by which a session tells its display what goes on, and what it shows at the end."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest

from esb_e2e_plugin.owner import Outcome
from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.reporting.board import ERROR, FAILED, PASSED, SKIPPED, XFAILED, XPASSED, Board
from esb_e2e_plugin.reporting.closing import Closing, LineWriter
from esb_e2e_plugin.reporting.display import Display, mode_of
from esb_e2e_plugin.reporting.screen import Screen
from esb_e2e_plugin.settings import Settings

_PIPED_COLUMNS = 120  # who reads a log sees wide lines whole


class Showing:
    """Shows one session with environments.

    Attributes:
        display: what is shown while it goes on.
        board: what is known of each environment.
    """

    def __init__(self, config: pytest.Config, settings: Settings, plan: Plan, screen: Screen) -> None:
        """Show nothing yet.

        Args:
            config: the configuration.
            settings: options.
            plan: the selected environments.
            screen: where they are shown.
        """
        self.board = Board({scenario.name: scenario.profile for scenario in plan.scenarios})
        self.display = Display(screen, self.board)
        self._closing = Closing(config, settings, plan)
        self._config = config
        self._settings = settings
        self._plan = plan
        self._screen = screen
        self._environment_of: dict[str, str] = {}
        self._distributes = bool(config.getoption("tx", None)) and config.getoption("dist", "no") != "no"
        self._captures = config.getoption("capture", "no") == "fd"

    def begin(self) -> None:
        """Find pytest's reporter, and show what goes on from now on."""
        reporter = self._reporter
        # Another reporter, such as pytest-sugar's, redraws lines itself and counts on where they are.
        alone = reporter is None or type(reporter) is pytest.TerminalReporter
        redraws = alone and self._screen.is_terminal and (self._distributes or self._captures)
        mode = mode_of(
            self._settings.output,
            redraws=redraws,
            environments=len(self._plan.scenarios),
            verbosity=self._config.getoption("verbose", 0),
        )
        capture = self._config.pluginmanager.getplugin("capturemanager")
        # A session that selects late is collecting: what pytest has in its buffer would be captured.
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            self._screen.share(reporter)
        self.display.begin(mode, reporter._tw.markup if reporter is not None else _plain)  # noqa: SLF001

    def expect(self, environment_of: Mapping[str, str]) -> None:
        """Learn which tests there are.

        Args:
            environment_of: for each node id the name of its environment.
        """
        self._environment_of.update(environment_of)
        for name in environment_of.values():
            self.board.expect(name, 1)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Know what runs."""
        self.display.drain()
        self.display.busy(writes=not self._distributes and not self._captures)
        if (name := self._environment_of.get(nodeid)) is not None:
            self.board.started(name, nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test for its environment."""
        self.display.drain()
        self._screen.begin_anew()
        if (name := self._environment_of.get(report.nodeid)) is not None:
            ended = report.when not in ("setup", "call")  # a worker's crash is reported in a phase of its own
            self.board.reported(name, report.nodeid, outcome_of(report), ended=ended)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self) -> None:
        """Write what was said meanwhile."""
        self.display.busy(writes=False)
        self.display.drain()

    def pytest_enter_pdb(self) -> None:
        """Leave the terminal to the debugger."""
        self.display.pause()

    def pytest_leave_pdb(self) -> None:
        """Take it back."""
        self.display.go_on()

    def summarize(self, outcomes: Mapping[str, Outcome]) -> None:
        """Show how each environment did, and why it failed."""
        self.display.end()
        reporter = self._reporter
        failed = not all(outcome.ok for outcome in outcomes.values())
        columns = reporter._tw.fullwidth if reporter is not None else 0  # noqa: SLF001
        if not self._screen.is_terminal:
            columns = max(columns, _PIPED_COLUMNS)
        self._closing.write(
            LineWriter(self._screen.write, columns) if reporter is None else reporter,
            outcomes,
            [*self.board.standings.values()],
            errors=reporter.stats.get("error", ()) if reporter is not None else (),
            columns=columns,
            with_table=self.display.mode != "quiet" or (failed and len(self.board.standings) > 1),
        )

    @property
    def _reporter(self) -> Any:
        return self._config.pluginmanager.getplugin("terminalreporter")


def outcome_of(report: pytest.TestReport) -> str | None:
    """Return what a phase of a test counts as, or None."""
    expected = hasattr(report, "wasxfail")
    if report.failed:
        return ERROR if report.when in ("setup", "teardown") else FAILED
    if report.skipped:
        return XFAILED if expected else SKIPPED
    if report.passed and report.when == "call":
        return XPASSED if expected else PASSED
    return None


def _plain(text: str, **_style: bool) -> str:
    return text
