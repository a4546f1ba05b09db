"""A failed test says in its own report what its requests caused, down to the function that raised."""

import re
from xml.etree import ElementTree as ET

import pytest

from tests.failed_sections import CONFTEST, check_states, check_traceback, sections
from tests.plugin.esb_project import Project

ENVIRONMENT = "e2e-local"

MATRIX = f"""
suites:
  all: {{targets: [../scenarios/]}}
matrix:
- esb_env: {ENVIRONMENT}
  suites: [all]
  artifact_manifest: e2e/artifacts/{ENVIRONMENT}/artifact.yml
  config_dir: .esb/staging/${{ESB_PROJECT}}-${{ESB_ENV}}/config
"""

FUNCTIONS = """
import json

import boto3


class OutOfStockError(Exception):
    pass


def take_from_stock(name):
    raise OutOfStockError(name)


def raiser(event, context):
    take_from_stock(event["name"])


def caller(event, context):
    request = json.loads(event["body"])
    kind = "Event" if request["late"] else "RequestResponse"
    payload = json.dumps({"name": request["name"]})
    answer = boto3.client("lambda").invoke(FunctionName="raiser", InvocationType=kind, Payload=payload)
    return {"statusCode": 500 if "FunctionError" in answer else 202}
"""

SCENARIOS = """
import json

def test_sync(esb_gateway):
    assert esb_gateway.post("/api/echo", json={"name": "sync pear", "late": False}).status_code == 200

def test_async(esb_gateway):
    assert esb_gateway.post("/api/echo", json={"name": "async pear", "late": True}).status_code == 200

def test_sdk_sync(esb_lambda):
    answer = esb_lambda.invoke(FunctionName="raiser", Payload=json.dumps({"name": "sdk sync pear"}))
    answer["Payload"].read()
    assert "FunctionError" not in answer

def test_sdk_async(esb_lambda):
    payload = json.dumps({"name": "sdk async pear"})
    esb_lambda.invoke(FunctionName="raiser", InvocationType="Event", Payload=payload)["Payload"].read()
    raise AssertionError("at once")

def test_green(esb_gateway):
    esb_gateway.get("/health")
"""

CRASH = """
import os

def test_crash(esb_gateway):
    esb_gateway.post("/api/echo", json={"name": "crash pear", "late": False})
    os._exit(3)
"""

TEARDOWN = """
import pytest

@pytest.fixture
def broken(esb_gateway):
    yield
    assert esb_gateway.post("/api/nowhere").status_code == 200

def test_torn_down(broken):
    pass
"""

FRAMES = ("in raiser", 'take_from_stock(event["name"])', "in take_from_stock", "raise OutOfStockError(name)")


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with a function that calls another one, which raises."""
    function = {"image": "esb-echo:latest", "runtime": "python", "timeout": 10}
    project.matrix(MATRIX)
    project.artifact(
        ENVIRONMENT,
        {"echo": {**function, "handler": "app.caller"}, "raiser": {**function, "handler": "app.raiser"}},
    )
    for name in ("echo", "raiser"):
        project.write(f"e2e/artifacts/{ENVIRONMENT}/app/functions/{name}/src/app.py", FUNCTIONS)
    project.write("conftest.py", CONFTEST)
    project.write("e2e/scenarios/test_pears.py", SCENARIOS)
    return project


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_failed_test_shows_the_traceback_of_the_function_that_raised(shop: Project, workers: str) -> None:
    """However it was invoked: by a function or an SDK, waited for or not; green tests show nothing."""
    names = ["sync", "async", "sdk_sync", "sdk_async"]
    if workers == "-n2":
        shop.write("e2e/scenarios/test_crash.py", CRASH)
        names.append("crash")
    shop.write("e2e/scenarios/test_teardown.py", TEARDOWN)
    result = shop.run("--esb-profile", ENVIRONMENT, workers, "--junitxml=junit.xml")
    assert result.ret == 1
    found = sections(shop.path)
    check_requests(found["test_sync", "call"]["esb requests"])
    for name in names:
        phase = "???" if name == "crash" else "call"
        own = found.pop((f"test_{name}", phase))
        assert "esb requests" in own or name == "crash"
        pear = f"{name.replace('_', ' ')} pear"
        check_traceback(own["esb logs"], "raiser", f"OutOfStockError: {pear}", FRAMES)
        check_states(own["esb containers"], "raiser")
    torn_down = found.pop(("test_torn_down", "teardown"))
    assert "POST /api/nowhere -> 404" in torn_down["esb requests"]
    assert "gateway INFO POST /api/nowhere 404" in torn_down["esb logs"]
    assert {text for own in found.values() for text in own.values()} == set()
    output = result.stdout.str()
    assert output.count("- esb logs -") == len(names) + 1
    check_junit(shop, len(names) + 1)


def check_requests(requests: str) -> None:
    """Assert that a request is told with its identity, its body, and without a secret."""
    assert re.search(r"POST /user/auth/v1 -> 200 in \d+ ms \(request [0-9a-f-]{36}\)", requests)
    assert '"PASSWORD": "***"' in requests
    assert '"IdToken":"***"' in requests
    assert re.search(r"POST /api/echo -> 500 in \d+ ms", requests)
    assert '    sent: {"name": "sync pear", "late": false}' in requests


def check_junit(project: Project, failed: int) -> None:
    """Assert that the JUnit file has the sections of each failed test, and of those only."""
    cases = [*ET.parse(project.path / "junit.xml").iter("testcase")]  # noqa: S314  made by this test
    outputs = {case.get("name", ""): [out.text or "" for out in case.iter("system-out")] for case in cases}
    logs = [texts for texts in outputs.values() if any(text.startswith("esb logs\n") for text in texts)]
    assert len(logs) == failed
    assert outputs[f"test_green[{ENVIRONMENT}]"] == []
