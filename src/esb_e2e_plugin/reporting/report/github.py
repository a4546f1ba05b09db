"""Annotations of GitHub Actions: one workflow command for each failed environment and each failed test.

Source: "Workflow commands for GitHub Actions", "Setting an error message".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os.path import relpath
from pathlib import Path

from esb_e2e_plugin.reporting.report.records import BAD_OUTCOMES, RunRecord, TestRecord

_MOST_TESTS = 50  # GitHub shows no more of one job


def workflow_commands(
    run: RunRecord, places: Mapping[str, tuple[Path, int]], test_root: Path, workspace: Path
) -> Iterator[str]:
    """Yield the workflow commands of a run, environments first.

    A test that failed only because its environment had failed is told by that one.

    Args:
        run: what happened.
        places: file and line of each environment in the matrix, by its name.
        test_root: what the files of tests are relative to.
        workspace: the checkout, which GitHub takes paths from.
    """
    told = set()
    for environment in run.environments:
        own = [failure for failure in environment.failures if failure.test is None]
        for failure in own:
            told.add(environment.name)
            file, line = places[environment.name]
            text = failure.cause + (f"\n{failure.remedy}" if failure.remedy else "")
            yield _error(file, line, f"{environment.name} failed in {failure.phase}", text, workspace)
    bad = [test for test in run.tests if test.outcome in BAD_OUTCOMES and not _told(test, told)]
    for test in bad[:_MOST_TESTS]:
        line = test.failed_line or test.line or 1
        title = f"{test.outcome}: {test.id.rpartition('::')[2]}"
        yield _error(test_root / test.file, line, title, f"{test.id}\n{test.message}".strip(), workspace)
    if (more := len(bad) - _MOST_TESTS) > 0:
        yield f"::error title={more} more::{more} more tests failed; the log and the report name them"


def _told(test: TestRecord, environments: set[str]) -> bool:
    return test.environment in environments and test.message.startswith(f"[{test.environment}] failed in ")


def _error(file: Path, line: int, title: str, text: str, workspace: Path) -> str:
    path = relpath(file, workspace) if file.is_relative_to(workspace) else str(file)
    return f"::error file={_property(path)},line={line},title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
