"""The session that owns environments: what the hooks in `plugin` hand on to."""

import os
import pickle
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from esb_e2e_plugin import RESULTS, secret_values
from esb_e2e_plugin.capacity import Bounds, default_starting
from esb_e2e_plugin.context import environment_paths
from esb_e2e_plugin.diagnosis import diagnose_test
from esb_e2e_plugin.distribution import ControllerSide
from esb_e2e_plugin.durations import Durations
from esb_e2e_plugin.events import tail
from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.fixtures.environment import finish_environment
from esb_e2e_plugin.keys import BRINGUP, REDACTOR
from esb_e2e_plugin.lifecycle.run import ComposeAnswer
from esb_e2e_plugin.owner import Owner
from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.project_hooks import ProjectHooks, deploy_hook_files
from esb_e2e_plugin.reporting.display import RUN
from esb_e2e_plugin.reporting.junit_sections import JunitSections
from esb_e2e_plugin.reporting.redacted import RedactedReports
from esb_e2e_plugin.reporting.screen import Screen
from esb_e2e_plugin.reporting.sections import CrashSections, record_tests
from esb_e2e_plugin.reporting.showing import Showing
from esb_e2e_plugin.reporting.summary import FoldedErrors, guilty_log
from esb_e2e_plugin.runs import new_run
from esb_e2e_plugin.selection import environment_of, is_exclusive, used_environments
from esb_e2e_plugin.session_interrupts import SessionInterrupts
from esb_e2e_plugin.settings import Settings

_GUILTY_LINES = 20
_CLOCK_SLACK = 1.0  # runtime clients log whole seconds


class OwnerSession:
    """A session whose process owns the environments: the xdist controller, or the only process."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        plan: Plan,
        screen: Screen,
        models: Mapping[str, ComposeAnswer],
    ) -> None:
        """Prepare to run `plan`; starts and writes nothing."""
        self._config = config
        self._plan = plan
        self._settings = settings
        self._showing = Showing(config, settings, plan, screen)
        display = self._showing.display
        debugs = config.getoption("usepdb", False) or config.getoption("trace", False)
        self._run = new_run(
            plan,
            settings.without_deadlines() if debugs else settings,
            os.environ,
            ProjectHooks(config),
            display.say,
            observer=display,
            hook_files=deploy_hook_files(config),
            models=models,
        )
        self._owner = Owner(
            plan.scenarios,
            self._run,
            Bounds(settings.max_starting or default_starting(), settings.max_environments),
            on_change=self._environment_changed,
            while_waiting=display.drain,
        )
        self._durations = Durations()
        facts = {"plan": pickle.dumps(plan)}
        self._controller = ControllerSide(config, self._owner, self._durations, facts, display.drain)
        self._unfinished: dict[str, set[str]] = {}
        self._profile_of: dict[str, str] = {}
        self._failed_tests: dict[str, list[str]] = {}
        self._exclusive: set[str] = set()
        self._stopped = False
        self._interrupts = SessionInterrupts(self._say_what_is_left)
        for scenario in plan.scenarios:
            self._run.redact.add(secret_values.of_scenario(scenario))
        config.stash[BRINGUP] = self._owner
        config.stash[REDACTOR] = self._run.redact
        config.pluginmanager.register(RedactedReports(config, self._run.redact), "esb_e2e_redacted_reports")
        config.pluginmanager.register(self._controller, "esb_e2e_controller")
        config.pluginmanager.register(self._controller.late_start, "esb_e2e_late_start")
        record_tests(config, self._owner, plan)
        crashes = CrashSections(self._owner, plan, self._profile_of)
        config.pluginmanager.register(crashes, "esb_e2e_crash_sections")
        config.pluginmanager.register(JunitSections(config), "esb_e2e_junit_sections")
        config.pluginmanager.register(self._interrupts, "esb_e2e_interrupts")
        config.pluginmanager.register(FoldedErrors(self._owner.outcomes), "esb_e2e_folded_errors")
        config.pluginmanager.register(self._showing, "esb_e2e_showing")
        display.wake = self._wake

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run.run_id

    @property
    def owner(self) -> Owner:
        """The owner of its environments."""
        return self._owner

    def profile_of(self, nodeid: str) -> str | None:
        """Return the profile of a test, by its node id; None where it needs no environment."""
        return self._profile_of.get(nodeid)

    def pytest_sessionstart(self) -> None:
        """Find the terminal and what earlier runs took; mind the signals that end the run."""
        self._durations.load(getattr(self._config, "cache", None))
        self._showing.begin()
        self._interrupts.install()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool | None:
        """Collect nothing when environments are only built."""
        if not self._settings.build_only:
            return None
        session.items = []
        return True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Bring the environments up that the collected tests need."""
        profiles = used_environments(session)
        self._expect([item.nodeid for item in session.items], profiles)
        self._exclusive = {item.nodeid for item in session.items if is_exclusive(item)}
        self._owner.request(dict.fromkeys(profile for profile in profiles if profile is not None))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool | None:
        """Only build the environments, where that is asked for."""
        if not self._settings.build_only:
            return None
        if not self._config.getoption("setupplan", False):
            self._owner.wait_for_all()
        return True

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Learn from a worker which test runs in which environment."""
        if not self._profile_of:
            self._expect(ids, self._controller.profiles_of(node))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record that a test begins."""
        if (profile := self._profile_of.get(nodeid)) is not None:
            self._owner.tell(profile, "test.started", test=nodeid)
            if nodeid in self._exclusive:
                self._owner.wait_until_settled(profile)
                self._owner.disturb(profile, nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
        """Finish what holds an environment with its last test, before it may be removed."""
        try:
            return (yield)
        finally:
            if nextitem is None or environment_of(nextitem) != environment_of(item):
                finish_environment(self._config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let services recover from the test before."""
        if (profile := environment_of(item)) is not None and item.nodeid not in self._exclusive:
            self._owner.wait_until_settled(profile)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a failed test for its environment."""
        profile = self._profile_of.get(report.nodeid)
        if report.when in ("call", "teardown"):  # a setup may have waited for its environment
            self._durations.took(report.nodeid, profile, report.duration)
        if profile is None:
            return
        if report.when == "call" or not report.passed:
            self._owner.tell(
                profile, "test.finished", test=report.nodeid, outcome=report.outcome, when=report.when
            )
        if report.failed and self._owner.failure(profile) is None:
            failed = self._failed_tests.setdefault(profile, [])
            if not failed:
                self._owner.test_failed(profile, self._test_failure(profile, report))
            if report.nodeid not in failed:
                failed.append(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Release the environment of a test that was the last one to use it; a scheduler does so itself."""
        profile = self._profile_of.get(nodeid)
        if profile is not None and not self._controller.distributes:
            if nodeid in self._exclusive:
                self._owner.calm(profile)
            unfinished = self._unfinished[profile]
            unfinished.discard(nodeid)
            if not unfinished:
                self._owner.release(profile)

    @pytest.hookimpl(trylast=True)  # all xdist workers are gone by then
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Remove the environments, and let a failed one fail the run."""
        if session.exitstatus == pytest.ExitCode.INTERRUPTED or session.shouldfail or session.shouldstop:
            self._stopped = True
        ended_early = session.exitstatus == pytest.ExitCode.INTERNAL_ERROR or self._controller.undone
        if self._stopped or ended_early or self._controller.refusal is not None:
            self._owner.cancel()  # nobody waits any more for what is still coming up
        if self._clean_up():
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        for outcome in self._owner.outcomes().values():
            if outcome.failure is None and not (self._settings.test_only or self._settings.reuse):
                self._durations.brought_up(outcome.profile, outcome.seconds)
        self._durations.save(getattr(self._config, "cache", None))
        results = {name: outcome.ok for name, outcome in self._owner.outcomes().items()}
        self._config.stash[RESULTS] = results
        self._config.hook.pytest_esb_results(results=results)
        if self._controller.refusal is not None:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        passed = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self._controller.undone and session.exitstatus in passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if not all(results.values()) and session.exitstatus in passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif self._settings.build_only and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
        if not self._config.pluginmanager.hasplugin("terminalreporter"):  # nobody asks for a summary
            self._showing.summarize(self._owner.outcomes())

    def _clean_up(self) -> bool:
        """Wait until the environments are removed; tell of an interrupt, which ends the run, but not this."""
        interrupted = False
        while True:
            try:
                self._owner.finish()
            except KeyboardInterrupt:
                interrupted = self._interrupts.ending = True
                self._owner.cancel()
                self._showing.display.say(
                    RUN, "interrupted: the clean-up goes on; the next interrupt ends this run at once"
                )
            else:
                return interrupted

    def _say_what_is_left(self) -> None:
        """Tell who cannot wait for the clean-up what there still is, and who removes it."""
        left, reaper = self._owner.left()
        who = f"the reaper (pid {reaper})" if reaper is not None else "the next run"
        lines = [f"[esb] interrupted again: what is left is removed by {who}, or by the commands given"]
        lines += [f"[{name}] left: {thing}" for name, things in left.items() for thing in things]
        self._showing.display.write_last(lines)

    def pytest_unconfigure(self) -> None:
        """Remove what is left where an interrupt has ended the end of the session; give the signals back."""
        if not self._owner.is_done:
            self._owner.cancel()
        self._clean_up()
        self._showing.display.end()
        self._interrupts.restore()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why environments failed, and why a worker ran nothing."""
        if self._controller.refusal is not None:
            terminalreporter.write_line(f"ERROR: {self._controller.refusal}", red=True)
        elif (undone := self._controller.undone) and not self._stopped:
            terminalreporter.write_line(f"esb: no worker was left to {undone}", red=True)
        self._showing.summarize(self._owner.outcomes())

    def _expect(self, ids: Sequence[str], profiles: Sequence[str | None]) -> None:
        for nodeid, profile in zip(ids, profiles, strict=True):
            if profile is not None:
                self._profile_of[nodeid] = profile
                self._unfinished.setdefault(profile, set()).add(nodeid)
        name_of = {scenario.profile: scenario.name for scenario in self._plan.scenarios}
        self._showing.expect({nodeid: name_of[profile] for nodeid, profile in self._profile_of.items()})

    def _test_failure(self, profile: str, report: pytest.TestReport) -> Failure:
        scenario = next(s for s in self._plan.scenarios if s.profile == profile)
        crash = getattr(report.longrepr, "reprcrash", None)
        message = getattr(crash, "message", None) or str(report.longrepr)
        paths = environment_paths(scenario, self._plan.root)
        guilty = guilty_log(paths.logs, report.start - _CLOCK_SLACK, report.stop)
        name, lines = (guilty[0], tuple(tail(guilty[1], _GUILTY_LINES))) if guilty else (None, ())
        diagnosis = diagnose_test(report.nodeid, message, name, lines)
        failure = diagnosis.failure(scenario.name, "test").redacted(self._run.redact)
        return replace(failure, test=report.nodeid)

    def _environment_changed(self, profile: str) -> None:
        if (failure := self._owner.failure(profile)) is not None:
            self._showing.display.failed(failure.environment, f"failed in {failure.phase}: {failure.cause}")
        self._controller.broadcast(profile)
        self._wake()

    def _wake(self) -> None:
        self._controller.wake()
        self._owner.notify()
