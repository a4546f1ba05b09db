"""What runs have made on an engine, whoever's they were: by labels alone."""

from dataclasses import dataclass
from typing import Any

from docker.errors import APIError, NotFound

from esb_e2e_plugin.lifecycle.engine import PROJECT_LABEL, Engine
from esb_e2e_plugin.lifecycle.engine_errors import engine_errors

MANAGED_LABEL = "com.esb.managed"
INFRASTRUCTURE_LABEL = "com.esb.infra"
RUN_LABEL = "com.esb.run"
ENVIRONMENT_LABEL = "com.esb.env"


@dataclass(frozen=True)
class Made:
    """A container, network or volume of an environment.

    Attributes:
        project: The environment's compose project.
        environment: The environment's name.
        run: The run that made it.
    """

    project: str
    environment: str
    run: str


@dataclass(frozen=True)
class BuiltImage:
    """An image that a run has built.

    Attributes:
        id: Its id.
        tags: Its names.
        created: When it was built, in seconds since the epoch.
        used: Whether a container is made from it.
    """

    id: str
    tags: tuple[str, ...]
    created: int
    used: bool


class Inventory:
    """The things of all environments of an engine."""

    def __init__(self, engine: Engine) -> None:
        """Look at `engine`."""
        self._engine = engine
        self._api: Any = engine.api

    def made(self) -> set[Made]:
        """Return of which environments and runs there is something."""
        with engine_errors("listing what runs have made"):
            labelled = {"label": f"{MANAGED_LABEL}=true"}
            found = [c["Labels"] for c in self._api.containers(all=True, filters=labelled)]
            found += [n.get("Labels") for n in self._api.networks(filters=labelled)]
            found += [v.get("Labels") for v in self._api.volumes(filters=labelled)["Volumes"] or ()]
        return {
            Made(labels[PROJECT_LABEL], labels.get(ENVIRONMENT_LABEL, ""), labels.get(RUN_LABEL, ""))
            for labels in found
            if labels and labels.get(PROJECT_LABEL)
        }

    def images(self) -> list[BuiltImage]:
        """Return the images that runs have built."""
        with engine_errors("listing images"):
            used = {container["ImageID"] for container in self._api.containers(all=True)}
            labels = (f"{MANAGED_LABEL}=true", INFRASTRUCTURE_LABEL)
            listed = [image for label in labels for image in self._api.images(filters={"label": label})]
        return [
            BuiltImage(
                image["Id"],
                tuple(tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"),
                int(image["Created"]),
                image["Id"] in used,
            )
            for image in listed
        ]

    def remove_image(self, image: BuiltImage) -> str | None:
        """Remove an image with all its names; return why it stays, or None."""
        try:
            for name in image.tags or (image.id,):
                self._api.remove_image(name)
        except NotFound:
            return None
        except APIError as error:
            return str(error.explanation or error)
        return None
