"""A tiny project with one process environment, real pytest runs in it, and a look at what they leave."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from artifactctl.identity import entry_id
from esb_e2e_plugin.ports import BLOCK_SIZE, OFFSETS
from esb_e2e_plugin.processes import descriptors_ended, environment_of
from tests.distribution import fitting
from tests.lean import LEAN

ENVIRONMENT = "e2e-local"
BLOCKS = 10
"""Blocks of ports that a test may use for itself."""

RUN_SECONDS = 180.0
"""Deadline of a whole run; no phase's own deadline comes into it."""

PHASE_SECONDS = 600
"""What every phase may take: more than a run has, so that no failure can come from it."""

_Value = TypeVar("_Value")

_FUNCTION = """
def handler(event, context):
    return {"statusCode": 200, "body": "hello"}
"""

_SCENARIOS = """
import os, time
from pathlib import Path

def test_hello(esb_gateway):
    answer = esb_gateway.post("/api/hello")
    assert (answer.status_code, answer.text) == (200, "hello")

def test_hold(esb_environment):
    hold, held = Path("hold"), Path("held")
    if hold.exists():
        held.with_name("held.new").write_text(f"{os.getpid()} {esb_environment.ports.gateway_https}")
        held.with_name("held.new").replace(held)
    deadline = time.monotonic() + 120
    while hold.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
"""


def eventually(probe: Callable[[], _Value], what: str, timeout: float = 120.0) -> _Value:
    """Return the first true value of `probe`, or fail and say `what` did not happen."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.003)
    return value


@contextlib.contextmanager
def until_it_ends(pid: int) -> Iterator[None]:
    """Wait, at the end of the block, for a process to end; a look at /proc misses it during its exec."""
    descriptor = os.pidfd_open(pid)
    try:
        yield
        eventually(lambda: descriptors_ended([descriptor], 0), f"process {pid} ends")
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def own_ports() -> Iterator[int]:
    """Reserve ports that no other test uses meanwhile, in whatever process it runs, and yield the first."""
    size = BLOCKS * BLOCK_SIZE
    for base in range(20000, 32600 - size, size):
        with socket.socket() as guard:
            try:
                guard.bind(("127.0.0.1", base + BLOCK_SIZE - 1))  # no service has this offset
                guard.listen(1)
            except OSError:
                continue
            yield base
            return
    raise AssertionError("all ranges of ports are in use")


def ephemeral_ports_begin() -> int:
    """Return the port after the last one that an environment may have."""
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


@contextlib.contextmanager
def listener(port: int) -> Iterator[None]:
    """Take a port, as a stranger would."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen(1)
        yield


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        code: its exit code.
        output: everything it wrote to stdout and stderr.
        log: the environment's log.
    """

    code: int
    output: str
    log: str

    @property
    def summary(self) -> str:
        """The blocks of failed environments, and what follows them."""
        return self.output[self.output.find("= Failed: ") :] if "= Failed: " in self.output else ""

    def moves(self) -> list[str]:
        """Return the terminal's lines about blocks of ports that were passed over."""
        return [line for line in self.output.splitlines() if "passed over" in line]


class Run:
    """A pytest run that goes on in a session of its own."""

    def __init__(self, project: "Project", process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._project = project
        self._output = output
        self._earlier = {event["run"] for event in project.events()}
        self.process = process

    @property
    def pid(self) -> int:
        """The pid of pytest: the xdist controller, or the only process."""
        return self.process.pid

    def output(self) -> str:
        """Return what it wrote so far."""
        return self._output.read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """Return the events that this run recorded so far."""
        return [event for event in self._project.events() if event["run"] not in self._earlier]

    def reach(self, phase: str) -> None:
        """Wait until the environment is in `phase`; in `test`, until a test runs and waits for `hold`."""

        def reached() -> bool:
            assert self.process.poll() is None, f"ended before {phase}:\n{self.output()}"
            if phase == "test":
                return self._project.held.exists()
            return any(
                event["kind"] == "phase.started" and event["phase"] == phase for event in self.events()
            )

        eventually(reached, f"phase {phase} of a run that wrote:\n{self.output()}")

    def xdist_workers(self) -> list[int]:
        """Return the pids of its xdist workers: children that belong to no environment."""
        task = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        mark = b"ESB_PROCESS_MARK="
        children = [int(pid) for pid in task.read_text().split()]
        return [
            pid
            for pid in children
            if mark not in environment_of(pid) and b"exec(eval(sys.stdin" in _command(pid)
        ]

    def reaper(self) -> int:
        """Return the pid of its reaper, once that is there; it keeps it when it gets to work."""

        def found() -> int:
            return next((pid for pid in self._project.processes() if b"watchdog.py" in _command(pid)), 0)

        return eventually(found, f"a reaper of a run that wrote:\n{self.output()}")

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to it and its xdist workers, as a terminal does."""
        os.killpg(self.pid, number)

    def wait(self, timeout: float = RUN_SECONDS) -> Result:
        """Wait for its end."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.output()}") from None
        log = self._project.log
        return Result(code, self.output(), log.read_text() if log.exists() else "")


class Project:
    """A project in a folder of its own, with one function, two scenarios, and its own host folder.

    Args:
        folder: where everything lies: project, host folder, home and temporary folder.
        port_base: first of the ports that its environment may use, see `own_ports`.
        host: another project's host folder, to share it.

    Attributes:
        more: more variables of its runs.
    """

    def __init__(self, folder: Path, port_base: int, host: Path | None = None) -> None:
        self.folder = folder
        self.root = folder / "project"
        self.host = host or folder / "host"
        self.port_base = port_base
        self.state = self.root / ".esb" / "e2e" / "state" / ENVIRONMENT
        self.config = self.root / ".esb" / "staging" / "config"
        self.log = self.root / "e2e" / f".parallel-{ENVIRONMENT}.log"
        self.hold = self.root / "hold"
        self.held = self.root / "held"
        self.more: dict[str, str] = {}
        self._started: list[Run] = []
        self._home, self._temporary = folder / "home", folder / "tmp"
        for made in (self.root, self._home, self._temporary):
            made.mkdir(parents=True)
        self._write_files()

    def _write_files(self) -> None:
        entry = {
            "esb_env": ENVIRONMENT,
            "suites": ["all"],
            "artifact_manifest": "e2e/artifact/artifact.yml",
            "config_dir": ".esb/staging/config",
        }
        suites = {"all": {"targets": ["../scenarios/"]}}
        matrix = {"suites": suites, "matrix": [entry], "port_base": self.port_base}
        artifact = {
            "id": entry_id("template.yaml"),
            "artifact_root": "tiny",
            "runtime_config_dir": "config",
            "source_template": {"path": "template.yaml"},
        }
        manifest = {"schema_version": "1", "project": "esb", "env": ENVIRONMENT, "mode": "process"}
        function = {"image": "hello:latest", "runtime": "python", "handler": "app.handler", "timeout": 10}
        route = {"path": "/api/hello", "method": "POST", "function": "hello"}
        addopts = "--import-mode=importlib -p no:cacheprovider"
        self.write("pyproject.toml", f'[tool.pytest.ini_options]\naddopts = "{addopts}"\n')
        self.write("e2e/environments/test_matrix.yaml", matrix)
        self.write("e2e/artifact/artifact.yml", {**manifest, "artifacts": [artifact]})
        self.write("e2e/artifact/tiny/config/functions.yml", {"functions": {"hello": function}})
        self.write("e2e/artifact/tiny/config/routing.yml", {"routes": [route]})
        self.write("e2e/artifact/tiny/config/resources.yml", {"resources": {"s3": [{"BucketName": "tiny"}]}})
        self.write("e2e/artifact/tiny/functions/hello/src/app.py", _FUNCTION)
        self.write("e2e/scenarios/test_tiny.py", _SCENARIOS)

    def write(self, name: str, content: str | Mapping[str, Any]) -> Path:
        """Write a file of the project, data as YAML, with the folders that it needs."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    def change_entry(self, **more: Any) -> None:
        """Give the matrix' entry more keys."""
        path = self.root / "e2e/environments/test_matrix.yaml"
        matrix = yaml.safe_load(path.read_text())
        matrix["matrix"][0] |= more
        path.write_text(yaml.safe_dump(matrix))

    @property
    def profiles(self) -> str:
        """What its runs select."""
        return ENVIRONMENT

    def start(self, *options: str) -> Run:
        """Start pytest with the profile."""
        self.held.unlink(missing_ok=True)
        output = self.folder / f"output-{len(self._started)}.txt"
        given = {option.partition("=")[0] for option in options}
        names = [f"--esb-timeout-{phase}" for phase in ("reset", "compose", "deploy")]
        phases = [f"{name}={PHASE_SECONDS}" for name in names if name not in given]
        command = [sys.executable, "-m", "pytest", *LEAN, "--esb-profile", self.profiles, *phases]
        command += fitting(options)
        with output.open("wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        run = Run(self, process, output)
        self._started.append(run)
        return run

    def variables(self) -> dict[str, str]:
        """Return the variables of its runs."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "TMPDIR": str(self._temporary),
            "ESB_HOST_DIR": str(self.host),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.more,
        }

    def run(self, *options: str) -> Result:
        """Run pytest with the environment's profile to its end."""
        return self.start(*options).wait()

    def events(self) -> list[dict[str, Any]]:
        """Return the events of the environment that are there."""
        path = self.state / "events.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def processes(self) -> list[int]:
        """Return every process that this project's runs have started, services and workers included."""
        mine = str(self.folder).encode() + b"/"
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if pid != os.getpid() and mine in environment_of(pid)]

    def left_over(self) -> list[str]:
        """Return what its runs have left behind beside log, events, lock files and the table of ports."""
        found = [f"process {pid}: {_command(pid).decode()}" for pid in self.processes()]
        found += [f"port {port} is in use" for port in self._ports() if not _is_free(port)]
        found += [f"lock {path} is held" for path in sorted(self.host.glob("locks/*")) if _is_held(path)]
        found += [f"{path} is not the lock of anything" for path in self.host.glob("locks/*[!k]")]
        found += [str(path) for path in self.host.glob("*") if path.name not in ("locks", "ports.json")]
        found += [path for path in _below(self.state) if Path(path).name != "events.jsonl"]
        found += _below(self.root / ".esb" / "staging")
        found += [
            str(path)
            for folder in (self._home, self._temporary)
            for path in folder.iterdir()
            if not path.name.startswith("pytest-of-")  # made by xdist
            and not path.is_symlink()  # made by the test
        ]
        if (table := self.host / "ports.json").exists():
            leases = json.loads(table.read_text())["leases"].items()
            found += [f"lease of {key}" for key, lease in leases if lease["holder"] or lease["kept_boot"]]
        return found

    def check_nothing_left(self) -> None:
        """Fail if its runs leave anything behind; workers and reaper of a killed run may take a moment."""
        with contextlib.suppress(AssertionError):
            eventually(lambda: not self.processes(), "no process is left", timeout=60)
        left = self.left_over()
        assert not left, "\n".join(left)

    def files(self) -> set[str]:
        """Return all files and folders of the project."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}

    def end(self) -> None:
        """Kill whatever a failed test has left, so that nothing outlives it."""
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for run in self._started:
            run.process.wait(10)

    def _ports(self) -> Iterator[int]:
        for base in range(self.port_base, self.port_base + BLOCKS * BLOCK_SIZE, BLOCK_SIZE):
            yield from (base + offset for offset in OFFSETS.values())


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""


def _below(folder: Path) -> list[str]:
    """Return what there is below a folder, whoever removes some of it meanwhile, which a glob minds."""
    return [
        os.path.join(parent, name)  # noqa: PTH118
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
    ]


def _is_free(port: int) -> bool:
    try:
        with listener(port):
            return True
    except OSError:
        return False


def _is_held(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
