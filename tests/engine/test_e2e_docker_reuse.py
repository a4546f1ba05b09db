"""`--esb-reuse` on the project's own platform: one environment through everything that can change."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.engine.e2e_docker_project import ENVIRONMENT, docker
from tests.engine.platform_project import Platform, making_platform
from tests.faults.run import Result

pytestmark = pytest.mark.engine

TARGET = "e2e/scenarios/smoke/test_smoke_reuse.py"
SERVICES = Path(__file__).parents[2] / "services"
ROOT = f"e2e/artifacts/{ENVIRONMENT}/template.e2e"
TEST = """
def test_echo(esb_gateway):
    answer = esb_gateway.post("/api/echo", json={{"message": "reuse"}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["message"] == "{said}: reuse"
"""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A copy of the project's environments and scenarios, with names of images that no other run has."""
    with making_platform(tmp_path, Platform) as project:
        for name in ("images", "esb_services"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(SERVICES / name, project.root / "services" / name, ignore=ignored)
        project.write_matrix(env_vars={})
        project.state = project.state.with_name(instance(project))
        project.log = project.log.with_name(f".parallel-{instance(project)}.log")
        yield project
        project.end()
        named = ("--filter", f"reference=*:e2e-{instance(project)}-latest")
        docker("image", "rm", *docker("image", "ls", *named, "--format", "{{.Repository}}:{{.Tag}}").split())


def instance(platform: Platform) -> str:
    """Return the name of its environment, which is a part of the names of images."""
    return f"{ENVIRONMENT}-{platform.name}"


def run(platform: Platform, *options: str) -> Result:
    """Run the one test."""
    return platform.run("-n0", "--esb-suffix", platform.name, "--esb-test-target", TARGET, *options)


def services(platform: Platform) -> dict[str, str]:
    """Return the ids of the services' containers, by name."""
    found: dict[str, str] = json.loads((platform.state / "state.json").read_text())["services"]
    return found


def containers(platform: Platform) -> set[str]:
    """Return the ids of the services' containers."""
    return set(services(platform).values())


def check(platform: Platform, decision: str, phases: list[str]) -> Result:
    """Run with `--esb-reuse`, and assert that it is green and has done no more than it had to."""
    result = run(platform, "--esb-reuse")
    assert result.code == 0, result.output + result.log
    assert f"[{instance(platform)}] {decision}" in result.output
    events = platform.events()
    assert [event["phase"] for event in events if event["kind"] == "phase.started"] == phases
    return result


def built(result: Result) -> list[str]:
    """Return the images that a run has built."""
    return re.findall(r"building ([a-z0-9-]+):", result.log)


def test_only_what_changed_is_redone(platform: Platform) -> None:
    """Nothing, one function, the compose file, an image under an old name: each from its first phase on."""
    platform.write(TARGET, TEST.format(said="Echo"))
    up = run(platform, "--esb-build-only")
    assert up.code == 0, up.output + up.log
    first = containers(platform)
    check(platform, "reused: nothing changed", ["test"])

    source = platform.root / ROOT / "functions/lambda-echo/src/app.py"
    # What an earlier run of this test has built must not do for this one.
    source.write_text(source.read_text().replace('f"Echo: ', f'f"{platform.name}: '))
    platform.write(TARGET, TEST.format(said=platform.name))
    redone = check(platform, "redeploy: lambda-echo sources changed", ["deploy", "test"])
    assert built(redone) == ["esb-lambda-echo"]
    nothing = check(platform, "reused: nothing changed", ["test"])
    assert built(nothing) == []
    assert containers(platform) == first

    echo = f"esb-lambda-echo:e2e-{instance(platform)}-latest"
    own = docker("image", "inspect", "--format", "{{.Id}}", echo)
    docker("image", "tag", echo.replace("echo", "s3"), echo)
    check(platform, f"redeploy: image {echo} changed", ["deploy", "test"])
    assert docker("image", "inspect", "--format", "{{.Id}}", echo) == own
    assert containers(platform) == first

    path = f"e2e/environments/{ENVIRONMENT}/docker-compose.yml"
    compose = yaml.safe_load((platform.root / path).read_text())
    image = compose["services"]["gateway"]["image"]
    compose["services"]["once"] = {"image": image, "command": ["true"], "networks": ["external"]}
    platform.write(path, compose)
    whole = ["reset", "compose", "deploy", "test"]
    check(platform, "anew: docker-compose.yml changed, compose model changed", whole)
    assert not containers(platform) & first
    check(platform, "reused: nothing changed", ["test"])  # `once` has done its work
    docker("rm", "-fv", services(platform)["agent"])
    check(platform, "anew: agent is not running", whole)
    removed = run(platform)
    assert removed.code == 0, removed.output
    platform.check_nothing_left()
    changed = docker("image", "inspect", "--format", "{{range .RepoTags}}{{.}} {{end}}", own).split()
    docker("image", "rm", *(name for name in changed if name != echo))
