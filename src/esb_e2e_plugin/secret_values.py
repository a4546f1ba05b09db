"""Which values are secrets: those that an environment is given, and those that its compose file names."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from artifactctl import secrets
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.credentials import CREDENTIAL_NAMES
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.planner import Scenario

_NAMES = re.compile(
    r"PASS(WORD|WD|PHRASE)?$|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIAL", re.IGNORECASE
)
_SHORTEST = 8  # a value that only its name makes a secret may be an ordinary word


def of_scenario(scenario: Scenario) -> set[str]:
    """Return the secrets that the user gives an environment.

    These are the values of `secret_env_file`, credentials, and variables whose name says so, of the env file
    and of `env_vars`. What cannot be read is no secret of this run: it is a mistake that is told elsewhere.
    """
    entry = scenario.entry
    found: set[str] = set()
    if entry.secret_env_file is not None:
        with suppress(ArtifactError):
            found |= set(secrets.read(entry.secret_env_file).values())
    variables: dict[str, str] = {}
    if entry.env_file is not None:
        with suppress(UserError):
            variables |= read_env_file(entry.env_file)
    variables |= entry.env_vars
    for name, value in variables.items():
        if name in CREDENTIAL_NAMES or (_NAMES.search(name) and len(value) >= _SHORTEST):
            found.add(value)
    return found


def of_compose(model: Mapping[str, Any], variables: Mapping[str, str]) -> set[str]:
    """Return the values of a compose project's `secrets`.

    Args:
        model: the project as Compose reads it.
        variables: those that Compose gets.
    """
    return {value for secret in (model.get("secrets") or {}).values() for value in _values(secret, variables)}


def of_folder(certificates: Path) -> set[str]:
    """Return the private keys in a folder."""
    return {path.read_text(encoding="utf-8") for path in certificates.glob("*.key")}


def _values(secret: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[str]:
    if (name := secret.get("environment")) is not None:
        yield variables.get(str(name), "")
    if (path := secret.get("file")) is not None:
        with suppress(OSError):  # Compose tells of it, or it is on the engine's own host
            yield Path(path).read_text(encoding="utf-8", errors="replace").strip()
    if (content := secret.get("content")) is not None:
        yield str(content).strip()
