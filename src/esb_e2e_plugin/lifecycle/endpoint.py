"""Which engine an environment runs on: the same one for docker-py and for docker's command line."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import docker
from docker.context.config import get_current_context_name
from docker.tls import TLSConfig

from esb_e2e_plugin.failure import StepError

_NAMING = ("DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT")
_DEFAULT = "default"
_SECONDS = 20


def connect(environ: Mapping[str, str], context: str | None, *, timeout: int) -> docker.DockerClient:
    """Return a client of an engine; nothing is sent to it yet.

    Args:
        environ: variables that may name it: `DOCKER_HOST` with its companions, then `DOCKER_CONTEXT`.
        context: a docker context that names it, whatever the variables say.
        timeout: seconds that an answer may take.

    Raises:
        StepError: there is no such context.
    """
    named = context or _usual_context(environ)
    if named == _DEFAULT:
        return docker.DockerClient.from_env(environment=dict(environ), timeout=timeout)
    endpoint, tls = _inspect(named, environ)
    return docker.DockerClient(base_url=endpoint["Host"], tls=tls or False, timeout=timeout)


def for_commands(variables: Mapping[str, str], context: str | None) -> dict[str, str]:
    """Return variables with which docker's command line talks to the engine that `connect` finds."""
    if context is None:
        return dict(variables)
    # DOCKER_HOST would win over the context.
    return {name: value for name, value in variables.items() if name not in _NAMING} | {
        "DOCKER_CONTEXT": context
    }


def _usual_context(environ: Mapping[str, str]) -> str:
    if environ.get("DOCKER_HOST"):
        return _DEFAULT
    return environ.get("DOCKER_CONTEXT") or get_current_context_name()


def _inspect(context: str, environ: Mapping[str, str]) -> tuple[Mapping[str, str], TLSConfig | None]:
    """Ask the command line: docker-py finds no context where there is no config.json beside them."""
    command = ["docker", "context", "inspect", context]
    try:
        done = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise StepError("there is no docker command", remedy="make engine installs it") from None
    except subprocess.TimeoutExpired:
        raise StepError(f"{' '.join(command)} did not answer in time") from None
    if done.returncode != 0:
        raise StepError(
            f"docker context {context!r} cannot be used: {done.stderr.strip()}",
            remedy="docker context ls lists those that are there",
        )
    facts = json.loads(done.stdout)[0]
    endpoint = facts["Endpoints"]["docker"]
    if not endpoint["Host"].startswith(("unix:", "tcp:", "http")):
        raise StepError(
            f"docker context {context!r} is at {endpoint['Host']}, which needs a tunnel",
            remedy="make a context that names unix:// or tcp://",
        )
    files = {
        name: Path(facts["Storage"]["TLSPath"], "docker", name)
        for name in facts["TLSMaterial"].get("docker") or ()
    }
    if not files:
        return endpoint, None
    ca, cert, key = (
        str(files[name]) if name in files else None for name in ("ca.pem", "cert.pem", "key.pem")
    )
    return endpoint, TLSConfig(
        client_cert=(cert, key) if cert and key else None,
        ca_cert=ca,
        verify=not endpoint.get("SkipTLSVerify", False),
    )
