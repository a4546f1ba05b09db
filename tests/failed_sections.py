"""The sections in the reports of failed tests, as the process that reports gets them."""

import json
import re
from itertools import takewhile
from pathlib import Path

CLOCK = r"\d\d:\d\d:\d\d\.\d{3}"

# Only what reaches the process that reports is of use to anybody.
CONFTEST = """
import json
from pathlib import Path

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Noting())

class Noting:
    def pytest_runtest_logreport(self, report):
        found = {title: text for title, text in report.sections if title.startswith("esb ")}
        with Path("sections.jsonl").open("a") as file:
            file.write(json.dumps([report.nodeid, report.when, found]) + "\\n")
"""
"""A conftest that writes them down."""


def sections(root: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the sections of each report of the runs in a project, by the test's name and its phase."""
    path = root / "sections.jsonl"
    reports = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return {(re.sub(r".*::(\w+)\[.*", r"\1", nodeid), when): found for nodeid, when, found in reports}


def check_traceback(logs: str, function: str, error: str, frames: tuple[str, ...]) -> None:
    """Assert that the log of a test shows a function's traceback, once, within its invocation.

    Args:
        logs: the section.
        function: the one that raised.
        error: type and message.
        frames: what the lines below it say, in their order.
    """
    lines = logs.splitlines()
    errors = [i for i, line in enumerate(lines) if re.match(rf"{CLOCK} {function}/[0-9a-f]{{8}} ERROR", line)]
    assert len(errors) == 1, logs
    (place,) = errors
    assert lines[place].endswith(f" ERROR {error}"), logs
    below = [*takewhile(lambda line: line.startswith("    "), lines[place + 1 :])]
    told = [next((i for i, line in enumerate(below) if frame in line), -1) for frame in frames]
    assert -1 not in told, logs
    assert told == sorted(told), logs
    assert f"agent INFO invoked ({function})" in "\n".join(lines[place + 1 + len(below) :]), logs
    clocks = re.findall(rf"^{CLOCK}", logs, re.MULTILINE)
    assert clocks == sorted(clocks), logs


def check_states(states: str, function: str) -> None:
    """Assert that the table tells of a service and of a function's worker."""
    assert re.search(r"^gateway +running +healthy ", states, re.MULTILINE), states
    assert re.search(rf"^{function}-[0-9a-f]{{8}} \(function\) +running ", states, re.MULTILINE), states
