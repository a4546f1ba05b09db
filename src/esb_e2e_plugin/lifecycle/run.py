"""What all environments of one run share."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.events import NOBODY, Observer
from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.redaction import Redactor
from esb_e2e_plugin.settings import Settings


class Hooks(Protocol):
    """The project's own steps, called in the environment's thread."""

    def deploy(self, environment: Environment, log: Callable[[str], None]) -> None:
        """Run the project's part of the deploy phase."""

    def ready(self, environment: Environment) -> None:
        """Tell that tests may use the environment."""

    def failed(self, environment: str, failure: Failure) -> None:
        """Tell that the environment failed."""


@dataclass(frozen=True)
class ComposeAnswer:
    """What Compose has said of compose files.

    Attributes:
        text: one JSON document.
        asked: when it was asked, in nanoseconds since the epoch.
    """

    text: bytes
    asked: int


@dataclass(frozen=True)
class Run:
    """What all environments of one run share.

    Attributes:
        run_id: its id.
        root: the project root.
        host: the folder shared by all runs of this user, see `store.host_path`.
        port_base: first host port that environments may use.
        subnet_pool: the network that environments' networks are taken from.
        environ: the caller's environment variables.
        settings: options.
        applier: program that applies artifacts in place of the built-in applier.
        commit: short id of the commit under test, or None.
        ci: whether this is a CI run.
        hooks: the project's own steps.
        listener: receives environment and text of each line for the terminal, from any thread.
        cancelled: set when the run gives up.
        observer: sees each event and each line of output, from any thread.
        hook_files: where the project's part of the deploy phase is written.
        models: what Compose has said of compose files, by profile, see `compose_reading`.
        redact: knows the secrets of all environments.
    """

    run_id: str
    root: Path
    host: Path
    port_base: int
    subnet_pool: IPv4Network
    environ: Mapping[str, str]
    settings: Settings
    applier: Path | None
    commit: str | None
    ci: bool
    hooks: Hooks
    listener: Callable[[str, str], None]
    cancelled: threading.Event
    observer: Observer = NOBODY
    hook_files: tuple[Path, ...] = ()
    models: Mapping[str, ComposeAnswer] = field(default_factory=dict)
    redact: Redactor = field(default_factory=Redactor)
