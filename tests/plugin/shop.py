"""A project with one environment, whose conftest notes each hook, and what its runs tell."""

from __future__ import annotations

import json
import re

import pytest

from tests.plugin.esb_project import Project

HOOKS = """
import json, os
from pathlib import Path

FILE = Path(__file__).with_name("hooks.jsonl")

def note(hook, **facts):
    with FILE.open("a") as file:
        file.write(json.dumps({"hook": hook, "pid": os.getpid(), **facts}) + "\\n")

def pytest_esb_deploy(environment, log):
    log("the project deploys")
    note("deploy", name=environment.name, url=environment.urls.gateway)

def pytest_esb_environment_ready(environment):
    note("ready", name=environment.name)

def pytest_esb_environment_failed(environment, failure):
    note("failed", name=environment, phase=failure.phase)

def pytest_esb_results(results):
    note("results", results=results)

def pytest_unconfigure(config):
    import esb_e2e_plugin
    if esb_e2e_plugin.RESULTS in config.stash:
        note("stash", results=config.stash[esb_e2e_plugin.RESULTS])
"""


ECHO_TEST = """
def test_echo(esb_gateway):
    response = esb_gateway.post("/api/echo", json={"x": 1})
    assert response.status_code == 200
"""


def hooks(project: Project) -> list[dict[str, object]]:
    """Return which hooks were called since the last time."""
    path = project.path / "hooks.jsonl"
    noted = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return noted


def hook_names(project: Project) -> list[object]:
    return [note["hook"] for note in hooks(project)]


def phases(project: Project, environment: str) -> list[tuple[str, str, bool | None]]:
    """Return what the events say of the phases: start or finish, name, success."""
    return [
        (event["kind"].removeprefix("phase."), event["phase"], event.get("ok"))
        for event in project.events(environment)
        if event["kind"] in ("phase.started", "phase.finished")
    ]


def ran(*names: str) -> list[tuple[str, str, bool | None]]:
    """Return what the events say of phases that went well."""
    return [entry for name in names for entry in (("started", name, None), ("finished", name, True))]


def failure_block(result: pytest.RunResult, title: str) -> str:
    """Return the block of the summary with a title, without the next ones."""
    text = result.stdout.str()
    assert text.count(f" Failed: {title} ") == 1, text
    return re.split(r"\n={3,}", text.split(f" Failed: {title} ")[1])[0]
