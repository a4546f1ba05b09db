"""The secrets of one environment."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from esb_e2e_plugin.errors import UserError

JWT_KEY_CHARACTERS = 32


@dataclass(frozen=True, repr=False)
class Credentials:
    """User names, passwords and keys that the services of one environment share with its tests.

    Attributes:
        auth_user: User name for the gateway's authentication route.
        auth_pass: Its password.
        x_api_key: Key that the authentication route demands.
        jwt_secret_key: Key that signs tokens, at least 32 characters.
        s3_access_key: Access key of the object store.
        s3_secret_key: Its secret.
    """

    auth_user: str
    auth_pass: str
    x_api_key: str
    jwt_secret_key: str
    s3_access_key: str
    s3_secret_key: str

    @classmethod
    def random(cls) -> Self:
        """Return credentials that nobody has seen before."""
        return cls(
            auth_user=f"user-{secrets.token_hex(6)}",
            auth_pass=secrets.token_urlsafe(24),
            x_api_key=secrets.token_urlsafe(24),
            jwt_secret_key=secrets.token_urlsafe(48),
            s3_access_key=secrets.token_hex(10),
            s3_secret_key=secrets.token_urlsafe(30),
        )

    def to_env(self) -> dict[str, str]:
        """Return them under the names of their environment variables."""
        return {field.name.upper(): getattr(self, field.name) for field in fields(self)}

    def overridden(self, values: Mapping[str, str]) -> Self:
        """Return them with those that the user chose.

        Args:
            values: Environment variables; a blank one chooses nothing.

        Raises:
            UserError: The chosen signing key is too short.
        """
        chosen = {name: value for name in CREDENTIAL_NAMES if (value := values.get(name, "")).strip()}
        if len(chosen.get("JWT_SECRET_KEY", "x" * JWT_KEY_CHARACTERS)) < JWT_KEY_CHARACTERS:
            raise UserError(
                f"JWT_SECRET_KEY: is too short; expected at least {JWT_KEY_CHARACTERS} characters",
                "choose a longer one or leave it out",
            )
        return replace(self, **{name.lower(): value for name, value in chosen.items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


CREDENTIAL_NAMES = tuple(field.name.upper() for field in fields(Credentials))
