"""The containers of one compose project, and the volumes that are filled through them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esb_e2e_plugin.lifecycle.archive import archive_of
from esb_e2e_plugin.lifecycle.engine import Engine
from esb_e2e_plugin.lifecycle.engine_events import SERVICE_LABEL


@dataclass(frozen=True)
class Container:
    """The container of a service.

    Attributes:
        id: its id.
        service: its compose service.
        reference: the name of its image.
        image: id of its image.
        writable: where it mounts volumes that it may write to, by the volume's name in the compose file.
        has_health: whether the engine checks its health.
        deploy_only: whether it runs in the deploy phase only.
    """

    id: str
    service: str
    reference: str
    image: str
    writable: Mapping[str, str]
    has_health: bool
    deploy_only: bool


class Containers:
    """The containers that Compose has made for an environment."""

    def __init__(self, engine: Engine, project: str) -> None:
        """Know none yet.

        Args:
            engine: where they live.
            project: the compose project.
        """
        self._engine = engine
        self._project = project
        self._by_service: dict[str, Container] = {}

    def find(self, deploy_only: Callable[[str], bool]) -> None:
        """Look at every container of the project.

        Args:
            deploy_only: tells whether a service runs in the deploy phase only.
        """
        self._by_service = {}
        for found in self._engine.containers(self._project):
            facts = self._engine.inspect(found["Id"])
            service = facts["Config"]["Labels"].get(SERVICE_LABEL, "")
            self._by_service[service] = Container(
                id=found["Id"],
                service=service,
                reference=facts["Config"]["Image"],
                image=facts["Image"],
                writable={
                    mount["Name"].removeprefix(f"{self._project}_"): mount["Destination"]
                    for mount in facts["Mounts"]
                    if mount["Type"] == "volume" and mount["RW"]
                },
                has_health=_checks_health(facts["Config"]),
                deploy_only=deploy_only(service),
            )

    def get(self, service: str) -> Container | None:
        """Return the container of a service, or None."""
        return self._by_service.get(service)

    def long_running(self) -> list[Container]:
        """Return the containers that run as long as the environment."""
        return [container for container in self._by_service.values() if not container.deploy_only]

    def images(self) -> dict[str, str]:
        """Return the ids of the images that they were made from, by name."""
        return {container.reference: container.image for container in self._by_service.values()}

    def forget(self) -> None:
        """Know none any more."""
        self._by_service = {}

    def fill_volume(self, volume: str, files: Mapping[str, bytes | str], mode: int = 0o400) -> None:
        """Copy files into a volume, through a container that may write to it; nothing where none does.

        Args:
            volume: its name in the compose file.
            files: content by name; a text is the target of a link.
            mode: permissions of the files, which belong to the user of the container's image.
        """
        for container in self._by_service.values():
            if volume in container.writable:
                uid, gid = self._engine.image_user(container.image)
                archive = archive_of(files, uid=uid, gid=gid, mode=mode)
                self._engine.put(container.id, container.writable[volume], archive)
                return


def _checks_health(config: Mapping[str, Any]) -> bool:
    # A check that was switched off (`healthcheck: {disable: true}`) is there as this word.
    return ((config.get("Healthcheck") or {}).get("Test") or ["NONE"]) != ["NONE"]


def files_below(folder: Path, prefix: str = "") -> dict[str, bytes | str]:
    """Return the content of every file below a folder, by its path from there.

    Args:
        folder: where to look.
        prefix: put in front of each path.
    """
    return {
        f"{prefix}{path.relative_to(folder)}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
