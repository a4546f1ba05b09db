"""A new configuration is served without a restart; a broken one changes nothing."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from filelock import FileLock

from artifactctl.apply import apply
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.fixtures.logs import EnvironmentLogs

ARTIFACT = Path("e2e/fixtures/artifacts/hot-reload")

# Only in process mode is the applied configuration a folder that a test can write to.
pytestmark = pytest.mark.esb_mode("process")


@pytest.fixture
def config(esb_environment: Environment) -> Iterator[Path]:
    """The applied configuration, for this test alone to change."""
    assert esb_environment.paths.config is not None
    with FileLock(esb_environment.paths.run / "config.turn", timeout=60):
        yield esb_environment.paths.config


def _digest(gateway: requests.Session) -> str:
    return str(gateway.get("/health").json()["config"]["digest"])


def test_applied_route_is_served_beside_the_old_ones(
    esb_gateway: requests.Session,
    esb_environment: Environment,
    config: Path,
    tmp_path: Path,
    eventually: Callable[..., Any],
) -> None:
    """An additive apply adds its function and route while everything else keeps answering."""
    artifact = tmp_path / "hot-reload"
    shutil.copytree(esb_environment.paths.root / ARTIFACT, artifact)
    path = f"/api/hot-{uuid.uuid4()}"
    routing = artifact / "template.hot-reload/config/routing.yml"
    routing.write_text(routing.read_text().replace("/api/hot", path))
    assert esb_gateway.post(path, json={}).status_code == 404

    applied = apply(artifact / "artifact.yml", config, additive=True)

    def served() -> None:
        assert _digest(esb_gateway) == applied.digest

    eventually(served)
    assert esb_gateway.post(path, json={"message": "hot"}).json()["message"] == "Echo: hot"
    assert esb_gateway.post("/api/echo", json={"message": "old"}).json()["message"] == "Echo: old"


def test_broken_configuration_keeps_the_old_one(
    esb_gateway: requests.Session, esb_logs: EnvironmentLogs, config: Path
) -> None:
    """A configuration that cannot be read is refused with its reason; the gateway serves on."""
    before = _digest(esb_gateway)
    current = config / ".current"
    good = current.readlink()
    broken = config / ".generations" / f"broken-{uuid.uuid4()}"
    broken.mkdir()
    (broken / "functions.yml").write_text("functions: [this is\n  no: yaml")
    try:
        _link(current, broken.relative_to(config))
        refused = esb_logs.wait_for(service="gateway", contains=broken.name)
        assert "functions.yml" in refused[0]["message"]
        assert _digest(esb_gateway) == before
        assert esb_gateway.post("/api/echo", json={}).json()["message"] == "Echo: Hello"
    finally:
        _link(current, good)
        shutil.rmtree(broken)


def _link(link: Path, target: Path) -> None:
    new = link.with_name(f"{link.name}.{uuid.uuid4()}")
    new.symlink_to(target)
    new.replace(link)
