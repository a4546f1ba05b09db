"""The platform survives the end of its parts."""

from collections.abc import Callable
from typing import Any

import docker
import pytest
import requests

from esb_e2e_plugin.environment import Environment

# Only where services are containers does somebody start them again.
pytestmark = [pytest.mark.esb_mode("docker", "containerd"), pytest.mark.esb_exclusive]


@pytest.mark.parametrize("service", ["gateway", "agent"])
def test_calls_are_answered_after_a_restart(
    esb_environment: Environment,
    esb_gateway: requests.Session,
    engine: docker.DockerClient,
    eventually: Callable[..., Any],
    service: str,
) -> None:
    """A service that was killed and started again serves the same configuration as before."""
    before = esb_gateway.get("/health").json()["config"]["digest"]
    esb_gateway.post("/api/echo", json={}).raise_for_status()
    labels = [f"com.esb.env={esb_environment.name}", f"com.docker.compose.service={service}"]
    (container,) = engine.containers.list(filters={"label": labels})
    container.kill()
    container.wait(timeout=30)
    container.start()

    def answered() -> None:
        try:
            health, echo = esb_gateway.get("/health"), esb_gateway.post("/api/echo", json={"message": "back"})
        except requests.ConnectionError as error:
            raise AssertionError(str(error)) from error
        assert (health.status_code, echo.status_code) == (200, 200)
        assert health.json()["config"]["digest"] == before
        assert echo.json()["message"] == "Echo: back"

    eventually(answered, timeout=60)
