"""A project with tests of every outcome, on environments of which one does not come up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree as ET

import yaml

from artifactctl.identity import entry_id
from esb_e2e_plugin.reporting.report.files import read
from esb_e2e_plugin.reporting.report.records import RunRecord, TestRecord
from tests.plugin.esb_project import ECHO, entries

GOOD, BAD, BROKEN = "shop-one", "shop-two", "shop-broken"

_CONFTEST = """
import pytest

def pytest_esb_deploy(environment, log):
    if environment.name == "shop-broken":
        raise RuntimeError("the stock cannot be loaded")

@pytest.fixture
def no_stock(esb_environment):
    raise LookupError("no stock")
"""

_TESTS = """
import os
import pytest

def test_order(esb_gateway):
    assert esb_gateway.post("/api/echo", data="order").status_code == 200

@pytest.mark.parametrize("till", ["first", "second"])
def test_till(esb_environment, esb_gateway, till):
    esb_gateway.post("/api/echo", data="</script><b>the till is closed</b>")
    print("the password is", esb_environment.credentials.auth_pass)
    if (esb_environment.name, till) == ("shop-two", "second"):
        closed = esb_environment.credentials.auth_pass
        assert closed == "open", "the till does not open"

def test_stock(no_stock):
    pass

def test_crash(esb_environment):
    if esb_environment.name == "shop-two":
        os.kill(os.getpid(), 9)

def test_later(esb_environment):
    pytest.skip("tomorrow")

@pytest.mark.xfail(reason="not yet")
def test_wished(esb_environment):
    assert False

@pytest.mark.xfail(reason="too early")
def test_early(esb_environment):
    pass

def test_arithmetic():
    assert 1 + 1 == 2
"""


@dataclass(frozen=True)
class ReportedRun:
    """What a run has left.

    Attributes:
        root: the project.
        code: pytest's exit code.
        output: what it wrote.
    """

    root: Path
    code: int
    output: str

    @property
    def json(self) -> Path:
        """The JSON report."""
        return self.root / "reports/run.json"

    @property
    def html(self) -> Path:
        """The report as a page."""
        return self.json.with_suffix(".html")

    @cached_property
    def run(self) -> RunRecord:
        """What it says."""
        (run,) = read(self.json).runs
        return run

    @cached_property
    def junit(self) -> ET.Element:
        """The root of the JUnit file."""
        return ET.fromstring((self.root / "junit.xml").read_text())  # noqa: S314  from this run

    def test(self, name: str) -> TestRecord:
        """Return the test whose node id ends in `name`."""
        (found,) = (test for test in self.run.tests if test.id.endswith(f"::{name}"))
        return found


def arguments() -> list[str]:
    """Return the options of the run."""
    names = ",".join((GOOD, BAD, BROKEN))
    reports = ["--esb-report", "reports/run.json", "--esb-report", "reports/run.html"]
    return ["--esb-profile", names, *reports, "--junitxml", "junit.xml"]


def write_project(root: Path) -> None:
    """Write the project's files."""
    files = {
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-p no:cacheprovider"\n',
        "e2e/environments/test_matrix.yaml": entries(GOOD, BAD, BROKEN),
        "conftest.py": _CONFTEST,
        "e2e/scenarios/test_shop.py": _TESTS,
    }
    functions = {"echo": {"handler": "app.handler", "image": "esb-echo:latest", "runtime": "python"}}
    routes = [{"path": "/api/echo", "method": "POST", "function": "echo"}]
    for name in (GOOD, BAD, BROKEN):
        folder = f"e2e/artifacts/{name}"
        entry = {
            "id": entry_id("template.yaml"),
            "artifact_root": "app",
            "runtime_config_dir": "config",
            "source_template": {"path": "template.yaml"},
        }
        manifest = {"schema_version": "1", "project": "esb", "env": name, "mode": "process"}
        files[f"{folder}/artifact.yml"] = yaml.safe_dump({**manifest, "artifacts": [entry]})
        files[f"{folder}/app/config/functions.yml"] = yaml.safe_dump({"functions": functions})
        files[f"{folder}/app/config/routing.yml"] = json.dumps({"routes": routes})
        files[f"{folder}/app/config/resources.yml"] = "resources: {}\n"
        files[f"{folder}/app/functions/echo/src/app.py"] = ECHO
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
