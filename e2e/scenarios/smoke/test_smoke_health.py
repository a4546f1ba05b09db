"""The front door is open, and it is the right one."""

import pytest
import requests


def test_health_needs_no_token(anonymous: requests.Session, esb_gateway_url: str) -> None:
    """Anybody may ask whether the gateway is healthy and which configuration it serves."""
    answer = anonymous.get(f"{esb_gateway_url}/health", timeout=10)
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "healthy"
    assert body["config"]["digest"]
    assert body["config"]["loaded_at"]


def test_certificate_is_of_the_environments_own_authority(esb_gateway_url: str) -> None:
    """A client that trusts only the world's authorities does not trust the gateway."""
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"{esb_gateway_url}/health", timeout=10)


def test_trailing_data_on_health_is_no_way_in(anonymous: requests.Session, esb_gateway_url: str) -> None:
    """Only the path `/health` itself is open."""
    assert anonymous.get(f"{esb_gateway_url}/health/more", timeout=10).status_code == 401
