"""The platform with functions in a containerd: side by side, after a kill, and where it cannot run."""

import json
import os
import signal
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.e2e_docker_project import docker, labelled, making_projects
from tests.engine.platform_project import SMOKE, Platform
from tests.faults.project import eventually

pytestmark = pytest.mark.engine

ENVIRONMENT = "e2e-containerd"
SERVICES = ("agent", "database", "gateway", "provisioner", "runtime-node", "s3-storage")
HEALTH = (f"{SMOKE}/test_smoke_health.py", f"{SMOKE}/test_smoke_hold.py")
TARGETS = [option for path in HEALTH for option in ("--esb-test-target", path)]
VOLUMES = ("certificates", "config", "images", "node")


CONFIG = f"e2e/artifacts/{ENVIRONMENT}/template.e2e/config"
WARM = "lambda-warm"  # a worker of it is there before the first call


class Containerd(Platform):
    """The platform with the one entry that has a containerd, and with one function."""

    environment = ENVIRONMENT

    def _write_files(self) -> None:
        super()._write_files()
        functions = yaml.safe_load((self.root / CONFIG / "functions.yml").read_text())
        functions["functions"] = {WARM: functions["functions"][WARM]}
        self.write(f"{CONFIG}/functions.yml", functions)
        self.write(f"{CONFIG}/routing.yml", {"routes": []})

    def write_matrix(self, **more: Any) -> None:
        """Write the matrix; no image is built from fixtures."""
        super().write_matrix(image_uri_overrides={}, image_runtime_overrides={}, **more)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Containerd]:
    """A copy of the project's environments and scenarios."""
    with making_projects(tmp_path) as make:
        project = make("platform", kind=Containerd)
        assert isinstance(project, Containerd)
        yield project


def ctr(own: str, *arguments: str) -> list[str]:
    """Return the lines that containerd's command line in an environment writes."""
    return docker("exec", f"{own}-runtime-node-1", "ctr", "--namespace", own, *arguments).splitlines()


def functions_subnet(own: str) -> IPv4Network:
    """Return the subnet of an environment's functions."""
    return IPv4Network(docker("exec", f"{own}-runtime-node-1", "printenv", "CNI_SUBNET"))


def networks_of_registry() -> set[str]:
    """Return the names of the networks that the shared registry is attached to."""
    found = docker("container", "inspect", "--format", "{{json .NetworkSettings.Networks}}", "esb-registry")
    return set(json.loads(found))


def test_two_at_once_share_only_the_registry_and_a_killed_one_leaves_nothing(platform: Containerd) -> None:
    """Two instances are up at once; one is killed, its next run is green; both are gone afterwards."""
    platform.hold.touch()
    names = [f"{ENVIRONMENT}-{suffix}" for suffix in ("a", "b")]
    runs = [platform.start("-n0", f"--esb-suffix={name[-1]}", *TARGETS) for name in names]
    for name in names:
        eventually(platform.held_in(name).exists, f"{name} is held: {[run.output() for run in runs]}")
    projects = [f"{platform.name}-{name}" for name in names]
    first, second = (functions_subnet(own) for own in projects)
    assert not first.overlaps(second)
    assert {f"{own}-external" for own in projects} <= networks_of_registry()
    for own in projects:
        label = f"com.esb.project={own}"
        assert set(labelled(label, "container")) == {f"{own}-{service}-1" for service in SERVICES}
        assert set(labelled(label, "volume")) == {f"{own}_{name}" for name in VOLUMES}
        assert [line for line in ctr(own, "tasks", "ls")[1:] if f"{own}-{WARM}-" in line]
    os.kill(runs[0].pid, signal.SIGKILL)
    runs[0].wait()
    platform.hold.unlink()
    again = platform.start("-n0", "--esb-suffix=a", *TARGETS)
    for run in (runs[1], again):
        result = run.wait()
        assert result.code == 0, result.output + result.log
        assert " passed" in result.output
    assert not {f"{own}-external" for own in projects} & networks_of_registry()
    assert docker("container", "inspect", "--format", "{{.State.Running}}", "esb-registry") == "true"
    platform.check_nothing_left()


def test_a_host_that_cannot_run_a_containerd_fails_at_once_and_is_told_what_is_missing(
    platform: Containerd,
) -> None:
    """Without its privileges the node ends by itself, and its own words are the cause."""
    path = f"e2e/environments/{ENVIRONMENT}/docker-compose.yml"
    compose = yaml.safe_load((platform.root / path).read_text())
    compose["services"]["runtime-node"]["privileged"] = False
    platform.write(path, compose)
    result = platform.run("-n0", *TARGETS)
    assert result.code == 1, result.output
    assert f"Failed: {ENVIRONMENT} > compose" in result.output
    assert "runtime-node exited with status 3: this host cannot run containerd: " in result.summary
    assert "timed out" not in result.output
    platform.check_nothing_left()
