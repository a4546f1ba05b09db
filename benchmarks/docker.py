"""A whole run on the engine, images cached, beside the best sequence of shell commands that does the same."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import yaml

from benchmarks.measuring import ENVIRONMENT, ROOT, Row, own_host, project, pytest, table

RUNS = 5
PROFILE = "e2e-docker"
SUITE = "e2e/scenarios/smoke"
WORKERS = ["-n", "2"]
PORTS = ("GATEWAY_HTTPS", "AGENT_METRICS", "S3", "DATABASE")
SERVICES = ("services/images", "services/esb_services")

_CREDENTIALS = {
    "auth_user": "bench-user",
    "auth_pass": "bench-password",
    "x_api_key": "bench-api-key",
    "jwt_secret_key": "bench-jwt-key-that-has-32-characters",
    "s3_access_key": "bench-access-key",
    "s3_secret_key": "bench-secret-key",
}
_CONFTEST = """
import json, os
from types import SimpleNamespace
import pytest
from esb_e2e_plugin.fixtures.aws import esb_dynamodb, esb_lambda, esb_s3
from esb_e2e_plugin.fixtures.gateway import esb_gateway, esb_gateway_url, esb_token

@pytest.fixture(scope="session")
def esb_environment():
    return json.loads(os.environ["BENCH"], object_hook=lambda values: SimpleNamespace(**values))
"""


def measure() -> Iterator[Row]:
    """Take turns between the two, after one run of each that builds what is missing."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:  # noqa: S607
        return
    plugin: list[float] = []
    shell: list[float] = []
    removals: list[float] = []
    with project() as copy:
        _prepare(copy)
        for measured in range(RUNS + 1):
            used = pytest(
                ["--esb-profile", PROFILE, "--esb-test-target", SUITE, *WORKERS], copy, own_host(copy)
            )
            sequence = _Shell(copy, _project_of(copy))
            taken = sequence.run()
            if measured:
                plugin.append(used.wall)
                shell.append(taken)
                removals.append(_removal(copy / ".esb/e2e/state" / PROFILE / "events.jsonl"))
    ratio = median(a / b for a, b in zip(plugin, shell, strict=True))
    beside = (
        f"up --wait, apply, pytest, down: {median(shell):.2f} s (fastest {min(shell):.2f}); "
        f"the run: {median(plugin):.2f} s (fastest {min(plugin):.2f})"
    )
    yield Row("e2e-docker, cold run of the smoke suite", ratio, 1.0, "x", beside)
    yield Row(
        "clean-up of one docker environment",
        median(removals),
        1.5,
        "s",
        "its services, function workers, networks and volumes",
    )


class _Shell:
    """What somebody without the plugin would type, each command at its best."""

    def __init__(self, copy: Path, name: str) -> None:
        self._copy = copy
        self._name = f"{name}-shell"
        self._folder = copy / "e2e/environments" / PROFILE
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
            self._ports = {port: made.getsockname()[1] for port, made in zip(PORTS, sockets, strict=True)}
        self._variables = {
            **ENVIRONMENT,
            **{name.upper(): value for name, value in _CREDENTIALS.items()},
            **{f"ESB_PORT_{name}": str(port) for name, port in self._ports.items()},
            "ESB_PROJECT": self._name,
            "ESB_IMAGE_TAG": f"e2e-{PROFILE}-latest",
        }

    def run(self) -> float:
        """Run the sequence and return its seconds."""
        config = self._copy / "shell-config"
        artifact = self._copy / "e2e/artifacts" / PROFILE / "artifact.yml"
        artifactctl = str(Path(sys.executable).with_name("artifactctl"))
        ca = self._copy / "ca.crt"
        started = time.perf_counter()
        try:
            self._compose("up", "--detach", "--wait")
            self._compose("cp", "gateway:/etc/esb/certificates/ca.crt", str(ca))
            self._run([artifactctl, "deploy", "--artifact", str(artifact), "--out", str(config)])
            self._compose("cp", f"{config}/.", "gateway:/etc/esb/config")
            self._compose("--profile", "deploy", "run", "--rm", "provisioner")
            self._wait_for_config(ca)
            self._tests(ca)
        finally:
            self._compose("--profile", "deploy", "down", "--volumes", "--timeout", "0")
            workers = self._run(
                ["docker", "ps", "--all", "--quiet", "--filter", f"label=com.esb.project={self._name}"]
            ).split()
            if workers:
                self._run(["docker", "rm", "--force", "--volumes", *workers])
        taken = time.perf_counter() - started
        shutil.rmtree(config)
        return taken

    def _wait_for_config(self, ca: Path) -> None:
        url = f"https://127.0.0.1:{self._ports['GATEWAY_HTTPS']}/health"
        context = ssl.create_default_context(cafile=str(ca))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with urlopen(url, timeout=5, context=context) as answer:
                if json.load(answer)["config"]["digest"]:
                    return
            time.sleep(0.05)
        raise SystemExit(f"{url} tells of no configuration")

    def _tests(self, ca: Path) -> None:
        plain = self._copy / "plain"
        if not plain.exists():
            shutil.copytree(self._copy / "e2e/scenarios", plain / "scenarios")
            (plain / "conftest.py").write_text(_CONFTEST)
            (plain / "pyproject.toml").write_text("")
        local = "http://127.0.0.1"
        urls = {
            "gateway": f"https://127.0.0.1:{self._ports['GATEWAY_HTTPS']}",
            "agent_metrics": f"{local}:{self._ports['AGENT_METRICS']}",
            "database": f"{local}:{self._ports['DATABASE']}",
            "s3": f"{local}:{self._ports['S3']}",
        }
        urls["authentication"] = f"{urls['gateway']}/user/auth/v1"
        facts: Mapping[str, object] = {
            "urls": urls,
            "credentials": _CREDENTIALS,
            "paths": {"ca_certificate": str(ca)},
        }
        options = ["-p", "no:esb_e2e", *WORKERS, f"scenarios/{Path(SUITE).name}"]
        pytest(options, plain, {"BENCH": json.dumps(facts)})

    def _compose(self, *arguments: str) -> None:
        self._run(["docker", "compose", "-p", self._name, *arguments])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self._folder, env=self._variables, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def _prepare(copy: Path) -> None:
    """Give the copy its own names, and the sources of the services, as a checkout has them."""
    for folder in SERVICES:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / "e2e/environments/test_matrix.yaml"
    matrix = yaml.safe_load(path.read_text())
    (entry,) = [entry for entry in matrix["matrix"] if entry["esb_env"] == PROFILE]
    matrix["matrix"] = [{**entry, "esb_project": f"bench{uuid.uuid4().hex[:6]}"}]
    path.write_text(yaml.safe_dump(matrix))


def _project_of(copy: Path) -> str:
    matrix = yaml.safe_load((copy / "e2e/environments/test_matrix.yaml").read_text())
    return f"{matrix['matrix'][0]['esb_project']}-{os.getpid()}"


def _removal(events: Path) -> float:
    """Return how long the clean-up took, in seconds."""
    records = [json.loads(line) for line in events.read_text().splitlines()]
    start = next(r["t"] for r in records if r["kind"] == "phase.started" and r["phase"] == "cleanup")
    end = next(r["t"] for r in records if r["kind"] == "phase.finished" and r["phase"] == "cleanup")
    return float(end - start)


if __name__ == "__main__":
    print(table(measure()))
