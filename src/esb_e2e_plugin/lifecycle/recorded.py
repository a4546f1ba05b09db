"""Variables that were computed when an environment came up, kept for whoever works with it later."""

import json
from collections.abc import Mapping
from pathlib import Path

from esb_e2e_plugin.store import write_atomically

_FILE = "variables.json"


def record(run: Path, variables: Mapping[str, str]) -> None:
    """Keep variables, none of them a secret, in the folder of an environment's sockets and files."""
    write_atomically(run / _FILE, json.dumps(dict(variables), indent=1) + "\n")


def recorded(run: Path) -> dict[str, str]:
    """Return the variables that were kept; none where none can be read."""
    try:
        found: dict[str, str] = json.loads((run / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
