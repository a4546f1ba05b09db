"""One real run with several environments in which something of each kind goes wrong, shared by all tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esb_e2e_plugin.processes import end_marked
from tests.lean import LEAN
from tests.report.report_project import ReportedRun, arguments, write_project

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReportedRun]:
    """A run with xdist on three environments, with reports, a JUnit file and annotations."""
    folder = tmp_path_factory.mktemp("reported")
    root = folder / "project"
    write_project(root)
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ESB_HOST_DIR": str(folder / "host"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(root),
    }
    command = [sys.executable, "-m", "pytest", *LEAN, *arguments(), "-n", "2"]
    try:
        done = subprocess.run(
            command, cwd=root, env=variables, capture_output=True, text=True, timeout=180, check=False
        )
        yield ReportedRun(root, done.returncode, done.stdout + done.stderr)
    finally:
        for state in (root / ".esb/e2e/state").glob("*"):
            end_marked(str(Path(state).resolve()), 10)


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Chrome"]:
    """A browser for all tests; each opens a page of its own."""
    from tests.report.chromium import chromium

    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser
