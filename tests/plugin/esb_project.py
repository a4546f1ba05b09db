"""Small projects with a matrix of their own, and real pytest runs in them."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifactctl.identity import entry_id
from esb_e2e_plugin.processes import marked
from tests.distribution import fitting
from tests.lean import LEAN
from tests.ports import own_ports

CACHES = frozenset({".pytest_cache", "__pycache__"})
"""What Python and pytest write by themselves."""

ECHO = """
import json

def handler(event, context):
    print("echo was called", flush=True)
    return {"statusCode": 200, "body": json.dumps({"message": event.get("body")})}
"""

_HELD = contextlib.ExitStack()
_OUTCOME = re.compile(r"^(?:PASSED|FAILED|ERROR) (\S+?\.py::\S+)", re.MULTILINE)


class Project:
    """A project in pytester's folder, with a host folder of its own.

    Attributes:
        path: its root.
        host: what `ESB_HOST_DIR` names.
    """

    def __init__(self, pytester: pytest.Pytester, host: Path) -> None:
        self._pytester = pytester
        self.path = pytester.path
        self.host = host
        self.write("pyproject.toml", '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\n')

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project, with the folders that it needs."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def matrix(self, text: str) -> Path:
        """Write the matrix at its usual place."""
        return self.write("e2e/environments/test_matrix.yaml", text)

    def artifact(self, environment: str, functions: str | Mapping[str, Any] | None = None) -> None:
        """Write the artifact of an environment: the function `echo`, its route, no resource.

        Args:
            environment: its entry's name, which becomes the folder's.
            functions: other content of `functions.yml`: text, or what is dumped.
        """
        folder = f"e2e/artifacts/{environment}"
        echo = {"handler": "app.handler", "image": "esb-echo:latest", "runtime": "python", "timeout": 10}
        if not isinstance(functions, str):
            functions = yaml.safe_dump({"functions": functions or {"echo": echo}})
        routes = [{"path": "/api/echo", "method": "POST", "function": "echo"}]
        manifest = {
            "schema_version": "1",
            "project": "esb",
            "env": environment,
            "mode": "process",
            "artifacts": [
                {
                    "id": entry_id("template.yaml"),
                    "artifact_root": "app",
                    "runtime_config_dir": "config",
                    "source_template": {"path": "template.yaml"},
                }
            ],
        }
        self.write(f"{folder}/artifact.yml", yaml.safe_dump(manifest))
        self.write(f"{folder}/app/config/functions.yml", functions)
        self.write(f"{folder}/app/config/routing.yml", yaml.safe_dump({"routes": routes}))
        self.write(f"{folder}/app/config/resources.yml", yaml.safe_dump({"resources": {}}))
        self.write(f"{folder}/app/functions/echo/src/app.py", ECHO)

    def run(self, *args: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self._pytester.runpytest_subprocess(*LEAN, *fitting(args), timeout=120)

    def state(self, environment: str) -> Path:
        """Return the state folder of an environment."""
        return self.path / ".esb" / "e2e" / "state" / environment

    def log(self, environment: str) -> str:
        """Return the log of an environment."""
        return (self.path / "e2e" / f".parallel-{environment}.log").read_text(encoding="utf-8")

    def events(self, environment: str) -> list[dict[str, Any]]:
        """Return the events of an environment; each line has to be a JSON object."""
        lines = (self.state(environment) / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def processes(self, environment: str) -> list[int]:
        """Return the running processes that belong to an environment."""
        return list(marked(str(self.state(environment).resolve())))

    def files(self) -> dict[str, bytes]:
        """Return every file and folder of project and host folder but caches, with its content."""
        return {
            str(path): path.read_bytes() if path.is_file() else b""
            for folder in (self.path, self.host)
            for path in _walk(folder)
        }

    def assert_removed(self, environment: str) -> None:
        """Assert that nothing is left of an environment but what tells what happened to it."""
        assert self.processes(environment) == []
        assert [path.name for path in self.state(environment).iterdir()] == ["events.jsonl"]
        assert not list((self.path / ".esb" / "staging" / f"esb-{environment}").glob("**/*"))
        urls = {
            port
            for event in self.events(environment)
            for port in map(int, re.findall(r"127\.0\.0\.1:(\d+)", json.dumps(event)))
        }
        assert not [port for port in urls if listens(port)]


@functools.cache
def port_base() -> int:
    """Return the first of the ports that no other process takes as long as this one runs tests."""
    return _HELD.enter_context(own_ports())


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def entries(*names: str, artifacts: bool = True) -> str:
    """Return a matrix with one suite, `scenarios/`, and one process environment per name."""
    text = f"port_base: {port_base()}\nsuites:\n  every: {{targets: [../scenarios/]}}\nmatrix:\n"
    for name in names:
        text += f"- esb_env: {name}\n  mode: process\n  suites: [every]\n"
        if artifacts:
            text += f"  artifact_manifest: e2e/artifacts/{name}/artifact.yml\n"
            text += "  config_dir: .esb/staging/${ESB_PROJECT}-${ESB_ENV}/config\n"
    return text


def reported(result: pytest.RunResult) -> list[str]:
    """Return the node ids in the short summary that `-rA` asks for, sorted."""
    return sorted(_OUTCOME.findall(result.stdout.str()))


def collected(result: pytest.RunResult) -> list[str]:
    """Return the node ids that `--collect-only -q` lists, in its order."""
    return [line for line in result.outlines if re.match(r"\S+\.py::\S", line)]


def output(result: pytest.RunResult) -> str:
    """Return everything that a run wrote."""
    return result.stdout.str() + result.stderr.str()


def clean_environment(environ: Mapping[str, str]) -> Sequence[str]:
    """Return the variables of the outer run that would change an inner one."""
    leaking = ("ESB_", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE", "COLUMNS")
    return [name for name in environ if name.startswith(leaking) or name in ("CI", "ARTIFACTCTL_BIN")]


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else []:
        if entry.name in CACHES or entry.name in ("stdout", "stderr") or entry.name.startswith("runpytest-"):
            continue  # pytester's own files
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
