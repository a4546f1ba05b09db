"""What goes wrong with the docker command line, as people are told."""

import os
from pathlib import Path

import pytest

from artifactctl.commands import CommandError, Commands
from artifactctl.docker_engine import DockerEngine

_DOCKER = """#!/bin/sh
test "$1" = context && { echo default; exit; }
echo 'ERROR: {said}' >&2
exit 1
"""


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("BuildKit is enabled but the buildx component is missing or broken.", "install Docker with buildx"),
        ("failed to solve: process did not complete", "correct its Dockerfile"),
    ],
    ids=["no builder", "build failed"],
)
def test_a_build_without_a_builder_is_not_blamed_on_the_dockerfile(
    tmp_path: Path, said: str, remedy: str
) -> None:
    """A fresh machine may have docker without buildx."""
    docker = tmp_path / "docker"
    docker.write_text(_DOCKER.replace("{said}", said))
    docker.chmod(0o755)
    commands = Commands({"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}, None, 60)
    with pytest.raises(CommandError, match=said) as raised:
        DockerEngine(commands).build(
            tmp_path, "tiny:1", label="tiny", labels={}, arguments={}, no_cache=False
        )
    assert (raised.value.remedy or "").startswith(remedy)
