"""Reads `resources.yml` of an applied config and checks its shape; the stores' own API checks the rest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KINDS = {"dynamodb": "TableName", "s3": "BucketName", "layers": "Name"}
"""The kinds of resources, and the key that names one. Layers are part of images: nothing to create."""
BUCKET_KEYS = frozenset({"BucketName", "LifecycleConfiguration"})

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ResourcesError(Exception):
    """`resources.yml` is missing or wrong; the message names the file and the field."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One table or bucket.

    Attributes:
        kind: `dynamodb` or `s3`.
        definition: all its keys, as the file has them.
    """

    kind: str
    name: str
    definition: dict[str, Any]

    def __str__(self) -> str:
        return f"{'table' if self.kind == 'dynamodb' else 'bucket'} {self.name}"


def load(config_dir: Path) -> list[Resource]:
    """Return the tables and buckets of the config that is current in `config_dir`.

    Raises:
        ResourcesError: nothing was applied yet, or the file is wrong.
    """
    current = config_dir / ".current"
    if not current.is_symlink():
        raise ResourcesError(
            f"{config_dir} holds no applied config (no .current); run `artifactctl apply` first"
        )
    # resolved once: an apply meanwhile must not give half of another config
    path = current.resolve() / "resources.yml"
    try:
        document = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - libyaml's safe loader
    except FileNotFoundError:
        return []
    except (OSError, yaml.YAMLError, ValueError) as error:  # ValueError: as for 2026-13-45
        raise ResourcesError(f"{path} cannot be read: {error}") from error
    found = []
    for kind, entries in _mapping(_mapping(document, path, "").get("resources"), path, "resources").items():
        if kind not in KINDS:
            raise ResourcesError(f"{path}: unknown key resources.{kind}; expected one of {', '.join(KINDS)}")
        if not isinstance(entries, list):
            raise ResourcesError(f"{path}: resources.{kind} must be a list")
        for index, entry in enumerate(entries):
            found.append(_resource(kind, entry, path, f"resources.{kind}[{index}]"))
    return [resource for resource in found if resource.kind != "layers"]


def _resource(kind: str, entry: object, path: Path, where: str) -> Resource:
    definition = _mapping(entry, path, where)
    name = definition.get(KINDS[kind])
    if not isinstance(name, str) or not name.strip():
        raise ResourcesError(f"{path}: {where}.{KINDS[kind]} is {name!r}; expected the resource's name")
    if kind == "s3" and (unknown := sorted(definition.keys() - BUCKET_KEYS)):
        raise ResourcesError(
            f"{path}: {where} ({name}) has unknown key {unknown[0]}; known: {', '.join(sorted(BUCKET_KEYS))}"
        )
    return Resource(kind, name, definition)


def _mapping(value: object, path: Path, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ResourcesError(f"{path}: {where or 'the file'} must be a mapping, not {type(value).__name__}")
    return value
