"""What a test sees of the environment it runs in: frozen records, the same in every mode and process."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from esb_e2e_plugin.credentials import Credentials


@dataclass(frozen=True)
class Ports:
    """Host ports of an environment."""

    gateway_https: int
    gateway_http: int
    agent_grpc: int
    agent_metrics: int
    registry: int
    database: int
    s3: int
    s3_console: int


@dataclass(frozen=True)
class Urls:
    """Base URLs of an environment's services, without a trailing slash; where a token comes from, whole."""

    gateway: str
    gateway_http: str
    agent_metrics: str
    database: str
    s3: str
    authentication: str


@dataclass(frozen=True)
class Paths:
    """Files and folders of an environment, all absolute.

    Attributes:
        root: the project's root.
        state: folder that the environment owns while it is up.
        run: sockets and lock files of this run.
        config: the applied configuration (`CONFIG_DIR`); None for a stack without artifacts.
        certificates: folder of the environment's certificates.
        ca_certificate: the authority that signed them, PEM.
        logs: folder with one log file per service, and one per function worker below `functions/`.
        log: everything that happened to the environment, in order.
        events: the same as records, one JSON object a line.
    """

    root: Path
    state: Path
    run: Path
    config: Path | None
    certificates: Path
    ca_certificate: Path
    logs: Path
    log: Path
    events: Path


@dataclass(frozen=True)
class Environment:
    """One environment that is up, deployed and serving.

    Attributes:
        name: the instance's name.
        profile: the entry of the matrix that it is made from.
        mode: `process`, `docker` or `containerd`.
        project: the prefix of everything that belongs to it, such as `esb-e2e-local`.
        run_id: the run that brought it up.
        ports: host ports.
        urls: base URLs.
        paths: files and folders.
        credentials: user, password, keys; never shown by `repr`.
        docker_context: the docker context of its engine; None for the usual one, and where it has none.
    """

    name: str
    profile: str
    mode: str
    project: str
    run_id: str
    ports: Ports
    urls: Urls
    paths: Paths
    credentials: Credentials = field(repr=False)
    docker_context: str | None = None

    def to_data(self) -> dict[str, Any]:
        """Return the record as plain dictionaries, strings and numbers, for a channel or a file."""
        data = asdict(self)
        data["paths"] = {key: None if path is None else str(path) for key, path in data["paths"].items()}
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Environment":
        """Return the record that `to_data` gave `data` for."""
        plain = dict(data)
        paths: dict[str, Any] = {
            key: None if path is None else Path(path) for key, path in plain.pop("paths").items()
        }
        return cls(
            ports=Ports(**plain.pop("ports")),
            urls=Urls(**plain.pop("urls")),
            paths=Paths(**paths),
            credentials=Credentials(**plain.pop("credentials")),
            **plain,
        )
