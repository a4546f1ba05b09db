"""The images of services and runtime-node, as the sources are now, for every test on an engine."""

import os
from pathlib import Path

import docker
from filelock import FileLock

from artifactctl.commands import Commands
from esb_e2e_plugin.lifecycle import node_image, service_images

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 600.0
IMAGE = "esb-services:tests"
"""The image of the services; `latest` is moved by the tests of how it is built."""


def build_images(folder: Path) -> None:
    """Have the engine have the images of services and runtime-node; of several processes one builds them.

    Args:
        folder: shared by these processes.
    """
    with FileLock(folder / "esb-images.lock", timeout=BUILD_SECONDS):
        repository, tag = IMAGE.split(":")
        docker.from_env().images.get(services_image_reference()).tag(repository, tag)
        node_image_reference()


def node_image_reference() -> str:
    """Return the image of runtime-node as the sources are now."""
    variables = node_image.ensure(ROOT, build_commands())
    return variables[node_image.IMAGE_VARIABLE]


def services_image_reference() -> str:
    """Return the image of the services as the sources are now."""
    return service_images.ensure(ROOT, build_commands())[service_images.IMAGE_VARIABLE]


def build_commands() -> Commands:
    """Return what runs the commands of a build, as on this machine but for our variables."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ESB_")}
    return Commands(ours, None, BUILD_SECONDS)
