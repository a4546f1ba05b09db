"""Removing what nobody needs any more."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from artifactctl.commands import Commands
from esb_cli.images import superseded
from esb_cli.leftovers import engines, leftovers
from esb_cli.project import Project
from esb_e2e_plugin.lifecycle.backend import engine_variables
from esb_e2e_plugin.lifecycle.docker_variables import for_commands
from esb_e2e_plugin.lifecycle.engine_inventory import Inventory
from esb_e2e_plugin.lifecycle.registry import CONTAINER, Registry
from esb_e2e_plugin.locks import EnvironmentLock
from esb_e2e_plugin.store import host_path, make_host_folder

_REGISTRY_SECONDS = 60.0


@dataclass(frozen=True)
class Pruned:
    """Something that was removed, or would be.

    Attributes:
        kind: `environment`, `image` or `registry`.
        name: what it is called.
        where: where it was found.
        left: what could not be removed of it.
    """

    kind: str
    name: str
    where: str
    left: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """Return it for programs."""
        return asdict(self)


def prune(project: Project, *, images: bool, infra: bool, dry_run: bool) -> list[Pruned]:
    """Remove what dead runs have left.

    Args:
        project: the project that the command is called in.
        images: also images that nobody needs.
        infra: also the registry that environments share, where none uses it.
        dry_run: remove nothing.

    Returns:
        What was removed, or would be.

    Raises:
        EsbError: an engine does not answer.
    """
    host = host_path(project.environ)
    make_host_folder(host)
    pruned = []
    for found in leftovers(project, host):
        left = () if dry_run else tuple(found.remove())
        pruned.append(Pruned("environment", found.environment, found.where, left))
    if images:
        pruned += _images(project, dry_run=dry_run)
    if infra:
        pruned += _registries(project, host, dry_run=dry_run)
    return pruned


def _images(project: Project, *, dry_run: bool) -> Iterator[Pruned]:
    for engine in engines(project):
        inventory = Inventory(engine)
        environments = {made.environment for made in inventory.made()}
        for image in superseded(inventory.images(), environments):
            reason = None if dry_run else inventory.remove_image(image)
            name = image.tags[0] if image.tags else image.id[:19]
            yield Pruned("image", name, image.id[:19], () if reason is None else (reason,))
        engine.close()


def _registries(project: Project, host: Path, *, dry_run: bool) -> Iterator[Pruned]:
    # A run that has made it sure that it is there may not have attached it yet.
    if any(EnvironmentLock(host, path.stem).is_held() for path in (host / "locks").glob("*.lock")):
        return
    for engine in engines(project):
        entry = next(entry for entry in project.matrix.entries if entry.mode != "process")
        variables = engine_variables(project.target(entry.name).scenario, project.environ)
        commands = Commands(for_commands(variables, entry.docker_context), None, _REGISTRY_SECONDS)
        registry = Registry(host, engine.id, commands)
        if registry.is_unused() and (dry_run or registry.remove_unused()):
            yield Pruned("registry", CONTAINER, "no environment uses it")
        engine.close()
