"""Signing in, and what a token opens."""

import time
from typing import Any

import jwt
import pytest
import requests

from esb_e2e_plugin.environment import Environment

Credentials = dict[str, dict[str, str]]


@pytest.fixture
def credentials(esb_environment: Environment) -> Credentials:
    """The body that signs in."""
    user = esb_environment.credentials
    return {"AuthParameters": {"USERNAME": user.auth_user, "PASSWORD": user.auth_pass}}


@pytest.fixture
def key(esb_environment: Environment) -> dict[str, str]:
    """The header that signing in needs."""
    return {"x-api-key": esb_environment.credentials.x_api_key}


@pytest.fixture
def auth_url(esb_gateway_url: str) -> str:
    """Where to sign in."""
    return f"{esb_gateway_url}/user/auth/v1"


def test_sign_in_gives_a_token_that_opens_routes(
    anonymous: requests.Session,
    auth_url: str,
    esb_gateway_url: str,
    key: dict[str, str],
    credentials: Credentials,
) -> None:
    """The right key, user and password give a token, and the token opens a route."""
    answer = anonymous.post(auth_url, json=credentials, headers=key, timeout=10)
    assert answer.status_code == 200, answer.text
    bearer = {"Authorization": f"Bearer {answer.json()['AuthenticationResult']['IdToken']}"}
    echo = anonymous.post(f"{esb_gateway_url}/api/echo", json={"message": "in"}, headers=bearer, timeout=30)
    assert echo.json() == {
        "success": True,
        "message": "Echo: in",
        "user": credentials["AuthParameters"]["USERNAME"],
    }


def test_token_is_signed_with_the_environments_key(esb_environment: Environment, esb_token: str) -> None:
    """The token is HS256, signed with the key of this environment, and lasts 50 minutes."""
    claims = jwt.decode(esb_token, esb_environment.credentials.jwt_secret_key, algorithms=["HS256"])
    assert claims["cognito:username"] == esb_environment.credentials.auth_user
    assert claims["exp"] - claims["iat"] == 50 * 60


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": "wrong"}, {"x-api-key": ""}], ids=["no", "wrong", "empty"]
)
def test_sign_in_needs_the_right_key(
    anonymous: requests.Session, auth_url: str, credentials: Credentials, headers: dict[str, str]
) -> None:
    """Without the right key nobody signs in, however right the password is."""
    answer = anonymous.post(auth_url, json=credentials, headers=headers, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["message"]


@pytest.mark.parametrize("field", ["USERNAME", "PASSWORD"])
def test_sign_in_needs_the_right_credentials(
    anonymous: requests.Session, auth_url: str, key: dict[str, str], credentials: Credentials, field: str
) -> None:
    """A wrong user or a wrong password is refused, and the answer does not say which it was."""
    credentials["AuthParameters"][field] += "x"
    answer = anonymous.post(auth_url, json=credentials, headers=key, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["message"]
    assert "IdToken" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{not json",
        b"[]",
        b"{}",
        b'{"AuthParameters": {}}',
        b'{"AuthParameters": {"USERNAME": "a"}}',
        b'{"AuthParameters": {"USERNAME": 1, "PASSWORD": []}}',
    ],
    ids=["empty", "not-json", "list", "nothing", "no-parameters", "no-password", "wrong-types"],
)
def test_malformed_sign_in_is_unprocessable(
    anonymous: requests.Session, auth_url: str, key: dict[str, str], body: bytes
) -> None:
    """A body that is not what signing in needs is 422 with a message."""
    headers = {**key, "Content-Type": "application/json"}
    answer = anonymous.post(auth_url, data=body, headers=headers, timeout=10)
    assert answer.status_code == 422
    assert answer.json()["message"]


def _token(environment: Environment, **changes: Any) -> str:
    claims = {"cognito:username": environment.credentials.auth_user, "iat": int(time.time())}
    claims |= {"exp": int(time.time()) + 60, **changes}
    return jwt.encode(claims, environment.credentials.jwt_secret_key, algorithm="HS256")


@pytest.mark.parametrize(
    "kind", ["none", "empty", "scheme", "garbled", "truncated", "expired", "foreign", "unsigned"]
)
def test_bad_token_is_unauthorized(
    anonymous: requests.Session, esb_environment: Environment, esb_gateway_url: str, esb_token: str, kind: str
) -> None:
    """Only a token that is whole, signed with this environment's key and still valid opens a route."""
    claims = jwt.decode(esb_token, options={"verify_signature": False})
    headers = {
        "none": {},
        "empty": {"Authorization": "Bearer "},
        "scheme": {"Authorization": f"Basic {esb_token}"},
        "garbled": {"Authorization": "Bearer not.a.token"},
        "truncated": {"Authorization": f"Bearer {esb_token[:-4]}"},
        "expired": {"Authorization": f"Bearer {_token(esb_environment, exp=int(time.time()) - 60)}"},
        "foreign": {"Authorization": f"Bearer {jwt.encode(claims, 'x' * 40, algorithm='HS256')}"},
        "unsigned": {"Authorization": f"Bearer {jwt.encode(claims, '', algorithm='none')}"},
    }[kind]
    answer = anonymous.post(f"{esb_gateway_url}/api/echo", json={}, headers=headers, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["message"]


@pytest.mark.parametrize("path", ["/api/no-such-route", "/metrics/pools", "/metrics/containers"])
def test_no_token_is_unauthorized_before_any_look_up(
    anonymous: requests.Session, esb_gateway_url: str, path: str
) -> None:
    """Who brings no token learns nothing about which routes there are."""
    answer = anonymous.get(f"{esb_gateway_url}{path}", timeout=10)
    assert answer.status_code == 401
    assert answer.json()["message"]


def test_unknown_route_with_a_token_is_not_found(esb_gateway: requests.Session) -> None:
    """Who brings a token is told that a route does not exist."""
    answer = esb_gateway.get("/api/no-such-route")
    assert answer.status_code == 404
    assert answer.json()["message"]
