"""Functions on the engine and in a containerd, in one command: results of their own."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.platform_project import MATRIX, SMOKE, Platform, making_platform
from tests.faults.run import Result

pytestmark = pytest.mark.engine

DOCKER, CONTAINERD = "e2e-docker", "e2e-containerd"
WARM = "lambda-warm"
TESTS = 3  # of test_smoke_health.py


class Both(Platform):
    """The platform in both environments, with one function, and with tests that call none."""

    environment = f"{DOCKER},{CONTAINERD}"

    def _write_files(self) -> None:
        super()._write_files()
        for name in (DOCKER, CONTAINERD):
            config = f"e2e/artifacts/{name}/template.e2e/config"
            functions = yaml.safe_load((self.root / config / "functions.yml").read_text())
            functions["functions"] = {WARM: functions["functions"][WARM]}
            self.write(f"{config}/functions.yml", functions)
            self.write(f"{config}/routing.yml", {"routes": []})

    def write_matrix(self, **more: Any) -> None:
        """Write a matrix with both; no image is built from fixtures."""
        own = {"suites": ["smoke"], "image_uri_overrides": {}, "image_runtime_overrides": {}}
        super().write_matrix(**own, **more)
        matrix = yaml.safe_load((self.root / MATRIX).read_text())
        matrix["suites"] = {"smoke": {"targets": [f"../../{SMOKE}/test_smoke_health.py"]}}
        self.write(MATRIX, matrix)

    def break_service(self, environment: str, service: str) -> None:
        """Let a service of an environment end with status 7 as soon as it starts."""
        path = f"e2e/environments/{environment}/docker-compose.yml"
        compose = yaml.safe_load((self.root / path).read_text())
        compose["services"][service] |= {"entrypoint": ["sh", "-c", "echo broken on purpose; exit 7"]}
        self.write(path, compose)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Both]:
    """A copy of the project's environments and scenarios."""
    with making_platform(tmp_path, Both) as project:
        yield project


def _counts(result: Result) -> dict[str, int]:
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|errors?)\b", result.output)}


@pytest.mark.parametrize(("broken", "service"), [(DOCKER, "database"), (CONTAINERD, "agent")])
def test_one_that_is_broken_leaves_the_other_green(platform: Both, broken: str, service: str) -> None:
    """The run fails by the broken environment alone; every test of the other one passes."""
    platform.break_service(broken, service)
    result = platform.run("-n", "auto", "-v")
    (healthy,) = {DOCKER, CONTAINERD} - {broken}
    assert result.code == 1, result.output
    assert re.findall(r"= Failed: (.*?) =", result.output) == [f"{broken} > compose"], result.output
    assert f"{service} exited with status 7" in result.summary
    assert _counts(result) == {"passed": TESTS, "errors": TESTS}
    passed = re.findall(r"PASSED \S+\[(\S+?)\]", result.output)
    assert passed == [healthy] * TESTS
    platform.check_nothing_left()
