"""Which engine an environment runs on, for docker-py: the same one as for docker's command line."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import docker
from docker.context.config import get_current_context_name
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host

from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.lifecycle.docker_variables import DEFAULT_CONTEXT
from esb_e2e_plugin.lifecycle.refusals import engine_error

_SECONDS = 20


@dataclass(frozen=True)
class Endpoint:
    """Where an engine answers.

    Attributes:
        url: such as `unix:///var/run/docker.sock` or `tcp://build-box:2376`.
        tls: what verifies it and what it verifies, or None.
    """

    url: str
    tls: TLSConfig | None = None

    @property
    def remote(self) -> bool:
        """Whether it is reached by the network, so that it may see none of this machine's files."""
        return self._name is not None

    @property
    def host(self) -> str | None:
        """The other machine that it is on; None for this one."""
        return None if self._name is None or _is_this_machine(self._name) else self._name

    @property
    def _name(self) -> str | None:
        parts = urlsplit(self.url)
        return None if parts.scheme.endswith("unix") else parts.hostname


def find(environ: Mapping[str, str], context: str | None) -> Endpoint:
    """Return where an engine answers; nothing is sent to it.

    Args:
        environ: variables that may name it: `DOCKER_HOST` with its companions, then `DOCKER_CONTEXT`.
        context: a docker context that names it, whatever the variables say.

    Raises:
        StepError: there is no such context.
    """
    named = context or _usual_context(environ)
    if named != DEFAULT_CONTEXT:
        return _inspect(named, environ)
    chosen = kwargs_from_env(environment=dict(environ))
    tls = chosen.get("tls")
    return Endpoint(str(parse_host(chosen.get("base_url"), tls=tls is not None)), tls)


def connect(endpoint: Endpoint, *, timeout: int) -> docker.DockerClient:
    """Return a client of an engine; nothing is sent to it yet.

    Args:
        endpoint: where it answers.
        timeout: seconds that an answer may take.
    """
    return docker.DockerClient(base_url=endpoint.url, tls=endpoint.tls or False, timeout=timeout)


def _usual_context(environ: Mapping[str, str]) -> str:
    if environ.get("DOCKER_HOST"):
        return DEFAULT_CONTEXT
    return environ.get("DOCKER_CONTEXT") or get_current_context_name()


def _inspect(context: str, environ: Mapping[str, str]) -> Endpoint:
    """Ask the command line: docker-py finds no context where there is no config.json beside them."""
    command = ["docker", "context", "inspect", context]
    try:
        done = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise engine_error("there is no docker command", "make engine installs it") from None
    except subprocess.TimeoutExpired:
        raise engine_error(f"{' '.join(command)} did not answer in time") from None
    if done.returncode != 0:
        raise StepError(
            f"docker context {context!r} cannot be used: {done.stderr.strip()}",
            remedy="docker context ls lists those that are there",
            kind=Kind.USER_INPUT,
            component="docker_context",
        )
    facts = json.loads(done.stdout)[0]
    endpoint = facts["Endpoints"]["docker"]
    if not endpoint["Host"].startswith(("unix:", "tcp:", "http")):
        raise StepError(
            f"docker context {context!r} is at {endpoint['Host']}, which needs a tunnel",
            remedy="make a context that names unix:// or tcp://",
            kind=Kind.USER_INPUT,
            component="docker_context",
        )
    files = {
        name: Path(facts["Storage"]["TLSPath"], "docker", name)
        for name in facts["TLSMaterial"].get("docker") or ()
    }
    if not files:
        return Endpoint(endpoint["Host"])
    ca, cert, key = (
        str(files[name]) if name in files else None for name in ("ca.pem", "cert.pem", "key.pem")
    )
    tls = TLSConfig(
        client_cert=(cert, key) if cert and key else None,
        ca_cert=ca,
        verify=not endpoint.get("SkipTLSVerify", False),
    )
    return Endpoint(endpoint["Host"], tls)


def _is_this_machine(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
