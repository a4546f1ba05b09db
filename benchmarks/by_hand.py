"""The stack of `e2e-docker` without the plugin, as a shell, pytest-docker and testcontainers drive it."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

PROFILE = "e2e-docker"
_VARIABLE = "BENCH_STACK"
_PORTS = ("GATEWAY_HTTPS", "AGENT_METRICS", "S3", "DATABASE")
_CONFIG_SECONDS = 30
_CREDENTIALS = {
    "auth_user": "bench-user",
    "auth_pass": "bench-password",
    "x_api_key": "bench-api-key",
    "jwt_secret_key": "bench-jwt-key-that-has-32-characters",
    "s3_access_key": "bench-access-key",
    "s3_secret_key": "bench-secret-key",
}


@dataclass(frozen=True)
class Stack:
    """One instance of the stack, as commands need it.

    Attributes:
        project: folder of the project's copy.
        name: of the compose project.
        artifactctl: the applier's program.
        ports: the published ports, by name.
    """

    project: str
    name: str
    artifactctl: str
    ports: Mapping[str, int]

    @classmethod
    def with_free_ports(cls, project: Path, name: str, artifactctl: Path) -> "Stack":
        """Return an instance on ports that nobody uses now."""
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in _PORTS]
            ports = {port: made.getsockname()[1] for port, made in zip(_PORTS, sockets, strict=True)}
        return cls(str(project), name, str(artifactctl), ports)

    @classmethod
    def from_environment(cls) -> "Stack":
        """Return the instance that `variables` tells of."""
        return cls(**json.loads(os.environ[_VARIABLE]))

    @property
    def folder(self) -> Path:
        """Where the compose file is."""
        return Path(self.project, "e2e/environments", PROFILE)

    @property
    def variables(self) -> dict[str, str]:
        """What the compose file and the drivers read."""
        return {
            **{name.upper(): value for name, value in _CREDENTIALS.items()},
            **{f"ESB_PORT_{name}": str(port) for name, port in self.ports.items()},
            "ESB_PROJECT": self.name,
            "ESB_IMAGE_TAG": f"e2e-{PROFILE}-latest",
            _VARIABLE: json.dumps(asdict(self)),
        }

    def facts(self) -> Any:
        """Return what scenarios read of an environment."""
        local = "http://127.0.0.1"
        gateway = f"https://127.0.0.1:{self.ports['GATEWAY_HTTPS']}"
        urls = {
            "gateway": gateway,
            "authentication": f"{gateway}/user/auth/v1",
            "agent_metrics": f"{local}:{self.ports['AGENT_METRICS']}",
            "database": f"{local}:{self.ports['DATABASE']}",
            "s3": f"{local}:{self.ports['S3']}",
        }
        return SimpleNamespace(
            urls=SimpleNamespace(**urls),
            credentials=SimpleNamespace(**_CREDENTIALS),
            paths=SimpleNamespace(ca_certificate=self._ca, run=Path(self.project, "run")),
        )

    @contextmanager
    def deployed(self) -> Iterator[None]:
        """Apply the artifacts to the services that are up; in the end remove the function workers."""
        try:
            self._deploy()
            yield
        finally:
            # Who still has a gateway gets new workers.
            self.compose("kill", "gateway", "agent")
            label = f"label=com.esb.project={self.name}"
            if workers := self.run("docker", "ps", "--all", "--quiet", "--filter", label).split():
                self.run("docker", "rm", "--force", "--volumes", *workers)

    def compose(self, *arguments: str) -> None:
        """Run a command of Docker Compose on it."""
        self.run("docker", "compose", "--project-name", self.name, *arguments)

    def run(self, *command: str) -> str:
        """Run a command to its end and return what it writes.

        Raises:
            SystemExit: it failed; its output is shown.
        """
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    @property
    def _ca(self) -> Path:
        return Path(self.project, "ca.crt")

    def _deploy(self) -> None:
        config = Path(self.project, "config-by-hand")
        artifact = Path(self.project, "e2e/artifacts", PROFILE, "artifact.yml")
        self.compose("cp", "gateway:/etc/esb/certificates/ca.crt", str(self._ca))
        self.run(self.artifactctl, "deploy", "--artifact", str(artifact), "--out", str(config))
        self.compose("cp", f"{config}/.", "gateway:/etc/esb/config")
        self.compose("--profile", "deploy", "run", "--rm", "provisioner")
        shutil.rmtree(config)
        self._wait_for_config()

    def _wait_for_config(self) -> None:
        url = f"https://127.0.0.1:{self.ports['GATEWAY_HTTPS']}/health"
        context = ssl.create_default_context(cafile=str(self._ca))
        deadline = time.monotonic() + _CONFIG_SECONDS
        while time.monotonic() < deadline:
            with urlopen(url, timeout=5, context=context) as answer:
                if json.load(answer)["config"]["digest"]:
                    return
            time.sleep(0.05)
        raise SystemExit(f"{url} tells of no configuration")
