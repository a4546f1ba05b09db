"""The end of the output: why each failed environment failed, and how all of them did."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pytest

from esb_e2e_plugin.context import environment_paths
from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.invocation import invocation, node_id, removal
from esb_e2e_plugin.lifecycle.backend import project_of
from esb_e2e_plugin.lifecycle.engine import PROJECT_LABEL
from esb_e2e_plugin.owner import Outcome
from esb_e2e_plugin.planner import Plan, Scenario
from esb_e2e_plugin.reporting.blocks import Place, block
from esb_e2e_plugin.reporting.board import ERROR, FAILED, Standing
from esb_e2e_plugin.reporting.table import table
from esb_e2e_plugin.settings import Settings


class Writer(Protocol):
    """As much of pytest's terminal reporter as is needed."""

    def write_sep(self, sep: str, title: str, **markup: bool) -> None:
        """Write a title in the middle of a line."""

    def write_line(self, line: str, **markup: bool) -> None:
        """Write a line."""


class LineWriter:
    """Stands in for pytest's reporter where there is none."""

    def __init__(self, write: Callable[[Sequence[str]], None], columns: int) -> None:
        """Write lines by `write`, titles `columns` wide."""
        self._write = write
        self._columns = columns

    def write_sep(self, sep: str, title: str, **_markup: bool) -> None:
        """Write a title in the middle of a line."""
        self._write([f" {title} ".center(self._columns, sep)])

    def write_line(self, line: str, **_markup: bool) -> None:
        """Write a line."""
        self._write(line.split("\n"))


class Closing:
    """Writes the end of one session's output."""

    def __init__(self, config: pytest.Config, settings: Settings, plan: Plan) -> None:
        """Write about the environments of `plan`."""
        self._settings = settings
        self._plan = plan
        self._rootpath = config.rootpath
        self._folder = config.invocation_params.dir
        option = config.option
        self._more = ["-c", option.inifilename] if getattr(option, "inifilename", None) else []
        self._more += ["--rootdir", option.rootdir] if getattr(option, "rootdir", None) else []

    def write(
        self,
        writer: Writer,
        outcomes: Mapping[str, Outcome],
        standings: Sequence[Standing],
        *,
        errors: Sequence[Any],
        columns: int,
        with_table: bool,
    ) -> None:
        """Write one block for each failed environment, then the table.

        Args:
            writer: where to.
            outcomes: how each environment did that was needed.
            standings: what is known of all environments.
            errors: pytest's reports of tests that ended in an error.
            columns: how wide the terminal is.
            with_table: whether the table is wanted.
        """
        scenarios = {scenario.name: scenario for scenario in self._plan.scenarios}
        said = [str(error.longrepr) for error in errors]
        for name, outcome in outcomes.items():
            for failure in (outcome.failure, outcome.cleanup):
                if failure is not None:
                    title = f"Failed: {failure.environment} > {failure.phase}"
                    writer.write_sep("=", title, red=True, bold=True)
                    place = self._place(scenarios[name], failure, outcome)
                    lines = block(
                        failure,
                        place,
                        tests=said.count(failure.one_line()),
                        tail=outcome.tail,
                        cleaned_up=outcome.cleanup is None,
                    )
                    for line in lines:
                        writer.write_line(line)
        if with_table and any(standing.phase for standing in standings):
            writer.write_sep("=", "environments", bold=True)
            results = [_result(standing, outcomes.get(standing.name)) for standing in standings]
            for line in table(standings, results, columns):
                failed = any(result in line for result in results if result.startswith("failed"))
                writer.write_line(line, red=failed)

    def _place(self, scenario: Scenario, failure: Failure, outcome: Outcome) -> Place:
        paths = environment_paths(scenario, self._plan.root)
        entry = scenario.entry
        if entry.mode == "process":
            look = f"ls {shlex.quote(str(paths.logs))}"
        else:
            context = f" --context {shlex.quote(entry.docker_context)}" if entry.docker_context else ""
            label = shlex.quote(f"label={PROJECT_LABEL}={project_of(scenario)}")
            look = f"docker{context} ps --all --filter {label}"
        return Place(
            command=invocation(scenario, self._settings, self._folder, map(os.fspath, self._more)),
            removal=removal(scenario, self._settings, self._folder),
            test=node_id(failure.test, self._rootpath, self._folder) if failure.test else "",
            running=outcome.left_running,
            attached=self._settings.test_only,
            look=look,
            log=str(paths.log),
        )


def _result(standing: Standing, outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    if outcome.failure is not None and outcome.failure.test is None:
        return f"failed in {outcome.failure.phase}"
    if outcome.failure is not None or standing.counts[FAILED] or standing.counts[ERROR]:
        return "failed"
    if outcome.cleanup is not None:
        return "failed in cleanup"
    return "cut short" if outcome.cut_short else "passed"
