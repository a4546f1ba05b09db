"""What is known about the containers of a compose project."""

from typing import Any, cast

import pytest

from esb_e2e_plugin.lifecycle.containers import Containers
from esb_e2e_plugin.lifecycle.engine import Engine


class _Engine:
    """Has one container, of the service `web`."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = {"Image": "web:1", "Labels": {"com.docker.compose.service": "web"}, **config}

    def containers(self, _project: str) -> list[dict[str, Any]]:
        return [{"Id": "c1"}]

    def inspect(self, _container: str) -> dict[str, Any]:
        return {"Config": self._config, "Image": "sha256:1", "Mounts": []}


@pytest.mark.parametrize(
    ("config", "checked"),
    [
        ({}, False),
        ({"Healthcheck": None}, False),
        ({"Healthcheck": {"Test": ["NONE"]}}, False),
        ({"Healthcheck": {"Test": ["CMD", "true"]}}, True),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1}}, True),
    ],
    ids=["none", "null", "disabled", "command", "shell"],
)
def test_a_health_check_that_is_switched_off_is_none(config: dict[str, Any], checked: bool) -> None:
    """Nobody waits for a service to become healthy whose check the compose file disables."""
    containers = Containers(cast(Engine, _Engine(config)), "esb-x")
    containers.find(lambda _service: False)
    (found,) = containers.long_running()
    assert found.has_health is checked
    assert containers.images() == {"web:1": "sha256:1"}
