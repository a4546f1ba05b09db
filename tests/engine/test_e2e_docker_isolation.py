"""Docker environments on one engine: names, what a run leaves, and who shares a machine with whom."""

import json
import os
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from tests.engine.e2e_docker_project import (
    ENVIRONMENT,
    DockerProject,
    check_green,
    docker,
    labelled,
    making_projects,
    remove_labelled,
)
from tests.engine.images import IMAGE
from tests.faults.run import Run
from tests.waiting import eventually

pytestmark = pytest.mark.engine

Make = Callable[..., DockerProject]


@pytest.fixture
def projects(tmp_path: Path) -> Iterator[Make]:
    """`projects(name, …)`: tiny projects that compete for the same ports."""
    with making_projects(tmp_path) as make:
        yield make


@pytest.fixture
def project(projects: Make) -> DockerProject:
    """A tiny project with one environment of two services."""
    return projects("tiny")


@pytest.fixture
def strangers() -> Iterator[str]:
    """A label for things that belong to nobody's environment; they end with the test."""
    label = f"com.esb.test=stranger-{uuid.uuid4().hex[:8]}"
    yield label
    remove_labelled(label)


def hold(project: DockerProject, *options: str) -> Run:
    """Start a run and return it when one of its tests waits for the file `hold` to go."""
    project.hold.touch()
    run = project.start(*options)
    run.reach("test")
    return run


def add_worker(project: DockerProject) -> None:
    """Start what an agent starts for a function, with a volume and a network beside it."""
    scenario = f"{project.name}-{ENVIRONMENT}"
    labels = ["com.esb.managed=true", project.label, f"com.esb.env={ENVIRONMENT}"]
    arguments = [part for label in labels for part in ("--label", label)]
    docker("volume", "create", *arguments, f"{scenario}_more")
    docker("network", "create", *arguments, "--internal", f"{scenario}-more")
    name = f"{scenario}-echo-{uuid.uuid4().hex[:8]}"
    mount = ["--volume", f"{scenario}_more:/more", "--volume", "/anonymous"]
    at = ["--network", f"{scenario}-runtime"]
    worker = [*arguments, "--label", "com.esb.kind=function", "--name", name, *at, *mount]
    docker("run", "--detach", *worker, IMAGE, "sleep", "infinity")


def inspect(kind: str, name: str) -> Any:
    """Return what the engine knows of a container, a network or a volume."""
    return json.loads(docker(kind, "inspect", name))[0]


def subnets_of(project: DockerProject, environment: str) -> list[IPv4Network]:
    """Return the subnets of an environment's networks."""
    label = f"com.esb.project={project.name}-{environment}"
    found = [inspect("network", name)["IPAM"]["Config"] for name in labelled(label, "network")]
    return [IPv4Network(config["Subnet"]) for configs in found for config in configs]


def test_names_and_labels_follow_the_contract_and_nothing_is_left(project: DockerProject) -> None:
    """Containers, networks, volumes: all named, all labelled, all gone afterwards, workers too."""
    run = hold(project, "-n0")
    own = f"{project.name}-{ENVIRONMENT}"
    assert project.there() == {
        "container": [f"{own}-back-1", f"{own}-front-1"],
        "network": [f"{own}-external", f"{own}-runtime"],
        "volume": [f"{own}_data"],
    }
    run_id = next(event["run"] for event in run.events())
    expected = {"managed": "true", "project": own, "env": ENVIRONMENT, "run": run_id}
    for kind, names in project.there().items():
        for name in names:
            facts = inspect(kind, name)
            labels = facts["Config"]["Labels"] if kind == "container" else facts["Labels"]
            assert {key: labels[f"com.esb.{key}"] for key in expected} == expected, name
    pool = IPv4Network(project.subnet_pool)
    assert all(net.prefixlen == 24 and net.subnet_of(pool) for net in subnets_of(project, ENVIRONMENT))
    add_worker(project)
    volumes = set(docker("volume", "ls", "--quiet").split())
    anonymous = {mount["Name"] for mount in inspect("container", project.there()["container"][1])["Mounts"]}
    assert anonymous <= volumes
    project.hold.unlink()
    check_green(run.wait())
    project.check_nothing_left()
    assert not anonymous & set(docker("volume", "ls", "--quiet").split())
    assert docker("image", "inspect", "--format", "{{.Id}}", IMAGE)


def test_reset_removes_what_a_killed_run_left(project: DockerProject) -> None:
    """What a run that was killed with its reaper has left does not disturb the next one."""
    killed = hold(project, "-n0")
    add_worker(project)
    os.kill(killed.reaper(), signal.SIGKILL)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    project.hold.unlink()
    left = {
        kind: {inspect(kind, name).get("Id", name) for name in names}
        for kind, names in project.there().items()
    }
    assert {kind: len(things) for kind, things in left.items()} == {"container": 3, "network": 3, "volume": 2}
    again = hold(project, "-n0")
    for kind, names in project.there().items():
        if kind != "volume":
            assert not {inspect(kind, name)["Id"] for name in names} & left[kind]
    assert {kind: len(names) for kind, names in project.there().items()} == {
        "container": 2,
        "network": 2,
        "volume": 1,
    }
    project.hold.unlink()
    check_green(again.wait())
    project.check_nothing_left()


def test_strangers_stay_untouched(project: DockerProject, strangers: str) -> None:
    """A name that only begins like ours, our first port and our first subnet: other ones are used."""
    own = f"{project.name}-{ENVIRONMENT}"
    first = next(IPv4Network(project.subnet_pool).subnets(new_prefix=24))
    alike = f"{own}2-something"
    docker("network", "create", "--label", strangers, "--subnet", str(first), f"{own}2-net")
    like_ours = [
        "--label",
        strangers,
        "--label",
        f"com.esb.project={own}2",
        "--label",
        "com.esb.managed=true",
    ]
    published = ["--network", f"{own}2-net", "--publish", f"127.0.0.1:{project.port_base}:8080"]
    docker("run", "--detach", *like_ours, *published, "--name", alike, IMAGE, "sleep", "infinity")
    before = inspect("container", alike)
    try:
        run = hold(project, "-n0")
        assert int(project.held.read_text()) == project.port_base + 20
        assert not [network for network in subnets_of(project, ENVIRONMENT) if network.overlaps(first)]
        project.hold.unlink()
        result = run.wait()
    finally:
        after = inspect("container", alike)
    check_green(result)
    assert [f"port {project.port_base} " in line for line in result.moves()] == [True]
    assert (after["Id"], after["State"]) == (before["Id"], before["State"])
    assert labelled(strangers, "network") == [f"{own}2-net"]
    remove_labelled(strangers)
    project.check_nothing_left()


def test_a_port_stolen_between_lease_and_start_moves_the_block(project: DockerProject) -> None:
    """The engine's own refusal moves everything to the next block; the run stays green."""
    project.write(
        "conftest.py",
        """
import socket
from esb_e2e_plugin.ports import PortLedger

lease = PortLedger.lease
stolen = []

def lease_and_steal(self, key, **arguments):
    block = lease(self, key, **arguments)
    if not stolen:
        stolen.append(socket.create_server(("127.0.0.1", block.gateway_https)))
    return block

PortLedger.lease = lease_and_steal
""",
    )
    result = project.run("-n0")
    check_green(result)
    (line,) = result.moves()
    assert f"the block of ports at {project.port_base} is passed over" in line
    project.check_nothing_left()


def test_two_suffixes_run_at_the_same_time(project: DockerProject) -> None:
    """Two instances of one profile from one checkout are up at once, share nothing, and are green."""
    project.hold.touch()
    names = [f"{ENVIRONMENT}-{suffix}" for suffix in ("a", "b")]
    runs = [project.start("-n0", f"--esb-suffix={name[-1]}") for name in names]
    for name in names:
        eventually(project.held_in(name).exists, f"{name} is held: {[run.output() for run in runs]}")
    ports = {int(project.held_in(name).read_text()) for name in names}
    subnets = {str(subnet) for name in names for subnet in subnets_of(project, name)}
    assert (len(ports), len(subnets)) == (2, 4)
    assert len(project.there()["container"]) == 4
    for port in ports:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    project.hold.unlink()
    for run in runs:
        check_green(run.wait())
    project.check_nothing_left()


def test_the_second_clone_waits_for_the_first_and_says_who_holds_it(projects: Make) -> None:
    """Names are per engine, so two checkouts of one environment take turns."""
    first = projects("first")
    second = projects("second", host=first.host, esb_project=first.name)
    holding = hold(first, "-n0")
    before = first.there()
    waiting = second.start("-n0")
    told = f"[{ENVIRONMENT}] waiting: held by pid {holding.pid} in {first.root}, run "
    eventually(lambda: told in waiting.output(), "the second clone says whom it waits for")
    assert first.there() == before
    first.hold.unlink()
    for run in (holding, waiting):
        check_green(run.wait())
    for clone in (first, second):
        clone.check_nothing_left()
