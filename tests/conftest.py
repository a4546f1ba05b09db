"""What every test of the project starts from: a clean environment, and tools that answer.

Tests marked with a tool that does not answer are deselected and counted; with `CI` set they run, and fail.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

_TOOLS = {
    "engine": ("docker", "info"),
    "browser": ("chromedriver", "--version"),
    "jdk": ("javac", "-version"),
    "registry": ("docker-registry", "--version"),
}
_LEAKING = ("ESB_", "PYTEST_XDIST_")
_COUNTS = "deselected_by_tool"
_DESELECTED = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    """Register a marker for each tool."""
    for name, command in _TOOLS.items():
        config.addinivalue_line(
            "markers", f"{name}: needs `{' '.join(command)}` to answer; deselected where it does not"
        )
    config.stash[_DESELECTED] = {}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets what it starts in the background ignore Ctrl-C, and so would every run under test.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests whose tool does not answer."""
    if os.environ.get("CI"):
        return
    dropped = {item: tool for item in items if (tool := _missing_tool(item)) is not None}
    if not dropped:
        return
    counts = config.stash[_DESELECTED]
    for tool in dropped.values():
        counts[tool] = counts.get(tool, 0) + 1
    config.hook.pytest_deselected(items=list(dropped))
    items[:] = [item for item in items if item not in dropped]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts of an xdist worker to the controller."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_COUNTS] = session.config.stash[_DESELECTED]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over the counts of a worker; every worker says the same."""
    node.config.stash[_DESELECTED].update(getattr(node, "workeroutput", {}).get(_COUNTS, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many tests a missing tool has cost."""
    for tool, count in config.stash[_DESELECTED].items():
        command = " ".join(_TOOLS[tool])
        terminalreporter.write_line(f"{count} test(s) deselected: {tool} is missing (`{command}` fails)")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Keep what selects environments or tells of this run away from the runs that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith(_LEAKING) or name in ("CI", "PYTEST_ADDOPTS"):
                patch.delenv(name)
        yield


def _missing_tool(item: pytest.Item) -> str | None:
    return next((tool for tool in _TOOLS if item.get_closest_marker(tool) and not _answers(tool)), None)


@cache
def _answers(tool: str) -> bool:
    try:
        return subprocess.run(_TOOLS[tool], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
