"""What the gateway tells about itself, its pools and their workers."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

POOL_FIELDS = {
    "function_name",
    "total_workers",
    "idle",
    "busy",
    "provisioning",
    "max_capacity",
    "min_capacity",
    "acquire_timeout",
}


# Calls of other tests would change what is measured.
pytestmark = pytest.mark.esb_exclusive


def test_pools_are_shown(esb_gateway: requests.Session, pool: Callable[[str], dict[str, Any]]) -> None:
    """A function that has been called has a pool with at least one worker."""
    esb_gateway.post("/api/echo", json={}).raise_for_status()
    figures = pool("lambda-echo")
    assert figures.keys() >= POOL_FIELDS
    assert figures["total_workers"] >= 1
    assert (figures["min_capacity"], figures["max_capacity"]) == (0, 3)
    assert esb_gateway.get("/metrics/pools").json()["collected_at"]


def test_workers_are_measured(esb_gateway: requests.Session) -> None:
    """A worker is shown with its name, state, memory and processor time."""
    esb_gateway.post("/api/echo", json={}).raise_for_status()
    metrics = esb_gateway.get("/metrics/containers").json()
    found = [entry for entry in metrics["containers"] if entry["function_name"] == "lambda-echo"]
    assert found
    for entry in found:
        assert entry["container_id"]
        assert "lambda-echo-" in entry["container_name"]
        assert entry["state"] == "RUNNING"
        assert 0 < entry["memory_current"] <= entry["memory_max"] == 256 * 1024 * 1024
        assert entry["cpu_usage_ns"] > 0


def test_prometheus_needs_no_token(anonymous: requests.Session, esb_gateway_url: str) -> None:
    """A scraper gets the text format without a token."""
    answer = anonymous.get(f"{esb_gateway_url}/metrics", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE " in answer.text
