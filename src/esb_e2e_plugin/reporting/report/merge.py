"""Several reports made one, such as those of the shards of a CI run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.reporting.report.files import read, write
from esb_e2e_plugin.reporting.report.limits import Budget
from esb_e2e_plugin.reporting.report.records import Report, RunRecord
from esb_e2e_plugin.reporting.report.wanted import check_writable
from esb_e2e_plugin.settings import REPORT_SUFFIXES


def merge(paths: Sequence[Path], out: Path) -> Report:
    """Make one report of several, write it, and return it.

    Args:
        paths: reports of `--esb-report`, or merged ones; a run that several of them hold counts once.
        out: the file to write, `.html` or `.json`; it may be one of `paths`.

    Raises:
        UserError: a file is no report, or `out` cannot be written; nothing is written then.
    """
    if not paths:
        raise UserError("no report is given", "name the reports to merge")
    if out.suffix not in REPORT_SUFFIXES:
        expected = " or ".join(REPORT_SUFFIXES)
        raise UserError(f"{out}: unknown suffix {out.suffix!r}", f"name a file that ends in {expected}")
    check_writable([out.absolute()], "OUT")
    report = merged(read(path) for path in paths)
    try:
        write(report, out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}", "name another file") from None
    return report


def merged(reports: Iterable[Report]) -> Report:
    """Return one report with the runs of all, in the order of their start; the last copy of a run counts."""
    runs: dict[str, RunRecord] = {}
    for report in reports:
        runs.update((run.id, run) for run in report.runs)
    budget = Budget()
    in_order = sorted(runs.values(), key=lambda run: (run.started, run.id))
    return Report(runs=tuple(_within(run, budget) for run in in_order))


def _within(run: RunRecord, budget: Budget) -> RunRecord:
    tests = (
        replace(test, sections=budget.spend(test.sections)) if test.sections else test for test in run.tests
    )
    return replace(run, tests=tuple(tests))
