"""Secrets that must not be found anywhere, and the search for them."""

import base64
import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

CREDENTIALS: Mapping[str, str] = {
    "AUTH_PASS": "canary+pass/word&one",
    "S3_SECRET_KEY": "canary/s3+secret=two",
    "JWT_SECRET_KEY": "canary-jwt-key-three-0123456789abcdef",
    "X_API_KEY": "canary-x-api-key-four",
}
VARIABLES: Mapping[str, str] = {"PAYMENT_API_KEY": "canary%payment?key-five"}
SECRETS: Mapping[str, str] = {
    "DB_PASSWORD": 'canary"db\\password-six',
    "HOOK_TOKEN": "canary-hook-token-seven",
}
CANARIES: Mapping[str, str] = {**CREDENTIALS, **VARIABLES, **SECRETS}

TEXT = "; ".join(CANARIES.values())
_PRIVATE = ("credentials.json",)


def forms(secret: str) -> set[str]:
    """Return the ways in which nobody may find a secret."""
    raw = secret.encode()
    encoded = {encode(raw).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        *encoded,
    }


def found_in(content: bytes) -> set[str]:
    """Return the names of the canaries that stand in some bytes."""
    return {
        name for name, secret in CANARIES.items() if any(form.encode() in content for form in forms(secret))
    }


def found_below(folder: Path, inputs: Iterable[Path]) -> list[str]:
    """Return every file below a folder that holds a canary, but for what the user wrote and credential files.

    Args:
        folder: where to look.
        inputs: what the user wrote.
    """
    own = set(inputs)
    places = []
    for path in sorted(folder.rglob("*")):
        if path in own or path.is_symlink() or not path.is_file():
            continue
        names = found_in(path.read_bytes())
        if names and path.name in _PRIVATE:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        elif names:
            places.append(f"{path}: {', '.join(sorted(names))}")
    return places
