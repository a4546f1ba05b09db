"""Pushing images to the registry that the runtime pulls from: only what it does not have."""

from collections.abc import Sequence

from artifactctl import image_reference
from artifactctl.commands import Commands
from artifactctl.docker_engine import DockerEngine, Image
from artifactctl.errors import ArtifactError
from artifactctl.image_plan import Plan
from artifactctl.image_reference import Registries


def check(wanted: Plan, registries: Registries) -> None:
    """Check that everything that is built can be pushed where a registry is in play.

    Raises:
        ArtifactError: an image names another registry.
    """
    for target in (*wanted.bases.values(), *wanted.targets):
        if registries.host is not None and registries.pushed_as(target.reference) is None:
            raise ArtifactError(
                f"names another registry than CONTAINER_REGISTRY ({registries.runtime})",
                path=target.recipe.dockerfile,
                value=target.reference,
                remedy="name it without a registry, or unset CONTAINER_REGISTRY and HOST_REGISTRY_ADDR",
            )


def push(
    references: Sequence[str], registries: Registries, engine: DockerEngine, commands: Commands
) -> dict[str, str]:
    """Push those of `references` that belong to our registry and are not in it.

    Returns:
        The name that each was pushed by.

    Raises:
        CommandError: the registry does not take one.
    """
    named = ((reference, registries.pushed_as(reference)) for reference in references)
    names = {reference: name for reference, name in named if name is not None}
    found = engine.inspect([*names, *names.values()])
    missing = [reference for reference, name in names.items() if not _is_pushed(found[reference], name)]

    def send(reference: str) -> None:
        engine.tag(reference, names[reference])
        commands.say(f"pushing {names[reference]}")
        engine.push(names[reference])

    commands.at_once(send, missing)
    return {reference: names[reference] for reference in missing}


def _is_pushed(image: Image, name: str) -> bool:
    # Only where a registry is in play: it costs as much as all that a run with nothing to do needs.
    from artifactctl import registry

    known = f"{image_reference.repository(name)}@"
    digests = {digest.removeprefix(known) for digest in image.repo_digests if digest.startswith(known)}
    return bool(digests) and registry.manifest_digest(name) in digests
