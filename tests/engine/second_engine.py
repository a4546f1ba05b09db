"""A second container engine on this machine, with everything of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from esb_e2e_plugin.lifecycle.certificates import write_certificates
from tests.waiting import eventually

CONTEXT = "second-engine"
SCRIPT = Path(__file__).parents[2] / "scripts" / "engine.sh"
_COMMAND_SECONDS = 60
_START_SECONDS = 90
_LOAD_SECONDS = 300
_PROGRAMS = ("dockerd", "containerd")


class SecondEngine:
    """A `dockerd` of a test's own: data, bridge, unix socket, and TCP on loopback with TLS.

    Its packets are let through by one rule: with rules of its own it would flush those of the first engine.

    Args:
        folder: where its data lie.
        subnets: a /16 that its networks are made from, bridge included.
        bridge: the network interface of its default network; it is there already.
    """

    def __init__(self, folder: Path, subnets: str, bridge: str) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.pid_file = folder / "docker.pid"
        self.certificates = folder / "certificates"
        self.subnets = subnets
        self.port = _free_port()
        self._bridge = bridge

    @property
    def variables(self) -> dict[str, str]:
        """What leads docker's command line to it through its socket."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def start(self) -> None:
        """Start it, with what it had when it ended, and wait until it answers."""
        if not self.certificates.exists():
            self.certificates.mkdir()
            write_certificates(self.certificates, "second engine", ("127.0.0.1", "localhost"))
        options = {
            "bridge": self._bridge,
            "tlscacert": self.certificates / "ca.crt",
            "tlscert": self.certificates / "gateway.crt",
            "tlskey": self.certificates / "gateway.key",
            "iptables": "false",
            "tlsverify": "true",
            "host": f"tcp://127.0.0.1:{self.port}",
        }
        command = ["bash", str(SCRIPT), str(self.folder)]
        command += [f"--{name}={value}" for name, value in options.items()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_START_SECONDS)
        assert done.returncode == 0, done.stderr

    def load(self, images: Iterable[str]) -> None:
        """Copy images from the first engine."""
        if not (names := list(images)):
            return
        with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as saving:
            self.docker("load", "--quiet", stdin=saving.stdout, timeout=_LOAD_SECONDS)
        assert saving.returncode == 0

    def docker(
        self, *arguments: str, stdin: IO[bytes] | None = None, timeout: float = _COMMAND_SECONDS
    ) -> str:
        """Run a docker command on it and return what it writes."""
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **self.variables},
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def make_context(self, home: Path) -> None:
        """Make a docker context in a home folder that leads to it over TCP with TLS."""
        parts = {
            "host": f"tcp://127.0.0.1:{self.port}",
            "ca": self.certificates / "ca.crt",
            "cert": self.certificates / "agent-client.crt",
            "key": self.certificates / "agent-client.key",
        }
        endpoint = ",".join(f"{name}={value}" for name, value in parts.items())
        command = ["docker", "context", "create", CONTEXT, "--docker", endpoint]
        environment: Mapping[str, str] = {"PATH": os.environ["PATH"], "HOME": str(home)}
        subprocess.run(command, env=environment, capture_output=True, check=True, timeout=_COMMAND_SECONDS)

    def pid(self) -> int:
        """Return the pid that it has written down; a killed one's file stays."""
        return int(self.pid_file.read_text())

    def kill(self) -> None:
        """End it as a crash does; its containers die with it, as on a machine that goes away."""

        def killed() -> bool:
            pids = self._processes()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        eventually(killed, "the second engine is killed", _COMMAND_SECONDS)

    def end(self) -> None:
        """Remove its containers and end it."""
        if self._processes():
            with contextlib.suppress(AssertionError):
                if found := self.docker("ps", "--all", "--quiet").split():
                    self.docker("rm", "--force", "--volumes", *found)
                if networks := self.docker("network", "ls", "--quiet", "--filter", "type=custom").split():
                    self.docker("network", "rm", *networks)
            with contextlib.suppress(AssertionError, FileNotFoundError, ProcessLookupError):
                os.kill(self.pid(), signal.SIGTERM)
                eventually(lambda: not self._processes(), "the second engine ends", _COMMAND_SECONDS)
        self.kill()
        _unmount_below(self.folder)
        # Gigabytes, where pytest keeps the folders of its last runs.
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _processes(self) -> list[int]:
        """Return the engine, its containerd, its shims and its proxies, and what runs in its containers."""
        parents: dict[int, int] = {}
        mine: set[int] = set()
        marker = str(self.folder).encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    program, _, arguments = (entry / "cmdline").read_bytes().partition(b"\0")
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    if Path(os.fsdecode(program)).name.startswith(_PROGRAMS) and marker in arguments:
                        mine.add(int(entry.name))
        while more := {pid for pid, parent in parents.items() if parent in mine and pid not in mine}:
            mine |= more
        return sorted(mine)


@contextlib.contextmanager
def second_engine(folder: Path, index: int) -> Iterator[SecondEngine]:
    """Run a second engine; `index`, 0 to 99, tells it from others that run at the same time."""
    name, subnets = f"esb-{uuid.uuid4().hex[:8]}", f"172.{20 + index % 10}.0.0/16"
    rule = ["DOCKER-USER", "-s", subnets, "-d", subnets, "-j", "ACCEPT"]
    with ExitStack() as stack:
        _run("ip", "link", "add", name, "type", "bridge")
        stack.callback(_run, "ip", "link", "delete", name)
        _run("ip", "address", "add", subnets.replace(".0.0/16", ".255.1/24"), "dev", name)
        _run("ip", "link", "set", name, "up")
        _run("iptables", "-I", *rule)
        stack.callback(_run, "iptables", "-D", *rule)
        engine = SecondEngine(folder, subnets, name)
        stack.callback(engine.end)
        engine.start()
        yield engine


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_COMMAND_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _unmount_below(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
        _run("umount", "--lazy", path)
