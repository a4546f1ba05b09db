"""Tiny projects whose environment is a compose project on a real engine, and a look at what they leave."""

import contextlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.engine.images import IMAGE
from tests.faults.project import PHASE_SECONDS, Project
from tests.faults.run import Result, Run
from tests.lean import LEAN
from tests.ports import own_ports

ENVIRONMENT = "e2e-docker"
DOCKER_SECONDS = 300
KINDS: Mapping[str, tuple[str, ...]] = {
    "container": ("ps", "--all", "--format", "{{.Names}}"),
    "network": ("network", "ls", "--format", "{{.Name}}"),
    "volume": ("volume", "ls", "--format", "{{.Name}}"),
}

FRONT_DOOR = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

print("the front door is open", flush=True)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""

HOLD = """
import time
from pathlib import Path

def test_hold(esb_environment):
    hold, held = Path("hold"), Path(f"held-{esb_environment.name}")
    if hold.exists():
        held.with_suffix(".new").write_text(str(esb_environment.ports.gateway_https))
        held.with_suffix(".new").replace(held)
    deadline = time.monotonic() + 120
    while hold.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
"""

_SCENARIOS = f"""
from urllib.request import urlopen

def test_hello(esb_gateway_url):
    with urlopen(f"{{esb_gateway_url}}/", timeout=30) as answer:
        assert answer.read() == b"hello"

{HOLD}
"""


def docker(*arguments: str, engine: Mapping[str, str] | None = None) -> str:
    """Run a docker command to its end and return what it writes; `engine` holds variables that name one."""
    done = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **(engine or {})},
        capture_output=True,
        text=True,
        timeout=DOCKER_SECONDS,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def labelled(label: str, kind: str, engine: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of the containers, networks or volumes of an engine that carry a label."""
    return docker(*KINDS[kind], "--filter", f"label={label}", engine=engine).split()


def remove_labelled(label: str, engine: Mapping[str, str] | None = None) -> None:
    """Kill and remove whatever carries a label; who else is attached to its networks is let go."""
    for kind, command in {
        "container": ("rm", "-fv"),
        "network": ("network", "rm"),
        "volume": ("volume", "rm"),
    }.items():
        found = labelled(label, kind, engine)
        for network in found if kind == "network" else ():
            form = "{{range .Containers}}{{.Name}} {{end}}"
            for attached in docker("network", "inspect", "--format", form, network, engine=engine).split():
                docker("network", "disconnect", "--force", network, attached, engine=engine)
        if found:
            docker(*command, *found, engine=engine)


def service(*command: str, **more: Any) -> dict[str, Any]:
    """Return a service of a compose file that runs a command."""
    return {"image": IMAGE, "init": True, "command": list(command) or ["sleep", "infinity"], **more}


def front_door() -> dict[str, Any]:
    """Return a service that answers every GET on port 8080."""
    return service("python3", "-S", "-c", FRONT_DOOR)


BACK = service(volumes=["data:/data"], networks=["default", "runtime"])


class DockerProject(Project):
    """A project whose environment is two services, without artifacts.

    Args:
        folder: where everything lies.
        port_base: first of the ports that its environments may use.
        host: another project's host folder, to share it.
        esb_project: its name in the matrix; a copy of a project has the same.
        engine: variables that name the engine where its environments are; empty for the usual one.

    Attributes:
        environment: the name of its environment.
    """

    environment = ENVIRONMENT

    def __init__(
        self,
        folder: Path,
        port_base: int,
        host: Path | None = None,
        esb_project: str = "",
        engine: Mapping[str, str] | None = None,
    ) -> None:
        self.name = esb_project or f"t{uuid.uuid4().hex[:8]}"
        self.engine = engine or {}
        # Whoever has a range of ports to itself has a range of subnets to itself.
        self.subnet_pool = f"10.{100 + (port_base - 20000) // 200}.0.0/16"
        self.entry: dict[str, Any] = {
            "esb_env": self.environment,
            "esb_project": self.name,
            "suites": ["all"],
            "gateway": {"service": "front", "port": 8080, "scheme": "http", "health_path": "/health"},
        }
        super().__init__(folder, port_base, host)
        self.log = self.root / "e2e" / f".parallel-{self.environment}.log"
        self.state = self.root / ".esb" / "e2e" / "state" / self.environment
        self.held = self.held_in(self.environment)

    @property
    def label(self) -> str:
        """What everything of its plain environment is labelled with."""
        return f"com.esb.project={self.name}-{self.environment}"

    def held_in(self, environment: str) -> Path:
        """Return the file that tells that a test holds an environment."""
        return self.root / f"held-{environment}"

    def _write_files(self) -> None:
        addopts = "--import-mode=importlib -p no:cacheprovider"
        self.write("pyproject.toml", f'[tool.pytest.ini_options]\naddopts = "{addopts}"\n')
        self.write_matrix()
        self.write_compose({"front": front_door(), "back": BACK})
        self.write("e2e/scenarios/test_tiny.py", _SCENARIOS)

    def write_matrix(self, **more: Any) -> None:
        """Write the matrix, with more keys of its entry; `subnet_pool` is one of the file."""
        pool = more.pop("subnet_pool", self.subnet_pool)
        matrix = {
            "suites": {"all": {"targets": ["../scenarios/"]}},
            "matrix": [{**self.entry, **more}],
            "port_base": self.port_base,
            "subnet_pool": pool,
        }
        self.write("e2e/environments/test_matrix.yaml", matrix)

    def write_compose(self, services: Mapping[str, Any], **more: Any) -> None:
        """Write the compose file."""
        networks: dict[str, Any] = {"default": {}, "runtime": {}}
        document = {"services": services, "networks": networks, "volumes": {"data": {}}, **more}
        self.write(f"e2e/environments/{self.environment}/docker-compose.yml", document)

    def start(self, *options: str) -> Run:
        """Start pytest with the environment's profile."""
        for path in self.root.glob("held-*"):
            path.unlink()
        output = self.folder / f"output-{len(self._started)}.txt"
        given = {option.partition("=")[0] for option in options}
        phases = [f"--esb-timeout-{phase}" for phase in ("reset", "compose", "deploy")]
        deadlines = [f"{option}={PHASE_SECONDS}" for option in phases if option not in given]
        arguments = ["--esb-profile", self.environment, *deadlines, *options]
        command = [sys.executable, "-m", "pytest", *LEAN, *arguments]
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

    def there(self) -> dict[str, list[str]]:
        """Return the names of what is labelled for any of its environments, by kind."""
        own = re.compile(rf"{self.name}[-_]")
        return {
            kind: sorted(
                name for name in labelled("com.esb.managed=true", kind, self.engine) if own.match(name)
            )
            for kind in KINDS
        }

    def left_over(self) -> list[str]:
        """Return what its runs have left behind, on the engine too."""
        expected = {
            str(self.host / "subnets.json"),
            str(self.host / "registry.json"),  # of the registry, which outlives runs; the first one makes it
            str(self._home / ".docker"),  # buildx's own
        }
        found = [line for line in super().left_over() if line not in expected]
        if (table := self.host / "subnets.json").exists():
            leases = json.loads(table.read_text())["leases"].items()
            found += [f"subnets of {key}" for key, lease in leases if lease["holder"] or lease["kept_boot"]]
        return found + [f"{kind} {name}" for kind, names in self.there().items() for name in names]

    def end(self) -> None:
        """Remove whatever a failed test has left."""
        super().end()
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            for name in {label for kind in KINDS for label in self._labels(kind)}:
                remove_labelled(f"com.esb.project={name}", self.engine)

    def _labels(self, kind: str) -> Iterator[str]:
        for name in labelled("com.esb.managed=true", kind, self.engine):
            if name.startswith(self.name):
                label = docker(kind, "inspect", "-f", _LABEL[kind], name, engine=self.engine)
                yield label


_LABEL = {
    "container": '{{index .Config.Labels "com.esb.project"}}',
    "network": '{{index .Labels "com.esb.project"}}',
    "volume": '{{index .Labels "com.esb.project"}}',
}


@contextlib.contextmanager
def making_projects(folder: Path) -> Iterator[Callable[..., DockerProject]]:
    """Yield `make(name, **arguments)`: tiny projects below a folder that compete for the same ports."""
    with ExitStack() as stack:
        base = stack.enter_context(own_ports())

        def make(name: str, kind: type[DockerProject] = DockerProject, **arguments: Any) -> DockerProject:
            project = kind(folder / name, base, **arguments)
            stack.callback(project.end)
            return project

        yield make


def check_green(result: Result, passed: int = 2) -> None:
    """Assert that a run passed."""
    assert result.code == 0, result.output + result.log
    assert f"{passed} passed" in result.output
