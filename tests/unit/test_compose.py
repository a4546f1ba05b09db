"""Docker Compose's command line."""

import threading
from pathlib import Path
from typing import cast

import pytest

from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.compose import Compose
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.supervisor import Supervisor


def test_a_docker_without_compose_is_told_as_that(tmp_path: Path) -> None:
    """Nothing is wrong with the compose file of a machine where only Compose is missing."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'unknown flag: --ansi' >&2\necho Usage >&2\nexit 125\n")
    docker.chmod(0o755)
    nobody = cast(Supervisor, None)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    compose = Compose(nobody, "esb-x", [tmp_path / "c.yml"], tmp_path / "o.yml", environment)
    with pytest.raises(StepError, match="docker has no Compose") as raised:
        compose.model(Deadline(60, threading.Event(), "--esb-timeout-compose"))
    assert raised.value.remedy == "make engine installs it"
