"""A whole run, green, leaves nothing but its results."""

import pytest

from tests.faults.project import ENVIRONMENT, Project


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_a_green_run_leaves_nothing_but_its_results(project: Project, distribution: str) -> None:
    """Processes, ports, locks and files are the same before and after, but for log and events."""
    before = project.files()
    assert project.left_over() == []
    result = project.run(distribution)
    assert result.code == 0, result.output
    assert "2 passed" in result.output
    shown = (
        "test session starts",
        "] reset: done",
        "] compose: done",
        "] deploy: done",
        "] removed",
        "2 passed",
    )
    assert sorted(shown, key=result.output.index) == list(shown)
    project.check_nothing_left()
    results = {f"e2e/.parallel-{ENVIRONMENT}.log", f".esb/e2e/state/{ENVIRONMENT}/events.jsonl"}
    folders = {".esb", ".esb/e2e", ".esb/e2e/state", f".esb/e2e/state/{ENVIRONMENT}"}
    assert project.files() - before == results | folders
