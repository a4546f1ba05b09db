"""What containerd needs of the host, looked at before it is started and made where that is our part."""

import errno
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from esb_services.cni import NetworkSettings

COMMAND_SECONDS = 10.0
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
"""Those that an unprivileged container lacks, and their numbers (capability.h)."""
CONTROLLERS = ("cpu", "memory", "pids")
"""Without them no limit can be set; with cgroup v1 also `devices` and `freezer`."""

_LEAF = "esb-node"


class HostError(Exception):
    """This host cannot run containerd; the message names all that is missing."""

    def __init__(self, missing: Iterable[str]) -> None:
        super().__init__(
            f"this host cannot run containerd: {'; '.join(missing)};"
            " runtime-node must be privileged, on a kernel with overlayfs, bridges, veth and NAT"
        )


def run_command(arguments: list[str]) -> str | None:
    """Run a command; return None, or the last line of what it wrote to stderr where it failed."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


@dataclass(frozen=True)
class Host:
    """The parts of the host that are looked at.

    Attributes:
        proc: where its process file system is.
        cgroup: where its control groups are.
        run: runs a command and returns what it wrote to stderr where it failed, else None.
    """

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")
    run: Callable[[list[str]], str | None] = run_command

    def prepare(self, network: NetworkSettings) -> None:
        """Make ready what containerd and its workers need.

        Raises:
            HostError: something is missing.
        """
        if missing := [*self._missing_capabilities(), *self._missing_file_system(), *self._delegate()]:
            raise HostError(missing)
        if missing := list(self._make_network(network)):
            raise HostError(missing)

    def _missing_capabilities(self) -> Iterable[str]:
        status = (self.proc / "self" / "status").read_text()
        effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
        bits = int(effective.partition(":")[2], 16)
        for name, number in CAPABILITIES.items():
            if not bits >> number & 1:
                yield f"the capability {name} is missing"

    def _missing_file_system(self) -> Iterable[str]:
        known = {line.split()[-1] for line in (self.proc / "filesystems").read_text().splitlines() if line}
        if "overlay" not in known:
            yield "the kernel has no overlayfs"

    def _delegate(self) -> Iterable[str]:
        """Let workers have control groups with limits below this container's own."""
        unified = self.cgroup / "cgroup.controllers"
        if not unified.exists():
            yield from self._missing_groups((*CONTROLLERS, "devices", "freezer"))
            return
        available = unified.read_text().split()
        if missing := [controller for controller in CONTROLLERS if controller not in available]:
            yield f"the cgroup controllers {', '.join(missing)} are missing"
            return
        try:
            self._move_down()
        except OSError as error:
            yield f"{self.cgroup} cannot be delegated ({error.strerror})"

    def _move_down(self) -> None:
        """Empty the root group of cgroup v2: only then its controllers may be handed on."""
        leaf = self.cgroup / _LEAF
        leaf.mkdir(exist_ok=True)
        for process in (self.cgroup / "cgroup.procs").read_text().split():
            try:
                (leaf / "cgroup.procs").write_text(process)
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise
        enabled = " ".join(f"+{controller}" for controller in CONTROLLERS)
        (self.cgroup / "cgroup.subtree_control").write_text(enabled)

    def _missing_groups(self, controllers: Iterable[str]) -> Iterable[str]:
        refused: dict[str, list[str]] = {}
        for controller in controllers:
            probe = self.cgroup / controller / _LEAF
            try:
                probe.mkdir(exist_ok=True)
                probe.rmdir()
            except OSError as error:
                refused.setdefault(str(error.strerror), []).append(controller)
        for reason, names in refused.items():
            yield f"the cgroup controllers {', '.join(names)} cannot be used ({reason})"

    def _make_network(self, network: NetworkSettings) -> Iterable[str]:
        """Make the workers' bridge, and let them reach what this container reaches."""
        bridge, subnet = network.bridge, str(network.subnet)
        # again where it was restarted: its network is a new one then, but need not be
        self.run(["ip", "link", "delete", bridge])
        # without one of its own, a bridge takes a worker's, and changes it when that worker ends
        own_address = ["address", network.hardware_address]
        commands = [
            ["ip", "link", "add", bridge, *own_address, "type", "bridge"],
            ["ip", "address", "add", f"{network.gateway}/{network.subnet.prefixlen}", "dev", bridge],
            ["ip", "link", "set", bridge, "up"],
            ["ip", "link", "add", "esb-probe", "type", "veth"],
            ["ip", "link", "delete", "esb-probe"],
        ]
        for command in commands:
            if (said := self.run(command)) is not None:
                yield f"`{' '.join(command)}` failed: {said}"
                return
        try:
            (self.proc / "sys" / "net" / "ipv4" / "ip_forward").write_text("1")
        except OSError as error:
            yield f"forwarding cannot be switched on ({error.strerror})"
            return
        for table, rule in (
            ("nat", ["POSTROUTING", "-s", subnet, "!", "-o", bridge, "-j", "MASQUERADE"]),
            ("filter", ["FORWARD", "-i", bridge, "-j", "ACCEPT"]),
            ("filter", ["FORWARD", "-o", bridge, "-j", "ACCEPT"]),
        ):
            iptables = ["iptables", "--wait", "-t", table]
            if self.run([*iptables, "-C", *rule]) is None:
                continue
            if (said := self.run([*iptables, "-A", *rule])) is not None:
                yield f"`{' '.join([*iptables, '-A', *rule])}` failed: {said}"
                return
