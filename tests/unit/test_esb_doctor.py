"""`esb doctor`: every problem of a machine is one line with a remedy."""

import json
import os
import sys
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from esb_cli.findings import Finding, findings, version_of
from esb_cli.machine import Engine, Facts
from tests.cli.esb_shell import Shell, local_project, shell_in

ENGINE = Engine(
    client=True, version="26.1.5", compose="2.26.1", buildx="v0.13.1", storage="overlay2", cgroup="2"
)
POOL = IPv4Network("10.231.0.0/16")
WELL = Facts(
    system="Linux",
    kernel="6.1.0-13-amd64",
    python=(3, 12, 1),
    services=True,
    engine=ENGINE,
    free={"/tmp": 50 << 30},  # noqa: S108
    host_error=None,
    pidfd=True,
    overlay=True,
    forwarding=True,
    files=65536,
    kvm=True,
    pool=POOL,
    routes=(IPv4Network("192.168.0.0/24"),),
    port_base=18000,
    free_blocks=700,
    ephemeral=32768,
    variables={},
    leftovers=(),
)


def of(facts: Facts) -> list[Finding]:
    return [finding for finding in findings(facts) if finding.level != "ok"]


def test_a_machine_that_is_well_has_no_problem_and_no_warning() -> None:
    """Every topic has its line nevertheless."""
    assert of(WELL) == []
    topics = {finding.topic for finding in findings(WELL)}
    assert topics == {
        "python", "services", "kernel", "kernel features", "engine", "compose", "buildx",
        "addresses", "ports", "disk", "locks and leases", "proxies", "firecracker", "leftovers",
    }  # fmt: skip


def seeded(**changes: Any) -> Facts:
    return replace(WELL, **changes)


def engine(**changes: Any) -> Facts:
    return replace(WELL, engine=replace(ENGINE, **changes))


@pytest.mark.parametrize(
    ("facts", "topic", "level", "told"),
    [
        (seeded(system="Darwin"), "system", "problem", "Darwin"),
        (seeded(python=(3, 10, 2)), "python", "problem", "3.10.2"),
        (seeded(services=False), "services", "warning", "esb-services is not installed"),
        (seeded(kernel="4.19.0", pidfd=False), "kernel", "problem", "4.19.0"),
        (seeded(pidfd=False), "kernel", "problem", "pidfd_open"),
        (seeded(overlay=False), "kernel features", "warning", "overlay"),
        (seeded(forwarding=False), "kernel features", "warning", "forwarded"),
        (seeded(files=256), "open files", "warning", "256"),
        (engine(error="connection refused"), "engine", "problem", "connection refused"),
        (engine(version="20.10.24"), "engine", "problem", "20.10.24 is too old"),
        (engine(storage="vfs"), "engine storage", "warning", "vfs"),
        (engine(warnings=("No swap limit support",)), "engine", "warning", "No swap limit support"),
        (engine(compose=None), "compose", "problem", "no compose"),
        (engine(compose="2.17.0"), "compose", "problem", "2.17.0 is too old"),
        (engine(buildx=None), "buildx", "problem", "no buildx"),
        (engine(subnets=(IPv4Network("10.0.0.0/8"),)), "addresses", "problem", "10.0.0.0/8 overlap"),
        (seeded(pool=IPv4Network("10.231.0.0/22")), "addresses", "warning", "2 of 2 pairs"),
        (seeded(routes=(POOL,)), "addresses", "problem", "0 of 128 pairs"),
        (seeded(free_blocks=0), "ports", "problem", "no block of ports is free"),
        (seeded(port_base=40000), "ports", "warning", "lies among ports"),
        (seeded(free={"/data": 1 << 30}), "disk", "problem", "1.0 GiB are free in /data"),
        (seeded(free={"/data": 5 << 30}), "disk", "warning", "5.0 GiB"),
        (seeded(host_error="can be written by others"), "locks and leases", "problem", "by others"),
        (seeded(variables={"http_proxy": "x"}), "proxies", "warning", "HTTP_PROXY"),
        (seeded(kvm=None), "firecracker", "warning", "no /dev/kvm"),
        (seeded(kvm=False), "firecracker", "warning", "not this user's"),
        (seeded(leftovers=("e2e-docker", "x")), "leftovers", "warning", "e2e-docker, x"),
        (seeded(unknown="no project here"), "leftovers", "warning", "no project here"),
    ],
)
def test_each_problem_is_found_alone_with_a_remedy(facts: Facts, topic: str, level: str, told: str) -> None:
    """One line about it, and none about anything else."""
    (finding,) = of(facts)
    assert (finding.topic, finding.level) == (topic, level)
    assert told in finding.text
    assert finding.remedy


def test_without_a_docker_command_nothing_else_is_said_about_it() -> None:
    """What follows from it is no news."""
    assert [f.topic for f in of(replace(WELL, engine=Engine(client=False)))] == ["engine"]


def test_a_proxy_that_spares_this_machine_is_fine() -> None:
    """By name and by address."""
    variables = {"HTTPS_PROXY": "x", "no_proxy": "localhost, 127.0.0.1"}
    assert of(replace(WELL, variables=variables)) == []


def test_versions_are_compared_as_numbers() -> None:
    """Whatever a distribution adds to them."""
    assert version_of("26.1.5+dfsg1") == (26, 1, 5)
    assert version_of("v0.13.1") == (0, 13, 1)
    assert version_of("6.18.44-fc") == (6, 18, 44)
    assert version_of("unknown") == ()


def _docker(folder: Path, script: str) -> str:
    """Put a `docker` in front of PATH, and return that PATH."""
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{program.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"


def _found(shell: Shell, code: int, **variables: str) -> dict[str, tuple[str, str]]:
    answer = json.loads(shell.esb("doctor", "--json", code=code, **variables).stdout)
    return {each["topic"]: (each["level"], each["text"]) for each in answer["findings"]}


def test_a_seeded_machine_is_looked_at_for_real(tmp_path: Path) -> None:
    """An engine that is too old and has no buildx, a proxy, a folder open to others: exit code 1."""
    shell = shell_in(local_project(tmp_path / "project", "e2e-local"))
    info = json.dumps({"ID": "x", "ServerVersion": "19.03.1", "Driver": "overlay2", "CgroupVersion": "1"})
    script = f"case \"$1\" in info) echo '{info}';; compose) echo 2.30.0;; network) ;; *) exit 1;; esac"
    host = tmp_path / "open"
    host.mkdir()
    host.chmod(0o777)
    variables = {
        "PATH": _docker(tmp_path, script),
        "HTTPS_PROXY": "http://proxy:1",
        "ESB_HOST_DIR": str(host),
    }
    found = _found(shell, 1, **variables)
    assert found["engine"] == ("problem", "version 19.03.1 is too old")
    assert found["compose"] == ("ok", "version 2.30.0")
    assert found["buildx"] == ("problem", "docker has no buildx")
    assert found["proxies"][0] == "warning"
    assert found["locks and leases"][0] == "problem"
    assert found["disk"][0] in ("ok", "warning", "problem")


def test_an_engine_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    """With what docker says of it; nothing is written, also outside a project."""
    variables = {"PATH": _docker(tmp_path, "echo 'Cannot connect' >&2; exit 1"), "ESB_HOST_DIR": "host"}
    folder = tmp_path / "empty"
    folder.mkdir()
    found = _found(Shell(folder, {}), 1, **variables)
    assert found["engine"] == ("problem", "it does not answer: Cannot connect")
    assert found["leftovers"][0] == "warning"
    assert os.listdir(folder) == []  # noqa: PTH208
