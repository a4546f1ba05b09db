"""Compose files as Compose reads them."""

from pathlib import Path

import pytest

from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.compose_reading import Question


def test_a_docker_without_compose_is_told_as_that(tmp_path: Path) -> None:
    """Nothing is wrong with the compose file of a machine where only Compose is missing."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'unknown flag: --ansi' >&2\necho Usage >&2\nexit 125\n")
    docker.chmod(0o755)
    asked = Question((str(docker), "compose", "config"), {"PATH": "/usr/bin:/bin"})
    with pytest.raises(StepError, match="docker has no Compose") as raised:
        asked.answer(60)
    assert raised.value.remedy == "make engine installs it"
