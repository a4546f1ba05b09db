"""The platform with functions in a containerd: side by side, after a kill, and where it cannot run."""

import json
import os
import signal
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.engine.e2e_docker_project import docker, labelled
from tests.engine.platform_project import CONTAINERD as ENVIRONMENT
from tests.engine.platform_project import SMOKE, WARM, Containerd, making_platform
from tests.waiting import eventually

pytestmark = pytest.mark.engine

SERVICES = ("agent", "database", "gateway", "provisioner", "runtime-node", "s3-storage")
HEALTH = (f"{SMOKE}/test_smoke_health.py", f"{SMOKE}/test_smoke_hold.py")
TARGETS = [option for path in HEALTH for option in ("--esb-test-target", path)]
VOLUMES = ("certificates", "config", "images", "node")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Containerd]:
    """A copy of the project's environments and scenarios."""
    with making_platform(tmp_path, Containerd) as project:
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
