"""What tests see of an environment: the same in every process, and without its secrets where it is shown."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from esb_e2e_plugin.credentials import Credentials
from esb_e2e_plugin.environment import Environment, Paths, Ports, Urls
from esb_e2e_plugin.errors import UserError


def environment(config: Path | None) -> Environment:
    places = {field.name: Path("/p", field.name) for field in dataclasses.fields(Paths)}
    return Environment(
        name="one",
        profile="One",
        mode="process",
        project="esb-one",
        run_id="run-1",
        ports=Ports(*range(1, 9)),
        urls=Urls("https://g", "http://g", "http://a", "http://d", "http://s", "https://g/auth"),
        paths=dataclasses.replace(Paths(**places), config=config),
        credentials=Credentials.random(),
    )


@pytest.mark.parametrize("config", [Path("/p/config"), None])
def test_an_environment_survives_a_channel_and_a_file(config: Path | None) -> None:
    """Plain data and back is the same record, also without a configuration folder."""
    made = environment(config)
    assert Environment.from_data(json.loads(json.dumps(made.to_data()))) == made


def test_its_record_is_frozen_and_shows_no_secret() -> None:
    """A test cannot change it for others, and its `repr` in a report gives nothing away."""
    made = environment(None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "two"  # type: ignore[misc]
    for secret in vars(made.credentials).values():
        assert secret not in repr(made)
        assert secret not in repr(made.credentials)


def test_credentials_are_never_the_same_and_can_be_chosen() -> None:
    """Each run has its own; a blank variable chooses nothing; a weak signing key is refused."""
    one, two = Credentials.random(), Credentials.random()
    assert not set(vars(one).values()) & set(vars(two).values())
    chosen = one.overridden({"AUTH_USER": "me", "AUTH_PASS": " ", "OTHER": "x"})
    assert chosen == dataclasses.replace(one, auth_user="me")
    assert Credentials(**{name.lower(): value for name, value in one.to_env().items()}) == one
    with pytest.raises(UserError, match="JWT_SECRET_KEY: is too short; expected at least 32") as raised:
        one.overridden({"JWT_SECRET_KEY": "weak-canary"})
    assert "weak-canary" not in str(raised.value)
