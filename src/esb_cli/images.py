"""Which images nobody needs any more. Pure."""

import re
from collections.abc import Collection, Iterable

from esb_e2e_plugin.lifecycle.engine_inventory import BuiltImage

_OF_ENVIRONMENT = re.compile(r"e2e-(?P<environment>.+)-(?:latest|[0-9a-f]{7,12})")


def superseded(images: Iterable[BuiltImage], environments: Collection[str]) -> list[BuiltImage]:
    """Return the images that no container and no environment uses, and that a newer one has replaced.

    Args:
        images: All images that runs have built.
        environments: Names of the environments that are there.
    """
    known = list(images)
    newest: dict[str, BuiltImage] = {}
    for image in known:
        for tag in image.tags:
            repository = tag.rpartition(":")[0]
            if repository not in newest or newest[repository].created < image.created:
                newest[repository] = image
    return [
        image
        for image in known
        if not image.used
        and not any(newest[tag.rpartition(":")[0]] is image for tag in image.tags)
        and not any(_is_needed(tag, environments) for tag in image.tags)
    ]


def _is_needed(tag: str, environments: Collection[str]) -> bool:
    name = tag.rpartition(":")[2]
    found = _OF_ENVIRONMENT.fullmatch(name)
    return name == "latest" or (found is not None and found["environment"] in environments)
