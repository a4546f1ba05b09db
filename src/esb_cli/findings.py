"""What `esb doctor` makes of the facts about a machine. Pure: facts in, findings out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from esb_cli.machine import Facts

Level = Literal["ok", "warning", "problem"]

ENGINE_VERSION = (24, 0)
COMPOSE_VERSION = (2, 24)
BUILDX_VERSION = (0, 10)
PYTHON_VERSION = (3, 11)
KERNEL_VERSION = (5, 3)
DISK_PROBLEM_BYTES = 2 << 30
DISK_WARNING_BYTES = 10 << 30
PAIRS_WARNING = 4
PORTS_WARNING = 3
_GIB = 1 << 30
_LOOPBACK = ("127.0.0.1", "localhost")
_ENGINE = "make engine installs and starts one on Debian; elsewhere see the engine's own manual"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes:
        topic: What was looked at.
        level: How it is.
        text: What was found.
        remedy: What to do about it; empty where nothing is to be done.
    """

    topic: str
    level: Level
    text: str
    remedy: str = ""


def findings(facts: Facts) -> list[Finding]:
    """Return what is well, what may become a problem and what is one, each with its remedy."""
    looks = (
        _platform,
        _kernel,
        _engine,
        _tools,
        _addresses,
        _ports,
        _disk,
        _host,
        _proxies,
        _firecracker,
        _left,
    )
    return [finding for look in looks for finding in look(facts)]


def _platform(facts: Facts) -> Iterator[Finding]:
    if facts.system != "Linux":
        yield Finding(
            "system", "problem", f"{facts.system}: environments run on Linux only", "use a Linux VM"
        )
    version = ".".join(map(str, facts.python))
    if facts.python < PYTHON_VERSION:
        yield Finding("python", "problem", f"Python {version}", "use Python 3.11 or newer")
    else:
        yield Finding("python", "ok", f"Python {version}")
    if facts.services:
        yield Finding("services", "ok", "esb-services is installed: environments of mode process can run")
    else:
        yield Finding(
            "services",
            "warning",
            "esb-services is not installed: environments of mode process cannot run",
            "pip install 'pytest-esb-e2e[local]'",
        )


def _kernel(facts: Facts) -> Iterator[Finding]:
    if version_of(facts.kernel) < KERNEL_VERSION or not facts.pidfd:
        yield Finding(
            "kernel",
            "problem",
            f"Linux {facts.kernel} has no process descriptors (pidfd_open)",
            "use Linux 5.3 or newer, and a container runtime whose seccomp profile allows it",
        )
    else:
        yield Finding("kernel", "ok", f"Linux {facts.kernel}")
    if not facts.overlay:
        yield Finding(
            "kernel features",
            "warning",
            "the kernel knows no overlay file system: containers start slowly or not at all",
            "modprobe overlay",
        )
    if not facts.forwarding:
        yield Finding(
            "kernel features",
            "warning",
            "packets are not forwarded between networks: functions of mode containerd reach nothing",
            "sysctl net.ipv4.ip_forward=1",
        )
    if facts.overlay and facts.forwarding:
        yield Finding("kernel features", "ok", "overlay file systems, forwarding between networks")
    if facts.files < 1024:
        yield Finding("open files", "warning", f"at most {facts.files} files may be open", "ulimit -n 4096")


def _engine(facts: Facts) -> Iterator[Finding]:
    engine = facts.engine
    if not engine.client:
        yield Finding("engine", "problem", "there is no docker command", _ENGINE)
        return
    if engine.error is not None:
        yield Finding("engine", "problem", f"it does not answer: {engine.error}", _ENGINE)
        return
    if version_of(engine.version) < ENGINE_VERSION:
        wanted = ".".join(map(str, ENGINE_VERSION))
        yield Finding("engine", "problem", f"version {engine.version} is too old", f"use {wanted} or newer")
    else:
        kind = ", rootless" if engine.rootless else ""
        text = f"version {engine.version}, {engine.storage}, cgroup v{engine.cgroup}{kind}"
        yield Finding("engine", "ok", text)
    if engine.storage == "vfs":
        yield Finding(
            "engine storage",
            "warning",
            "the engine copies every layer (vfs): slow, and much disk",
            "let it use overlay2",
        )
    for warning in engine.warnings:
        yield Finding("engine", "warning", warning, "see the engine's manual; memory limits may not hold")


def _tools(facts: Facts) -> Iterator[Finding]:
    engine = facts.engine
    if not engine.client:
        return
    wanted = (("compose", engine.compose, COMPOSE_VERSION), ("buildx", engine.buildx, BUILDX_VERSION))
    for name, version, least in wanted:
        needed = ".".join(map(str, least))
        if version is None:
            yield Finding(
                name, "problem", f"docker has no {name}", f"install the {name} plugin, {needed} or newer"
            )
        elif version_of(version) < least:
            yield Finding(name, "problem", f"version {version} is too old", f"use {needed} or newer")
        else:
            yield Finding(name, "ok", f"version {version}")


def _addresses(facts: Facts) -> Iterator[Finding]:
    taken = {*facts.routes, *(subnet for subnet in facts.engine.subnets if subnet.prefixlen)}
    pairs = list(facts.pool.subnets(new_prefix=23)) if facts.pool.prefixlen <= 23 else []
    free = sum(not any(other.overlaps(pair) for other in taken) for pair in pairs)
    text = f"{free} of {len(pairs)} pairs of subnets are free in {facts.pool}"
    remedy = "take environments down (esb ps, esb prune), or choose another subnet_pool in the matrix"
    if free == 0:
        overlapping = sorted(str(other) for other in taken if other.overlaps(facts.pool))
        yield Finding("addresses", "problem", f"{text}: {', '.join(overlapping[:3])} overlap it", remedy)
    elif free <= PAIRS_WARNING:
        yield Finding("addresses", "warning", text, remedy)
    else:
        yield Finding("addresses", "ok", text)


def _ports(facts: Facts) -> Iterator[Finding]:
    text = f"{facts.free_blocks} blocks of ports are free from {facts.port_base}"
    remedy = "end what uses them, or choose another port_base in the matrix"
    if facts.port_base >= facts.ephemeral:
        yield Finding(
            "ports",
            "warning",
            f"port_base {facts.port_base} lies among ports that the kernel gives away ({facts.ephemeral} on)",
            "choose a port_base below in the matrix",
        )
    elif facts.free_blocks == 0:
        yield Finding("ports", "problem", f"no block of ports is free from {facts.port_base}", remedy)
    else:
        yield Finding("ports", "warning" if facts.free_blocks < PORTS_WARNING else "ok", text, remedy)


def _disk(facts: Facts) -> Iterator[Finding]:
    for folder, free in facts.free.items():
        text = f"{free / _GIB:.1f} GiB are free in {folder}"
        remedy = "esb prune --images, docker system df"
        if free < DISK_PROBLEM_BYTES:
            yield Finding("disk", "problem", text, remedy)
        elif free < DISK_WARNING_BYTES:
            yield Finding("disk", "warning", text, remedy)
        else:
            yield Finding("disk", "ok", text)


def _host(facts: Facts) -> Iterator[Finding]:
    if facts.host_error is not None:
        yield Finding("locks and leases", "problem", facts.host_error, "name another folder in ESB_HOST_DIR")
    else:
        yield Finding("locks and leases", "ok", "their folder is this user's alone")


def _proxies(facts: Facts) -> Iterator[Finding]:
    named = {name.upper(): value for name, value in facts.variables.items() if value}
    proxies = [name for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") if name in named]
    if not proxies:
        yield Finding("proxies", "ok", "none is set")
        return
    spared = [part.strip() for part in named.get("NO_PROXY", "").split(",")]
    missing = [host for host in _LOOPBACK if host not in spared and "*" not in spared]
    if missing:
        yield Finding(
            "proxies",
            "warning",
            f"{', '.join(proxies)} would also get what is meant for this machine: {', '.join(missing)}",
            f"add {','.join(missing)} to NO_PROXY",
        )
    else:
        yield Finding("proxies", "ok", f"{', '.join(proxies)}; this machine is spared")


def _firecracker(facts: Facts) -> Iterator[Finding]:
    planned = "profiles of virtual machines are planned; see docs/firecracker.md"
    if facts.kvm is None:
        yield Finding("firecracker", "warning", "there is no /dev/kvm on this machine", planned)
    elif not facts.kvm:
        yield Finding("firecracker", "warning", "/dev/kvm is not this user's to open", "join the group kvm")
    else:
        yield Finding("firecracker", "ok", "/dev/kvm can be opened")


def _left(facts: Facts) -> Iterator[Finding]:
    if facts.unknown is not None:
        yield Finding(
            "leftovers", "warning", f"not looked for: {facts.unknown}", "call esb doctor in a project"
        )
    elif facts.leftovers:
        yield Finding(
            "leftovers",
            "warning",
            f"dead runs have left something of {', '.join(facts.leftovers)}",
            "esb prune removes it",
        )
    else:
        yield Finding("leftovers", "ok", "dead runs have left nothing")


def version_of(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; none where it begins otherwise."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text.strip())
    return tuple(map(int, found[1].split("."))) if found else ()
