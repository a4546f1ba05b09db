"""What the agent is told by its environment."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from esb_services.cni import NetworkSettings
from esb_services.variables import SettingError, Variables

RUNTIMES = ("process", "docker", "containerd")
PULL_POLICIES = ("missing", "always")


@dataclass(frozen=True)
class ProcessSettings:
    """Workers that are processes: where the code of images lies, and where their output goes."""

    image_index: Path
    log_dir: Path


@dataclass(frozen=True)
class DockerSettings:
    """Workers that are containers.

    Attributes:
        host: the engine's address.
        network: the name of the workers' network.
        environment: the environment's name, for labels.
        run_id: the run that the environment belongs to, for labels.
    """

    host: str
    network: str
    environment: str
    run_id: str


@dataclass(frozen=True)
class ContainerdSettings:
    """Workers that are tasks of a containerd.

    Attributes:
        address: of containerd's unix socket, whose folder it shares with the agent.
        namespace: of everything that the agent makes.
        runtime: the name of the shim that runs tasks.
        registry: host and port of where images are pulled from, over plain HTTP.
        always_pull: ask the registry at each start whether an image's name stands for another one now.
        network: the workers' bridge and subnet.
        environment: the environment's name, for labels.
        run_id: the run that the environment belongs to, for labels.
    """

    address: str
    namespace: str
    runtime: str
    registry: str
    always_pull: bool
    network: NetworkSettings
    environment: str
    run_id: str


@dataclass(frozen=True)
class Settings:
    """Where the agent listens, who it trusts, and what runs its workers."""

    project: str
    host: str
    grpc_port: int
    metrics_port: int
    cert_file: Path
    key_file: Path
    ca_file: Path
    workers: ProcessSettings | DockerSettings | ContainerdSettings
    log_level: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings of the agent.

        Raises:
            SettingError: a variable is missing or wrong.
        """
        variables = Variables(environ)
        _check_certificates(variables)
        return cls(
            project=variables.text("ESB_PROJECT", "the compose project's name, such as esb-e2e-local"),
            host=variables.text("BIND_ADDRESS", "an IP address to listen on", "0.0.0.0"),  # noqa: S104 - in a container
            grpc_port=variables.port("AGENT_GRPC_PORT", 50051),
            metrics_port=variables.port("AGENT_METRICS_PORT", 9091),
            cert_file=variables.file("AGENT_CERT_FILE"),
            key_file=variables.file("AGENT_KEY_FILE"),
            ca_file=variables.file("AGENT_CA_FILE"),
            workers=_workers(variables),
            log_level=variables.log_level(),
        )


def _workers(variables: Variables) -> ProcessSettings | DockerSettings | ContainerdSettings:
    runtime = variables.choice("AGENT_RUNTIME", RUNTIMES)
    if runtime == "docker":
        return DockerSettings(
            host=variables.text(
                "DOCKER_HOST", "the address of a Docker engine", "unix:///var/run/docker.sock"
            ),
            network=variables.text("AGENT_NETWORK", "the name of the workers' network"),
            environment=_environment(variables),
            run_id=_run_id(variables),
        )
    if runtime == "containerd":
        return _containerd(variables)
    return ProcessSettings(
        image_index=Path(variables.text("AGENT_IMAGE_INDEX", "the path of the image index, a JSON file")),
        log_dir=Path(variables.text("AGENT_LOG_DIR", "the path of a folder for the workers' output")),
    )


def _containerd(variables: Variables) -> ContainerdSettings:
    project = variables.text("ESB_PROJECT", "the compose project's name, such as esb-e2e-containerd")
    return ContainerdSettings(
        address=variables.text(
            "CONTAINERD_ADDRESS", "the path of containerd's socket", "/run/esb/containerd.sock"
        ),
        namespace=variables.text("CONTAINERD_NAMESPACE", "the name of a namespace of containerd", project),
        runtime=variables.text(
            "CONTAINERD_RUNTIME", "the name of a runtime of containerd", "io.containerd.runc.v2"
        ),
        registry=variables.text("CONTAINER_REGISTRY", "host and port of a registry, such as registry:5010"),
        always_pull=variables.choice("AGENT_PULL_POLICY", PULL_POLICIES, "missing") == "always",
        network=NetworkSettings.from_variables(variables),
        environment=_environment(variables),
        run_id=_run_id(variables),
    )


def _environment(variables: Variables) -> str:
    return variables.text("ESB_ENV", "the environment's name, such as e2e-docker")


def _run_id(variables: Variables) -> str:
    return variables.text("ESB_RUN_ID", "the id of the run that the environment belongs to")


def _check_certificates(variables: Variables) -> None:
    """Refuse files that are no certificates; gRPC would only say that it cannot bind."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = variables.file("AGENT_CERT_FILE"), variables.file("AGENT_KEY_FILE")
    authority = variables.file("AGENT_CA_FILE")
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise SettingError(
            "AGENT_CERT_FILE", str(certificate), "a certificate for AGENT_KEY_FILE, in PEM"
        ) from error
    try:
        context.load_verify_locations(authority)
    except (ssl.SSLError, OSError) as error:
        raise SettingError(
            "AGENT_CA_FILE", str(authority), "the certificate of an authority, in PEM"
        ) from error
