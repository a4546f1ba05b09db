"""Authentication: tokens for a user's credentials, and their verification."""

import hmac
import time

import jwt

from esb_services.gateway.settings import Settings

TOKEN_LIFETIME = 50 * 60
"""Seconds for which a token is valid."""

_ALGORITHM = "HS256"


class UnauthorizedError(Exception):
    """A request carries no credentials, or wrong ones; the message is for the client."""


class Authenticator:
    """Checks credentials against those of the settings, and tokens against their key."""

    def __init__(self, settings: Settings) -> None:
        self._user = settings.auth_user
        self._password = settings.auth_pass
        self._api_key = settings.api_key
        self._key = settings.jwt_secret_key

    def check_api_key(self, given: str | None) -> None:
        """Raise UnauthorizedError unless `given` is the API key."""
        if given is None or not _equal(given, self._api_key):
            raise UnauthorizedError("x-api-key: missing or wrong")

    def token(self, user: str, password: str) -> str:
        """Return a token for these credentials, or raise UnauthorizedError."""
        user_fits, password_fits = _equal(user, self._user), _equal(password, self._password)
        if not (user_fits and password_fits):
            raise UnauthorizedError("user name or password is wrong")
        now = int(time.time())
        claims = {
            "sub": user,
            "cognito:username": user,
            "token_use": "id",
            "iat": now,
            "exp": now + TOKEN_LIFETIME,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def user(self, authorization: str | None) -> str:
        """Return the user of an `Authorization: Bearer` header, or raise UnauthorizedError."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthorizedError("Authorization: expected Bearer and a token")
        try:
            claims = jwt.decode(
                token.strip(),
                self._key,
                algorithms=[_ALGORITHM],
                options={"require": ["exp", "cognito:username"]},
            )
        except jwt.ExpiredSignatureError:
            raise UnauthorizedError("the token has expired") from None
        except jwt.InvalidTokenError:
            raise UnauthorizedError("the token is not valid") from None
        return str(claims["cognito:username"])


def _equal(given: str, expected: str) -> bool:
    # JSON can hold half a character, which is in no password but must not end in an error.
    return hmac.compare_digest(given.encode(errors="surrogatepass"), expected.encode())
