"""A tiny project with one process environment, real pytest runs in it, and a look at what they leave."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from artifactctl.identity import entry_id
from esb_e2e_plugin.ports import BLOCK_SIZE, OFFSETS
from tests.distribution import fitting
from tests.faults.left_behind import below, command_of, is_held, processes_of
from tests.faults.run import Result, Run
from tests.lean import LEAN
from tests.ports import BLOCKS, is_free
from tests.waiting import eventually

ENVIRONMENT = "e2e-local"
PHASE_SECONDS = 600
"""What every phase may take: more than a run has, so that no failure can come from it."""

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
        return processes_of(self.folder)

    def left_over(self) -> list[str]:
        """Return what its runs have left behind beside log, events, lock files and the table of ports."""
        found = [f"process {pid}: {command_of(pid).decode()}" for pid in self.processes()]
        found += [f"port {port} is in use" for port in self._ports() if not is_free(port)]
        found += [f"lock {path} is held" for path in sorted(self.host.glob("locks/*")) if is_held(path)]
        found += [f"{path} is not the lock of anything" for path in self.host.glob("locks/*[!k]")]
        found += [str(path) for path in self.host.glob("*") if path.name not in ("locks", "ports.json")]
        found += [path for path in below(self.state) if Path(path).name != "events.jsonl"]
        found += below(self.root / ".esb" / "staging")
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
