"""`esb` as a shell calls it, in projects of a test's own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.plugin.esb_project import Project, entries

SECONDS = 120
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


class Shell:
    """A folder in which `esb` is called, without a terminal.

    Attributes:
        folder: the folder.
        variables: all variables of the calls.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = {**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1", **variables}

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """Start `esb`, in a session of its own; its output is piped."""
        return subprocess.Popen(
            [sys.executable, "-m", "esb_cli", *arguments],
            cwd=self.folder,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def esb(self, *arguments: str, code: int = 0, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run `esb` to its end, and check its exit code and that it prints no traceback."""
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == code, out + err
        assert "Traceback" not in out + err, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, *arguments: str, code: int = 0, **variables: str) -> dict[str, Any]:
        """Run `esb` with --json, and return its answer."""
        found: dict[str, Any] = json.loads(self.esb(*arguments, "--json", code=code, **variables).stdout)
        assert found["ok"] is (code == 0 or "error" not in found)
        return found


def local_project(folder: Path, *names: str) -> Project:
    """Return a project whose environments are processes, each with one function, `echo`."""
    folder.mkdir(parents=True, exist_ok=True)
    project = Project(cast(pytest.Pytester, SimpleNamespace(path=folder)), folder / "host")
    project.matrix(entries(*names))
    for name in names:
        project.artifact(name)
    (folder / "e2e/scenarios").mkdir(exist_ok=True)
    return project


def shell_in(project: Project, **variables: str) -> Shell:
    """Return a shell in the root of a project."""
    return Shell(project.path, {"ESB_HOST_DIR": str(project.host), **variables})
