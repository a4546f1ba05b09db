"""`--esb-reuse`: what is kept, what is redone and why, and what a kill in the middle leaves of it."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.faults.project import ENVIRONMENT, Project
from tests.faults.run import RUN_SECONDS, Result
from tests.faults.test_faults_reaper import check_kept, kill_and_wait_for_the_reaper, status
from tests.waiting import eventually, until_it_ends

REUSE = ("-n0", "--esb-reuse")
SOURCE = "e2e/artifact/tiny/functions/hello/src/app.py"
FUNCTION = """
def handler(event, context):
    return {{"statusCode": 200, "body": "{answer}"}}
"""
TEST = """
def test_hello(esb_gateway):
    assert esb_gateway.post("/api/hello").text == "{answer}"
"""
HOOK = """
from pathlib import Path

def pytest_esb_deploy(environment, log):
    with Path("deployed").open("a") as file:
        file.write(environment.run_id + "\\n")
"""
HOLD_DEPLOY = """
import time
from pathlib import Path

def pytest_esb_deploy(environment, log):
    end = time.monotonic() + 120
    while Path("hold-deploy").exists() and time.monotonic() < end:
        Path("held-deploy").touch()
        time.sleep(0.02)
"""


def services(project: Project) -> dict[str, int]:
    """Return the pids of the environment's services."""
    found = json.loads((project.state / "state.json").read_text())["services"]
    return {name: service["pid"] for name, service in found.items()}


def decided(project: Project) -> str:
    """Return what the last run has decided, and why."""
    (event,) = [event for event in project.events() if event["kind"] == "env.reuse"]
    return f"{event['decision']}: {event['why']}"


def phases(project: Project) -> list[str]:
    """Return the phases of the last run."""
    return [event["phase"] for event in project.events() if event["kind"] == "phase.started"]


def check(project: Project, result: Result, decision: str) -> None:
    """Assert that a run was green, left the environment, and says what it has decided."""
    assert result.code == 0, result.output + result.log
    assert f"[{ENVIRONMENT}] {decision}" in result.output
    assert decided(project) == decision
    check_kept(project)


def test_only_what_changed_is_redone(project: Project) -> None:
    """Function, resources, hook: new behaviour each time, on services that stay where they can."""
    first = project.run(*REUSE)
    check(project, first, f"anew: {ENVIRONMENT} is not running")
    up = services(project)
    check(project, project.run(*REUSE), "reused: nothing changed")
    assert phases(project) == ["test"]

    project.write(SOURCE, FUNCTION.format(answer="changed"))
    project.write("e2e/scenarios/test_tiny.py", TEST.format(answer="changed"))
    project.write("conftest.py", HOOK)
    deployed = project.root / "deployed"
    check(project, project.run(*REUSE), "redeploy: hello sources changed, conftest.py is new")
    assert phases(project) == ["deploy", "test"]
    assert len(deployed.read_text().splitlines()) == 1
    check(project, project.run(*REUSE), "reused: nothing changed")
    assert len(deployed.read_text().splitlines()) == 1
    assert services(project) == up

    resources = {"resources": {"s3": [{"BucketName": "other"}]}}
    project.write("e2e/artifact/tiny/config/resources.yml", resources)
    check(project, project.run(*REUSE), "anew: resources.yml changed")
    assert phases(project) == ["reset", "compose", "deploy", "test"]
    assert not set(services(project).values()) & set(up.values())
    removed = project.run("-n0")
    assert removed.code == 0, removed.output
    project.check_nothing_left()


def test_a_failed_test_leaves_it_and_an_ended_service_does_not(project: Project) -> None:
    """What a test thinks of the environment is no fault of it; what its services do is: also of `esb up`."""
    up = subprocess.run(
        [sys.executable, "-m", "esb_cli", "up", "--env", ENVIRONMENT],
        cwd=project.root,
        env=project.variables(),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert up.returncode == 0, up.stderr
    project.write("e2e/scenarios/test_tiny.py", TEST.format(answer="never"))
    failed = project.run(*REUSE)
    assert failed.code == 1, failed.output
    assert decided(project) == "reused: nothing changed"
    check_kept(project)
    project.write("e2e/scenarios/test_tiny.py", TEST.format(answer="hello"))
    os.kill(services(project)["database"], signal.SIGKILL)
    check(project, project.run(*REUSE), "anew: database is not running")
    fresh = project.run(*REUSE, "--esb-no-cache")
    check(project, fresh, "anew: --esb-no-cache builds every image")

    project.write("e2e/scenarios/test_tiny.py", KILLING)
    broken = project.run(*REUSE)
    assert broken.code == 1, broken.output
    assert f"= Failed: {ENVIRONMENT} > test =" in broken.output
    project.check_nothing_left()


KILLING = """
import json, os, signal, time
from pathlib import Path

def test_kill(esb_environment):
    state = json.loads((esb_environment.paths.state / "state.json").read_text())
    os.kill(state["services"]["agent"]["pid"], signal.SIGKILL)
    end = time.monotonic() + 60
    while state["status"] != "failed" and time.monotonic() < end:
        state = json.loads((esb_environment.paths.state / "state.json").read_text())
"""


def test_what_a_killed_run_has_reused_is_reused_again(project: Project) -> None:
    """Its reaper leaves it, as its owner would have."""
    up = project.run(*REUSE)
    assert up.code == 0, up.output
    project.hold.touch()
    run = project.start(*REUSE)
    run.reach("test")
    kill_and_wait_for_the_reaper(run)
    check_kept(project)
    project.hold.unlink()
    check(project, project.run(*REUSE), "reused: nothing changed")


@pytest.mark.parametrize("also", ["", "and its reaper"])
def test_what_a_kill_leaves_half_deployed_is_not_trusted(project: Project, also: str) -> None:
    """The next run begins anew, whether or not the reaper could do its work."""
    project.write("conftest.py", HOLD_DEPLOY)
    up = project.run(*REUSE)
    assert up.code == 0, up.output
    project.write(SOURCE, FUNCTION.format(answer="changed"))
    project.write("e2e/scenarios/test_tiny.py", TEST.format(answer="changed"))
    (project.root / "hold-deploy").touch()
    run = project.start(*REUSE)
    eventually((project.root / "held-deploy").exists, "the second deploy is under way")
    reaper = run.reaper()
    with until_it_ends(reaper):
        if also:
            os.kill(reaper, signal.SIGKILL)
        os.kill(run.pid, signal.SIGKILL)
        run.process.wait(30)
    assert status(project) == ("starting" if also else None)
    (project.root / "hold-deploy").unlink()
    reason = "its last run was cut short in deploy" if also else f"{ENVIRONMENT} is not running"
    check(project, project.run(*REUSE), f"anew: {reason}")


def test_it_contradicts_what_changes_nothing(project: Project) -> None:
    """Told before anything is started."""
    refused = project.run(*REUSE, "--esb-test-only")
    assert refused.code == 4, refused.output
    assert "--esb-reuse (command line) and --esb-test-only (command line) contradict" in refused.output
    project.check_nothing_left()
