"""The embedded environment and two of Docker in one command: each its own, and all green."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.platform_project import MATRIX, Platform, making_platform

pytestmark = pytest.mark.engine

LOCAL, DOCKER, SECOND = "e2e-local", "e2e-docker", "e2e-docker-two"


class Many(Platform):
    """The platform in three environments, with the smoke suite."""

    environment = f"{LOCAL},{DOCKER},{SECOND}"

    def write_matrix(self, **more: Any) -> None:
        """Write a matrix with the second entry of Docker, which shares all files of the first."""
        super().write_matrix(suites=["smoke"], **more)
        matrix = yaml.safe_load((self.root / MATRIX).read_text())
        (docker,) = [entry for entry in matrix["matrix"] if entry["esb_env"] == DOCKER]
        matrix["matrix"].append({**docker, "esb_env": SECOND, "env_dir": DOCKER})
        self.write(MATRIX, matrix)

    def phases(self, environment: str) -> list[str]:
        """Return the phases that an environment has gone through well."""
        path = self.state.with_name(environment) / "events.jsonl"
        events = [yaml.safe_load(line) for line in path.read_text().splitlines()]
        return [event["phase"] for event in events if event["kind"] == "phase.finished" and event["ok"]]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Many]:
    """A copy of the project's environments and scenarios."""
    with making_platform(tmp_path, Many) as project:
        yield project


def test_the_embedded_one_and_two_of_docker_are_green_in_one_command(platform: Many) -> None:
    """Each environment comes up once, passes the same tests, and leaves nothing."""
    result = platform.run("-n", "auto", "-v")
    assert result.code == 0, result.output
    passed = re.findall(r"PASSED (\S+?)\[(e2e-local|e2e-docker-two|e2e-docker)\b(\S*)\]", result.output)
    tests = {
        name: Counter((test, rest) for test, of, rest in passed if of == name)
        for name in (LOCAL, DOCKER, SECOND)
    }
    assert len(tests[LOCAL]) > 10
    assert set(tests[LOCAL].values()) == {1}
    assert tests[LOCAL] == tests[DOCKER] == tests[SECOND]
    for environment in tests:
        assert platform.phases(environment) == ["reset", "compose", "deploy", "test", "cleanup"]
    platform.check_nothing_left()
