"""The matrix as frozen records."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal

from esb_e2e_plugin.errors import MatrixError

COMPOSE_FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")

ALL = "all"

Mode = Literal["docker", "containerd", "process"]


@dataclass(frozen=True)
class Suite:
    """A named set of scenario files.

    Attributes:
        name: What entries call it.
        description: For people.
        targets: Files and folders with its tests, absolute.
        exclude: Files and folders among them that do not belong to it, absolute.
        lines: The line of each of them, by keys such as `targets.0`.
    """

    name: str
    description: str
    targets: tuple[Path, ...]
    exclude: tuple[Path, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True)
class Gateway:
    """Where an environment's front door is.

    Attributes:
        service: Its name among the services.
        port: The port that it listens on inside.
        scheme: `https` or `http`.
        health_path: The path that answers 200 once it can serve.
    """

    service: str = "gateway"
    port: int = 8443
    scheme: Literal["https", "http"] = "https"
    health_path: str = "/health"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One environment of the matrix, all its paths absolute.

    Attributes:
        name: What profiles and node ids call it.
        suites: Names of its suites.
        enabled: Whether `all` includes it.
        mode: What drives its services.
        project: First part of the names of its resources.
        env_dir: The folder with its compose file and env file.
        env_file: Variables for its services; None where the usual file does not exist.
        env_vars: More of them; they win over the file.
        artifact_manifest: What is applied to it; None for a stack without artifacts.
        config_dir: Where it is applied to, relative to the root, with `${ESB_PROJECT}` and `${ESB_ENV}`.
        image_uri_overrides: Image of an image function, by function name.
        image_runtime_overrides: Runtime of an image function, by function name.
        secret_env_file: Secrets that the artifacts require.
        strict: Whether every finding about runtime metadata is an error.
        compose_files: What describes its services; empty in process mode.
        gateway: Where its front door is.
        docker_context: Another engine to run on.
        bind_address: The host's address that its ports are published on.
        engine_socket: The engine's socket on the engine's own host.
        weight: First guess of its cost, relative to the other entries.
        containerd_runtime: The runtime that containerd is told to use, where it is not its default.
        source: The matrix file.
        lines: The line of each key; the empty key stands for the entry.
    """

    name: str
    suites: tuple[str, ...]
    enabled: bool
    mode: Mode
    project: str
    env_dir: Path
    env_file: Path | None
    env_vars: Mapping[str, str]
    artifact_manifest: Path | None
    config_dir: str | None
    image_uri_overrides: Mapping[str, str]
    image_runtime_overrides: Mapping[str, str]
    secret_env_file: Path | None
    strict: bool
    compose_files: tuple[Path, ...]
    gateway: Gateway
    docker_context: str | None
    bind_address: str
    engine_socket: str
    weight: float
    containerd_runtime: str | None
    source: Path
    lines: Mapping[str, int] = field(repr=False)

    def line(self, key: str = "") -> int:
        """Return the line of a key such as `env_vars.LEVEL`, or of the nearest one above it."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines[key]

    def error(
        self, key: str, problem: str, *, expected: str | None = None, remedy: str | None = None
    ) -> MatrixError:
        """Build the error about one key of this entry."""
        label = f"{self.name}: {key}" if key else self.name
        return MatrixError.at(self.source, self.line(key), label, problem, expected=expected, remedy=remedy)

    def config_path(self, root: Path, environment: str) -> Path | None:
        """Return where the configuration of one environment goes; None for a stack without artifacts.

        Args:
            root: The project root.
            environment: The environment's name, in lower case.
        """
        if self.config_dir is None:
            return None
        text = self.config_dir.replace("${ESB_PROJECT}", self.project.lower())
        return Path(os.path.normpath(root / text.replace("${ESB_ENV}", environment)))


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The whole file.

    Attributes:
        path: The file, absolute.
        root: The project root.
        digest: SHA-256 of the file's bytes, hexadecimal.
        suites: Every suite by name.
        entries: Every entry, in the order of the file.
        subnet_pool: The network that environments' networks are taken from.
        port_base: The first host port that environments may use.
    """

    path: Path
    root: Path
    digest: str
    suites: Mapping[str, Suite]
    entries: tuple[Entry, ...]
    subnet_pool: IPv4Network
    port_base: int

    def select(self, names: Sequence[str]) -> tuple[Entry, ...]:
        """Return the entries of these names, each one once, in the order of the names.

        Args:
            names: Names compared without case; `all` for every enabled entry in the order of the file.

        Raises:
            MatrixError: A name is unknown, or `all` finds nothing enabled.
        """
        by_name = {entry.name.casefold(): entry for entry in self.entries}
        found: dict[str, Entry] = {}
        for name in names:
            if name.casefold() == ALL:
                found.update((entry.name, entry) for entry in self.enabled)
            elif (entry := by_name.get(name.casefold())) is not None:
                found[entry.name] = entry
            else:
                known = [entry.name for entry in self.entries]
                raise MatrixError.at(
                    self.path,
                    0,
                    "--esb-profile",
                    f"unknown profile {name!r}",
                    expected=f"{ALL} or one of {', '.join(known)}",
                    given=name,
                    known=known,
                )
        if names and not found:
            raise MatrixError.at(
                self.path,
                0,
                "--esb-profile",
                f"{ALL} selects nothing",
                expected="an entry with enabled: true",
            )
        return tuple(found.values())

    @property
    def enabled(self) -> tuple[Entry, ...]:
        """The entries that `all` stands for."""
        return tuple(entry for entry in self.entries if entry.enabled)
