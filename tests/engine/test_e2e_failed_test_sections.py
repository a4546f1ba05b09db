"""On an engine, too, a failed test says in its own report which function raised."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.e2e_docker_project import making_projects
from tests.engine.images import IMAGE
from tests.engine.platform_project import Platform
from tests.failed_sections import CONFTEST, check_states, check_traceback, sections

pytestmark = pytest.mark.engine

CALLER, RAISER = "lambda-integration", "lambda-probe"
TESTS = "e2e/scenarios/smoke/test_smoke_raising.py"

SCENARIOS = f"""
def test_sync(esb_gateway):
    answer = esb_gateway.post("/api/lambda", json={{"next_target": "{RAISER}"}})
    assert answer.status_code == 200

def test_async(esb_gateway):
    answer = esb_gateway.post("/api/lambda", json={{"next_target": "{RAISER}", "async": True}})
    assert answer.status_code == 202

def test_sdk_async(esb_lambda):
    esb_lambda.invoke(FunctionName="{RAISER}", InvocationType="Event", Payload=b"{{}}")
    raise AssertionError("at once")
"""
FRAMES = ("in handler", 'action = request["action"]')


class Raising(Platform):
    """The platform with two functions, of which one raises where the other calls it."""

    def _write_files(self) -> None:
        super()._write_files()
        config = f"e2e/artifacts/{self.environment}/template.e2e/config"
        functions = yaml.safe_load((self.root / config / "functions.yml").read_text())["functions"]
        routes = yaml.safe_load((self.root / config / "routing.yml").read_text())["routes"]
        self.write(f"{config}/functions.yml", {"functions": {n: functions[n] for n in (CALLER, RAISER)}})
        self.write(f"{config}/routing.yml", {"routes": [r for r in routes if r["function"] == CALLER]})
        self.write(TESTS, SCENARIOS)
        self.write("conftest.py", CONFTEST)

    def write_matrix(self, **more: Any) -> None:
        """Write the matrix: no image is built from fixtures, and no circuit opens."""
        variables = {"ESB_SERVICES_IMAGE": IMAGE, "CIRCUIT_BREAKER_THRESHOLD": "100"}
        super().write_matrix(image_uri_overrides={}, image_runtime_overrides={}, env_vars=variables, **more)


class RaisingInContainerd(Raising):
    """The same, with functions in a containerd."""

    environment = "e2e-containerd"


@pytest.fixture
def platform(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Raising]:
    """A copy of the project's environments, with what raises."""
    with making_projects(tmp_path) as make:
        project = make("raising", kind=request.param)
        assert isinstance(project, Raising)
        yield project


@pytest.mark.parametrize(
    "platform",
    [pytest.param(Raising, id="docker"), pytest.param(RaisingInContainerd, id="containerd")],
    indirect=True,
)
def test_a_failed_test_shows_the_traceback_of_the_function_that_raised(platform: Raising) -> None:
    """Waited for or not, from one process and from workers; the second run uses what the first has kept."""
    for options in (("-n0", "--esb-keep"), ("-n2", "--esb-test-only")):
        result = platform.run(*options, "--esb-test-target", TESTS)
        assert "3 failed" in result.output, result.output
        found = sections(platform.root)
        for name in ("sync", "async", "sdk_async"):
            own = found[f"test_{name}", "call"]
            check_traceback(own["esb logs"], RAISER, "KeyError: 'action'", FRAMES)
            check_states(own["esb containers"], RAISER)
            assert "/api/lambda -> " in own["esb requests"] or name == "sdk_async"
